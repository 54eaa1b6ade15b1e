"""Data objects: GET DATA, GET NEXT DATA, SELECT DATA, PUT DATA (specification 3.4, sections 4.4 and 7.2.5 to 7.2.8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness_cards.tlv import NotTlv, fields, first, tlv
from harness_openpgp.slots import Slot
from harness_openpgp.twin import keys, pins
from harness_openpgp.twin.pins import Pin
from harness_openpgp.twin.state import AES_KEY, DATE, FINGERPRINT, Card
from harness_openpgp.twin.status import (
    CONDITIONS,
    NO_REFERENCE,
    NOT_VERIFIED,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

AID = bytes.fromhex("D27600012401")
CERTIFICATE, KDF = 0x7F21, 0xF9
BUTTON = 0x20
"""Second byte of a user interaction flag (DO 7F74): a button."""
OFF, ON, PERMANENT = 0, 1, 2
NO_KDF = b"\x81\x01\x00"
_KDF_HASHES = {b"\x08": 32, b"\x0a": 64}
"""Hash of a KDF as RFC 4880 numbers it -> its length: SHA-256, SHA-512."""
FILES = {
    0x5E: "login",
    0x5F50: "url",
    0x0101: "private-1",
    0x0102: "private-2",
    0x0103: "private-3",
    0x0104: "private-4",
    KDF: "kdf_do",
}
"""Tag -> its file."""
CERTIFICATE_FILES = ("cardholder_cert_aut", "cardholder_cert_dec", "cardholder_cert_sig")
SEXES = (0x30, 0x31, 0x32, 0x39)
NAME_MAX, LANGUAGE_MAX = 39, 8


def select_data(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """SELECT DATA: which cardholder certificate the next commands mean."""
    # The occurrence stands in P1: SmartPGP, canokey-core and opcard-rs say so of one that is not there, too.
    if p2 != 0x04 or card.traits.certificates == 1 or p1 >= card.traits.certificates:
        raise CardError(WRONG_P1P2)
    if _named(data) != CERTIFICATE:
        raise CardError(NO_REFERENCE)
    card.session.occurrence = p1
    return b""


def _named(path: bytes) -> int:
    """The tag in 60 { 5C { tag } }, or in 5C { tag } alone.

    :raises CardError: it is neither.
    """
    try:
        tag, inner, whole = first(path)
        if tag == 0x60 and whole == path:
            path = inner
            tag, inner, whole = first(path)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    if tag != 0x5C or whole != path or not inner:
        raise CardError(WRONG_DATA)
    return int.from_bytes(inner, "big")


def next_data(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """GET NEXT DATA: the certificate after the one that is chosen."""
    if p1 << 8 | p2 != CERTIFICATE or card.session.occurrence + 1 >= card.traits.certificates:
        raise CardError(NO_REFERENCE)
    card.session.occurrence += 1
    return get(card, p1, p2, data)


def get(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """GET DATA."""
    tag = p1 << 8 | p2
    if data and tag != 0x4D:
        raise CardError(WRONG_LENGTH)
    if tag == 0x0103:
        if not card.session.other:
            raise CardError(NOT_VERIFIED)
    elif tag == 0x0104:
        pins.require_admin(card)
    if tag in FILES:
        if tag == KDF and not card.traits.has_kdf:
            raise CardError(NO_REFERENCE)
        return card.files.read(FILES[tag]) or (NO_KDF if tag == KDF else b"")
    if tag == CERTIFICATE:
        return card.files.read(CERTIFICATE_FILES[card.session.occurrence]) or b""
    return _told(card, tag)


def aid(card: Card) -> bytes:
    """DO 4F, 16 bytes."""
    traits = card.traits
    return AID + bytes(traits.version) + traits.manufacturer.to_bytes(2, "big") + card.serial + bytes(2)


def historical(card: Card, life: int) -> bytes:
    """DO 5F52. :param life: 3 initialisation, 5 operational."""
    found = card.traits.historical
    return found[:-3] + bytes([life]) + found[-2:]


def _told(card: Card, tag: int) -> bytes:
    traits, state = card.traits, card.state
    if tag in range(0xD6, 0xD9) and traits.has_uif:
        return bytes([state.slots[tag - 0xD6].touch, BUTTON])
    if tag in range(0xC1, 0xC4):
        return _attributes(card, Slot(tag - 0xC1))
    simple: dict[int, Callable[[], bytes]] = {
        0x4F: lambda: aid(card),
        0x5B: lambda: state.name,
        0x5F2D: lambda: state.language,
        0x5F35: lambda: bytes([state.sex]),
        0x5F52: lambda: historical(card, 5),
        0xC0: lambda: traits.capabilities,
        0xC4: lambda: _status(card),
        0xC5: lambda: b"".join(slot.fingerprint for slot in state.slots),
        0xC6: lambda: b"".join(slot.ca for slot in state.slots),
        0xCD: lambda: b"".join(slot.date for slot in state.slots),
        0x93: lambda: state.counter.to_bytes(3, "big"),
        0x65: lambda: _nested(card, 0x5B, 0x5F2D, 0x5F35),
        0x6E: lambda: _nested(card, 0x4F, 0x5F52, 0x7F66, 0x7F74, 0x73),
        0x73: lambda: _nested(card, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xCD, 0xDE, 0xD6, 0xD7, 0xD8),
        0x7A: lambda: _nested(card, 0x93),
    }
    if traits.longest != (0, 0):
        simple[0x7F66] = lambda: b"".join(tlv(0x02, size.to_bytes(2, "big")) for size in traits.longest)
    if traits.has_uif:
        simple[0x7F74] = lambda: bytes([0x81, 0x01, BUTTON])
    if traits.version >= (3, 0):
        simple[0xDE] = lambda: b"".join(
            bytes([number, slot.origin]) for number, slot in enumerate(state.slots, 1)
        )
    if traits.has_information:
        simple[0xFA] = lambda: _information(card)
    if tag not in simple:
        raise CardError(NO_REFERENCE)
    return simple[tag]()


def _nested(card: Card, *tags: int) -> bytes:
    """The data objects of a constructed one; those that this card has not are left out."""
    found = b""
    for tag in tags:
        try:
            found += tlv(tag, _told(card, tag))
        except CardError as refused:
            if refused.status != NO_REFERENCE:
                raise
    return found


def _attributes(card: Card, slot: Slot) -> bytes:
    return card.state.slot(slot).algorithm.encoded(public=card.traits.public_wanted)


def _information(card: Card) -> bytes:
    """DO FA: every algorithm of every slot."""
    return b"".join(
        tlv(slot.attributes, algorithm.encoded(public=card.traits.public_wanted))
        for slot in Slot
        for algorithm in keys.offered(card, slot)
    )


def _status(card: Card) -> bytes:
    """DO C4: mode of PW1, most bytes of each PIN, tries of PW1, reset code and PW3."""
    longest = bytes([card.traits.pin_max]) * 3
    left = bytes(pins.tries(card, which) for which in (Pin.USER, Pin.CODE, Pin.ADMIN))
    return bytes([card.state.pw1_lasts]) + longest + left


# Writing


def put(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """PUT DATA."""
    tag = p1 << 8 | p2
    if tag in (0x0101, 0x0103):
        if not card.session.other:
            raise CardError(NOT_VERIFIED)
    else:
        pins.require_admin(card)
    if tag in FILES or tag == CERTIFICATE:
        _put_file(card, tag, data)
    elif tag in range(0xC1, 0xC4):
        keys.set_algorithm(card, Slot(tag - 0xC1), data)
    elif tag == 0xD3:
        pins.set_code(card, data)
    elif tag == 0xD5 and card.traits.has_aes:
        _put_aes(card, data)
    elif tag in range(0xD6, 0xD9) and card.traits.has_uif:
        _put_touch(card, Slot(tag - 0xD6), data)
    else:
        _put_small(card, tag, data)
    return b""


def put_odd(card: Card, p1: int, p2: int, data: bytes) -> bytes:
    """PUT DATA with an extended header list: a private key."""
    if p1 << 8 | p2 != 0x3FFF:
        raise CardError(WRONG_P1P2)
    keys.import_key(card, data)
    return b""


def _put_file(card: Card, tag: int, data: bytes) -> None:
    if tag == CERTIFICATE:
        name, most = CERTIFICATE_FILES[card.session.occurrence], card.traits.certificate_max
    else:
        name, most = FILES[tag], card.traits.special_max
    if tag == KDF:
        if not card.traits.has_kdf:
            raise CardError(NO_REFERENCE)
        if card.traits.checks_kdf:
            _require_kdf(data)
    if len(data) > most:
        raise CardError(WRONG_LENGTH)
    if card.has("data-in-place") and data:
        card.files.write_in_place(name, data)
    elif card.has("certificate-removed-first") and tag == CERTIFICATE:
        card.in_pieces({name: None})
        card.in_pieces({name: data or None})
    else:
        card.commit({name: data or None})


def _require_kdf(data: bytes) -> None:
    """:raises CardError: no KDF-DO (specification 3.4, section 4.3.2): none, or iterated and salted S2K."""
    if data in (b"", NO_KDF):
        return
    try:
        found = fields(data)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    size = _KDF_HASHES.get(found.get(0x82, b""))
    hashes = [found[tag] for tag in (0x87, 0x88) if tag in found]
    salts = [found[tag] for tag in (0x84, 0x85, 0x86) if tag in found]
    _require(found.get(0x81) == b"\x03" and size is not None and len(found.get(0x83, b"")) == 4)
    _require(
        0x84 in found and all(len(salt) == 8 for salt in salts) and all(len(one) == size for one in hashes)
    )


def _put_aes(card: Card, data: bytes) -> None:
    _require_length(len(data) in (16, 32))
    key = pins.user_key(card)
    card.commit({AES_KEY: pins.wrapped(pins.key_for(key, AES_KEY), data)})


def _put_touch(card: Card, slot: Slot, data: bytes) -> None:
    state = card.state
    before = state.slot(slot)
    _require_length(len(data) == 2)
    _require(data[0] in (OFF, ON, PERMANENT))
    if data[1] != BUTTON:
        raise CardError(card.traits.flag_refused or WRONG_DATA)
    if before.touch == PERMANENT and data[0] != PERMANENT:
        raise CardError(card.traits.flag_refused or CONDITIONS)
    card.save(state.with_slot(slot, replace(before, touch=data[0])))


def _put_small(card: Card, tag: int, data: bytes) -> None:
    """What the state holds."""
    state = card.state
    if tag in range(0xC7, 0xD1) and tag != 0xCD:
        size = DATE if tag >= 0xCE else FINGERPRINT
        _require_length(len(data) == size)
        slot = Slot((tag - (0xCE if tag >= 0xCE else 0xC7)) % 3)
        before = state.slot(slot)
        if tag >= 0xCE:
            after = replace(before, date=data)
        else:
            after = replace(before, ca=data) if tag >= 0xCA else replace(before, fingerprint=data)
        card.save(state.with_slot(slot, after))
    elif tag == 0x5B:
        _require_length(len(data) <= NAME_MAX)
        card.save(replace(state, name=data))
    elif tag == 0x5F2D:
        _require_length(len(data) <= LANGUAGE_MAX and len(data) % 2 == 0)
        card.save(replace(state, language=data))
    elif tag == 0x5F35:
        _require_length(len(data) == 1)
        _require(data[0] in SEXES)
        card.save(replace(state, sex=data[0]))
    elif tag == 0xC4:
        _require_length(len(data) in (1, 4))
        _require(data[0] in (0, 1))
        card.save(replace(state, pw1_lasts=bool(data[0])))
    else:
        raise CardError(NO_REFERENCE)


def _require_length(right: bool) -> None:
    if not right:
        raise CardError(WRONG_LENGTH)


def _require(right: bool) -> None:
    if not right:
        raise CardError(WRONG_DATA)
