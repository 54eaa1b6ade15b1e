"""PW1, PW3 and the reset code: VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (specification 3.4, 7.2.2 to 7.2.4).

Each PIN is one file with its counter, and unlocks a key of its own. PW1 unlocks the key under which private keys are
stored; PW3 and the reset code unlock copies of it, so that either can set a new PW1. A try is paid for before its
answer depends on the PIN: the counter is lowered and stored, then the PIN is tried, then the counter is raised again.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from enum import Enum
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from harness.api import Damaged, records
from harness_openpgp.twin.state import STATE, Card, fresh_state
from harness_openpgp.twin.status import (
    BLOCKED,
    CONDITIONS,
    INTERNAL,
    NOT_VERIFIED,
    TRIES,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

FULL = 3
USER_DEFAULT, ADMIN_DEFAULT = b"123456", b"12345678"
SIGN, OTHER, ADMIN = 0x81, 0x82, 0x83
"""References: PW1 for one signature, PW1 for everything else, PW3."""
ADMIN_COPY, CODE_COPY = "admin-user-pin-key.bin", "rc-user-pin-key.bin"
"""The key that PW1 unlocks, under the keys that PW3 and the reset code unlock."""
_COMPARE_US, _QUEUED_US = 1_500, 12_000
_NONCE = bytes(12)


class Pin(Enum):
    """A PIN by its place in the lists of the state: PW1, reset code, PW3."""

    USER = 0
    CODE = 1
    ADMIN = 2

    @property
    def file(self) -> str:
        return ("pin-user", "pin-reset-code", "pin-admin")[self.value]

    @property
    def least(self) -> int:
        """Fewest bytes of the PIN."""
        return 6 if self is Pin.USER else 8


@lru_cache(maxsize=4096)
def _derived(salt: bytes, pin: bytes, number: int) -> bytes:
    return hmac.digest(salt, bytes([number, len(pin)]) + pin, hashlib.sha256)


def wrapped(key: bytes, content: bytes) -> bytes:
    """Encrypt and authenticate with a key that encrypts nothing else."""
    return ChaCha20Poly1305(key).encrypt(_NONCE, content, None)


def unwrapped(key: bytes, content: bytes) -> bytes | None:
    """Decrypt what `wrapped` made; None if the key is another one."""
    try:
        return ChaCha20Poly1305(key).decrypt(_NONCE, content, None)
    except InvalidTag:
        return None


def key_for(key: bytes, name: str) -> bytes:
    """The key under which one file is stored, from the key that PW1 unlocks."""
    return hmac.digest(key, name.encode(), hashlib.sha256)


def sealed_pin(card: Card, which: Pin, pin: bytes, key: bytes, *, left: int = FULL) -> bytes:
    """The file of a PIN: tries, salt, and the key that it unlocks."""
    salt = card.services.random("salt", 16)
    return records.seal({1: FULL, 2: left, 3: salt, 4: wrapped(_derived(salt, pin, which.value), key)})


def tries(card: Card, which: Pin) -> int:
    """How many tries are left; 0 for a reset code that is not set."""
    if which is Pin.CODE and not card.state.lengths[Pin.CODE.value]:
        return 0
    if which.file in card.ram_tries:
        return card.ram_tries[which.file]
    data = card.files.read(which.file)
    if data is None:
        # The application of the Nitrokey 3 tells the tries by the state alone, and does not look for the file.
        return FULL
    try:
        return int(records.unseal(data)[2])
    except Damaged:
        return 0


def _set_tries(card: Card, which: Pin, left: int) -> None:
    if card.has("tries-in-ram"):
        card.ram_tries[which.file] = left
        return
    found = records.unseal(card.files.read(which.file) or b"")
    card.files.write(which.file, records.seal({**found, 2: left}))


def _unlock(card: Card, which: Pin, pin: bytes) -> bytes | None:
    """The key that a PIN unlocks; None if it is wrong. Costs nothing; for those who have paid."""
    card.services.work(_COMPARE_US)
    data = card.files.read(which.file)
    if data is None:
        raise CardError(INTERNAL)
    found = records.unseal(data)
    return unwrapped(_derived(found[3], pin, which.value), found[4])


def _blocked(card: Card) -> CardError:
    return CardError(BLOCKED if card.traits.says_blocked else TRIES)


def try_pin(card: Card, which: Pin, pin: bytes) -> bytes:
    """Try a PIN; returns the key that it unlocks.

    :raises CardError: it is wrong (63Cx: tries that are left), or blocked.
    """
    before = tries(card, which)
    if before == 0:
        raise _blocked(card)
    if card.has("pin-compared-first"):
        key = _unlock(card, which, pin)
        if key is not None and before == FULL:
            return key
        # The write waits until another loop of that firmware takes it up.
        card.services.work(_QUEUED_US)
        _set_tries(card, which, before - 1 if key is None else FULL)
    else:
        _set_tries(card, which, before - 1)
        key = _unlock(card, which, pin)
        if key is not None:
            _set_tries(card, which, FULL)
    if key is None:
        raise CardError(TRIES | before - 1)
    return key


def require_admin(card: Card) -> bytes:
    """:raises CardError: PW3 is not verified."""
    if not card.session.admin:
        raise CardError(NOT_VERIFIED)
    return card.session.admin


def user_key(card: Card) -> bytes:
    """The key under which private keys are stored, by PW1 or by PW3.

    :raises CardError: neither is verified.
    """
    if card.session.user:
        return card.session.user
    return _copy(card, ADMIN_COPY, require_admin(card))


def _copy(card: Card, name: str, key: bytes) -> bytes:
    data = card.files.read(name)
    found = unwrapped(key, data) if data else None
    if found is None:
        raise CardError(INTERNAL)
    return found


def verify(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """VERIFY: a PIN, the question whether it is verified (no data), or the end of it (P1 FF)."""
    session = card.session
    if p1 not in (0x00, 0xFF) or (p1 == 0xFF and data):
        raise CardError(WRONG_P1P2)
    if p2 not in (SIGN, OTHER, ADMIN):
        raise CardError(WRONG_P1P2)
    which = Pin.ADMIN if p2 == ADMIN else Pin.USER
    state = card.state
    if p1 == 0xFF:
        _forget(card, p2)
        return b""
    if not data:
        if {SIGN: session.sign, OTHER: session.other, ADMIN: bool(session.admin)}[p2]:
            return b""
        left = tries(card, which)
        raise CardError(TRIES | left) if left else _blocked(card)
    _forget(card, p2)
    if len(data) > card.traits.pin_max:
        raise CardError(WRONG_DATA)
    key = try_pin(card, which, data)
    if card.has("verify-saves-state"):
        # The length of the right PIN is stored once more.
        card.save(replace(state, lengths=_with(state.lengths, which, len(data))))
    if which is Pin.ADMIN:
        session.admin = key
    else:
        session.user = key
        session.sign, session.other = session.sign or p2 == SIGN, session.other or p2 == OTHER
    return b""


def _forget(card: Card, reference: int) -> None:
    session = card.session
    if reference == ADMIN:
        session.admin = b""
    elif reference == SIGN:
        session.sign = False
    else:
        session.other = False
    if not session.sign and not session.other:
        session.user = b""


def _with(lengths: tuple[int, int, int], which: Pin, length: int) -> tuple[int, int, int]:
    user, code, admin = (length if number == which.value else one for number, one in enumerate(lengths))
    return user, code, admin


def require_length(card: Card, which: Pin, pin: bytes) -> None:
    """:raises CardError: a PIN of this length cannot be set."""
    if not which.least <= len(pin) <= card.traits.pin_max:
        raise CardError(WRONG_DATA)


def change(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """CHANGE REFERENCE DATA: the PIN in force and the new one, split at the length of the former."""
    if p1 or p2 not in (SIGN, ADMIN):
        raise CardError(WRONG_P1P2)
    which = Pin.ADMIN if p2 == ADMIN else Pin.USER
    state = card.state
    length = state.lengths[which.value]
    if len(data) < 2 * which.least and tries(card, which):
        # No old and new PIN are in it, whatever the old one is: this tells nothing about its length.
        raise CardError(WRONG_LENGTH)
    before, after = data[:length], data[length:]
    _forget(card, p2)
    if which is Pin.USER:
        _forget(card, OTHER)
    try:
        key = try_pin(card, which, before)
    except CardError as refused:
        if card.traits.change_says and refused.status & 0xFFF0 == TRIES:
            raise CardError(card.traits.change_says) from None
        raise
    require_length(card, which, after)
    _set_pin(card, which, after, key, pieces="pin-before-length")
    return b""


def _set_pin(card: Card, which: Pin, pin: bytes, key: bytes, *, pieces: str) -> None:
    state = card.state
    changed = replace(state, lengths=_with(state.lengths, which, len(pin)))
    card.ram_tries.pop(which.file, None)
    card.commit(
        {which.file: sealed_pin(card, which, pin, key), STATE: changed.sealed()},
        pieces=pieces,
    )


def reset_retry(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """RESET RETRY COUNTER of PW1: with the reset code and a new PIN (P1 00), or a new PIN after PW3 (P1 02)."""
    if p1 not in (0x00, 0x02) or p2 != SIGN:
        raise CardError(WRONG_P1P2)
    if p1 == 0x02:
        admin = require_admin(card)
        require_length(card, Pin.USER, data)
        key = _copy(card, ADMIN_COPY, admin)
        pin = data
    else:
        length = card.state.lengths[Pin.CODE.value]
        if not length:
            # opcard-rs tells a code that is not set apart from one that is blocked.
            raise CardError(BLOCKED if card.traits.says_blocked else NOT_VERIFIED)
        if not tries(card, Pin.CODE):
            raise _blocked(card)
        if len(data) < Pin.CODE.least + Pin.USER.least:
            raise CardError(WRONG_LENGTH)
        code, pin = data[:length], data[length:]
        found = try_pin(card, Pin.CODE, code)
        require_length(card, Pin.USER, pin)
        key = _copy(card, CODE_COPY, found)
    _forget(card, SIGN)
    _forget(card, OTHER)
    if card.has("pw1-mode-lost"):
        card.save(replace(card.state, pw1_lasts=True))
    _set_pin(card, Pin.USER, pin, key, pieces="pin-before-length")
    return b""


def set_code(card: Card, code: bytes) -> None:
    """Set the reset code (DO D3); no bytes remove it.

    :raises CardError: a code of this length cannot be set.
    """
    admin, state = require_admin(card), card.state
    changed = replace(state, lengths=_with(state.lengths, Pin.CODE, len(code)))
    card.ram_tries.pop(Pin.CODE.file, None)
    if not code:
        card.commit({STATE: changed.sealed(), Pin.CODE.file: None, CODE_COPY: None}, pieces="code-in-pieces")
        return
    require_length(card, Pin.CODE, code)
    key = card.services.random("reset code", 32)
    card.commit(
        {
            Pin.CODE.file: sealed_pin(card, Pin.CODE, code, key),
            STATE: changed.sealed(),
            CODE_COPY: wrapped(key, _copy(card, ADMIN_COPY, admin)),
        },
        pieces="code-in-pieces",
    )


def fresh(card: Card) -> dict[str, bytes | None]:
    """The files of a card that leaves the factory, in the order in which that application writes them."""
    user, admin = card.services.random("user key", 32), card.services.random("admin key", 32)
    state = fresh_state((len(USER_DEFAULT), 0, len(ADMIN_DEFAULT)), card.traits)
    return {
        Pin.USER.file: sealed_pin(card, Pin.USER, USER_DEFAULT, user),
        Pin.ADMIN.file: sealed_pin(card, Pin.ADMIN, ADMIN_DEFAULT, admin),
        ADMIN_COPY: wrapped(admin, user),
        STATE: state.sealed(),
    }


def exist(card: Card) -> bool:
    """Has the card any PIN?"""
    return any(card.files.read(which.file) is not None for which in Pin)


def require_possible_reset(card: Card) -> None:
    """See that TERMINATE may run: PW3 is verified or blocked, or there is no state that can be read.

    :raises CardError: it may not.
    """
    if card.session.admin or card.stored is None or tries(card, Pin.ADMIN) == 0:
        return
    if not card.has("terminate-unchecked"):
        raise CardError(NOT_VERIFIED if card.traits.says_blocked else CONDITIONS)
