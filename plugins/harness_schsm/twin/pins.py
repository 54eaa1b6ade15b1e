"""VERIFY, CHANGE REFERENCE DATA and RESET RETRY COUNTER.

Each try is paid for before its answer depends on the code: the counter is lowered and stored, then compared, then
raised again. A cut between loses one try and never gives one. The SO-PIN gives back the try that it cost, and no
other: its counter comes back by INITIALIZE alone.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from harness.api import records
from harness_schsm.twin.state import (
    CONFIGURATION,
    RESET_ALLOWED,
    RESET_ONLY,
    SO,
    SO_TRIES,
    USER,
    Card,
    Configuration,
)
from harness_schsm.twin.status import (
    BLOCKED,
    CONDITIONS,
    NOT_REFERENCED,
    TRANSPORT_PIN,
    TRIES,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

SO_SIZE, PIN_MIN, PIN_MAX = 8, 6, 16
_COMPARE_US, _QUEUED_US = 1_500, 8_000


def code_file(reference: int) -> str:
    return f"code{reference:02X}"


def tries_file(reference: int) -> str:
    return f"tries{reference:02X}"


def sealed_code(card: Card, code: bytes) -> bytes:
    """What is stored of a code: a salted digest and the length."""
    salt = card.random("salt", 8)
    return records.seal({1: salt, 2: hashlib.sha256(salt + code).digest(), 3: len(code)})


def tries(card: Card, reference: int) -> int:
    """How many tries are left."""
    if reference in card.ram_tries:
        return card.ram_tries[reference]
    stored = card.files.read(tries_file(reference))
    return stored[0] if stored else 0


def _set_tries(card: Card, reference: int, left: int) -> None:
    if reference == SO and "so-counter-in-ram" in card.defects:
        card.ram_tries[reference] = left
        return
    card.files.write(tries_file(reference), bytes([left]))


def forget_block(card: Card) -> None:
    """Give a blocked user PIN its tries back (only a defect does that)."""
    configuration = card.configuration
    if configuration is not None and configuration.has_pin and not tries(card, USER):
        _set_tries(card, USER, configuration.retries)


def _full(card: Card, configuration: Configuration, reference: int) -> int:
    # A right SO-PIN gives back what it cost.
    return tries(card, SO) if reference == SO else configuration.retries


def matches(card: Card, reference: int, code: bytes) -> bool:
    """Is this the code? Costs nothing; for those who have paid."""
    stored = card.files.record(code_file(reference))
    card.work(_COMPARE_US)
    return stored is not None and hmac.compare_digest(hashlib.sha256(stored[1] + code).digest(), stored[2])


def try_code(card: Card, reference: int, code: bytes, defect: str = "pin-compared-first") -> None:
    """Try a code.

    :param defect: the one that this command may have besides "pin-compared-first".
    :raises CardError: it is wrong (63Cx: tries that are left), or blocked (6983).
    """
    configuration = card.require_configuration()
    before = tries(card, reference)
    if before == 0:
        raise CardError(BLOCKED)
    full = _full(card, configuration, reference)
    if not card.defects.isdisjoint(("pin-compared-first", defect)):
        right = matches(card, reference, code)
        if right and before == full:
            return
        # The write waits until another loop of that firmware takes it up.
        card.work(_QUEUED_US)
        _set_tries(card, reference, full if right else before - 1)
        if not right:
            raise _wrong(reference, before - 1)
        return
    _set_tries(card, reference, before - 1)
    if not matches(card, reference, code):
        raise _wrong(reference, before - 1)
    _set_tries(card, reference, full)


def _wrong(reference: int, left: int) -> CardError:
    """A wrong code; with the last try of the user PIN it is blocked."""
    return CardError(TRIES + left if left or reference == SO else BLOCKED)


def _require_kind(p2: int) -> None:
    if p2 not in (USER, SO):
        # 85 and 86 (biometric templates) are not there.
        raise CardError(NOT_REFERENCED)


def verify(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """VERIFY; without data it is asked for the state of the code."""
    if p1:
        raise CardError(WRONG_P1P2)
    _require_kind(p2)
    configuration = card.require_configuration()
    if p2 == USER:
        if not configuration.has_pin:
            raise CardError(CONDITIONS)
        skips = bool(data) and "transport-pin-skipped" in card.defects
        if configuration.transport and not skips:
            raise CardError(TRANSPORT_PIN)
    if not data:
        if p2 == USER and card.session.user:
            return b""
        left = tries(card, p2)
        raise CardError(TRIES + left if left else BLOCKED)
    if p2 == USER:
        card.session.user = False
    try_code(card, p2, data)
    if p2 == USER:
        card.session.user = True
    return b""


def require_pin(configuration_retries: int, pin: bytes) -> None:
    """See that a PIN may be set: 6 to 16 bytes; the shortest ones only with few tries.

    :raises CardError: it may not (assumed: sc-hsm-tool refuses these before it sends them).
    """
    if not PIN_MIN <= len(pin) <= PIN_MAX:
        raise CardError(WRONG_LENGTH)
    if configuration_retries > {6: 3, 7: 5}.get(len(pin), 10):
        raise CardError(WRONG_DATA)


def change(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """CHANGE REFERENCE DATA: the old code and the new one. It ends the state of a transport PIN."""
    if p1:
        raise CardError(WRONG_P1P2)
    _require_kind(p2)
    configuration = card.require_configuration()
    if p2 == USER and not configuration.has_pin:
        raise CardError(CONDITIONS)
    stored = card.files.record(code_file(p2))
    size = stored[3] if stored else 0
    old, new = data[:size], data[size:]
    if p2 == SO and len(data) != 2 * SO_SIZE:
        raise CardError(WRONG_LENGTH)
    if p2 == USER and tries(card, USER):
        require_pin(configuration.retries, new)
    try_code(card, p2, old, "pin-compared-first-change")
    if p2 == USER and configuration.transport:
        card.files.change(
            {
                code_file(USER): sealed_code(card, new),
                CONFIGURATION: replace(configuration, transport=False).sealed(),
            }
        )
    elif "pin-removed-first" in card.defects:
        card.files.remove(code_file(p2))
        card.files.write(code_file(p2), sealed_code(card, new))
    else:
        card.files.write(code_file(p2), sealed_code(card, new))
    return b""


def reset_retry(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """RESET RETRY COUNTER of the user PIN: the SO-PIN and, unless the options forbid it, a new PIN."""
    if p1 not in (0, 1) or p2 != USER:
        raise CardError(WRONG_P1P2)
    configuration = card.require_configuration()
    allowed = configuration.options & (RESET_ALLOWED | RESET_ONLY) or "reset-option-ignored" in card.defects
    if not allowed or not configuration.has_pin:
        raise CardError(CONDITIONS)
    code, pin = data[:SO_SIZE], data[SO_SIZE:]
    if len(code) != SO_SIZE:
        raise CardError(WRONG_LENGTH)
    if pin and configuration.options & RESET_ONLY:
        raise CardError(CONDITIONS)
    if pin:
        require_pin(configuration.retries, pin)
    try_code(card, SO, code)
    full = bytes([configuration.retries])
    if pin:
        card.files.change({code_file(USER): sealed_code(card, pin), tries_file(USER): full})
    else:
        card.files.write(tries_file(USER), full)
    card.session.user = False
    return b""


def fresh(card: Card, reference: int, code: bytes, full: int = SO_TRIES) -> dict[str, bytes | None]:
    """The files of a code that is set anew."""
    return {code_file(reference): sealed_code(card, code), tries_file(reference): bytes([full])}
