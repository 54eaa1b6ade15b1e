"""INITIALIZE DEVICE: the code is checked and paid for first; then everything is replaced as one change."""

from __future__ import annotations

from harness_cards.files import KEPT
from harness_cards.tlv import NotTlv, fields
from harness_schsm.twin.domains import domain_file, made
from harness_schsm.twin.identity import made_anew
from harness_schsm.twin.pins import SO_SIZE, fresh, require_pin, try_code
from harness_schsm.twin.state import (
    CONFIGURATION,
    DEVICE,
    SO,
    SO_TRIES,
    TRANSPORT,
    USER,
    Card,
    Configuration,
    Session,
)
from harness_schsm.twin.status import NOT_SUPPORTED, WRONG_DATA, WRONG_LENGTH, WRONG_P1P2, CardError

OPTIONS, USER_PIN, INITIALIZATION_CODE, RETRIES, SHARES, PKA, DOMAINS = (
    0x80,
    0x81,
    0x82,
    0x91,
    0x92,
    0x93,
    0x97,
)
BIOMETRIC = (0x95, 0x96)
_KNOWN = {OPTIONS, USER_PIN, INITIALIZATION_CODE, RETRIES, SHARES, PKA, DOMAINS, *BIOMETRIC}
_WIPE_US = 250_000


def initialize(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """Put the card into its initial state; keys, files and codes of before are gone, the identity stays.

    :raises CardError: the data have a wrong form, or the initialization code is not the one that was set.
    """
    if p1 or p2:
        raise CardError(WRONG_P1P2)
    try:
        parts = fields(data)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    configuration, pin, code = _wanted(parts)
    if card.configuration is not None and "initialize-unchecked" not in card.defects:
        try_code(card, SO, code)
    card.session = Session()
    files: dict[str, bytes | None] = {
        CONFIGURATION: configuration.sealed(),
        **fresh(card, SO, code, SO_TRIES),
    }
    if pin is not None:
        files |= fresh(card, USER, pin, configuration.retries)
    if SHARES in parts:
        files[domain_file(0)] = made(card, parts[SHARES][0]).sealed()
    if "initialize-renews-device" in card.defects:
        card.identity = made_anew(card, card.identity.forced)
        files[DEVICE] = card.identity.sealed()
    card.work(_WIPE_US)
    _replace(card, files)
    card.ram_tries.clear()
    return b""


def _replace(card: Card, files: dict[str, bytes | None]) -> None:
    if "initialize-erases-last" in card.defects or "initialize-keeps-keys" in card.defects:
        for name, content in files.items():
            if content is not None:
                card.files.write(name, content)
        for name in card.files.names():
            kept = "initialize-keeps-keys" in card.defects and name.startswith(("key", "efC4", "efCE"))
            if name not in files and name not in KEPT and not kept:
                card.files.remove(name)
    else:
        card.files.change(files, wipe=True)


def _wanted(parts: dict[int, bytes]) -> tuple[Configuration, bytes | None, bytes]:
    """What the data ask for: the configuration, the user PIN if there is one, the initialization code."""
    if parts.keys() - _KNOWN:
        raise CardError(WRONG_DATA)
    if any(tag in parts for tag in BIOMETRIC):
        raise CardError(NOT_SUPPORTED)
    sizes = {OPTIONS: 2, INITIALIZATION_CODE: SO_SIZE, RETRIES: 1, SHARES: 1, PKA: 2, DOMAINS: 1}
    if any(len(parts[tag]) != size for tag, size in sizes.items() if tag in parts):
        raise CardError(WRONG_LENGTH)
    code, pin = parts.get(INITIALIZATION_CODE), parts.get(USER_PIN)
    if code is None or (pin is None and PKA not in parts):
        raise CardError(WRONG_DATA)
    options = int.from_bytes(parts.get(OPTIONS, b"\0\1"), "big")
    retries = parts.get(RETRIES, b"\3")[0]
    if not 1 <= retries <= 10:
        raise CardError(WRONG_DATA)
    if pin is not None:
        require_pin(retries, pin)
    pka = None
    if PKA in parts:
        # OpenSC 14c80b0 sends the total first, then how many are required.
        total, required = parts[PKA]
        pka = (required, total)
        if not 1 <= pka[0] <= pka[1]:
            raise CardError(WRONG_DATA)
    domains = parts.get(DOMAINS, b"\0")[0]
    transport = bool(options & TRANSPORT) and pin is not None
    return Configuration(options, retries, transport, pka, pin is not None, domains), pin, code
