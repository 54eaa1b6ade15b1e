"""Elementary files: SELECT, READ BINARY, UPDATE BINARY, DELETE FILE, ENUMERATE OBJECTS.

A file is stored with one byte before its content, so that an empty one differs from one that is missing.
"""

from __future__ import annotations

from harness_cards.tlv import NotTlv, fields, tlv
from harness_schsm.twin.keys import key_file, key_ids, load, uses_file
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import (
    END_OF_FILE,
    NOT_FOUND,
    NOT_LOGGED_IN,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_OFFSET,
    WRONG_P1P2,
    CardError,
)

CERTIFICATES, TOKEN_INFO, STAGED = 0x2F02, 0x2F03, 0x2F10
KEY_PREFIX, PROTECTED = 0xCC, 0xCD
PREFIXES = (0xC4, 0xC8, 0xC9, 0xCA, 0xCD, 0xCE, 0xCF)
"""PRKD, CA certificate description, data description, CA certificate, protected data, certificate, data."""
FILE_MAX, OFFSET_MAX = 65535, 4
"""Bytes of a file (an offset of clients has two bytes; its chip has space for less), and of an offset."""


def ef_file(fid: int) -> str:
    return f"ef{fid:04X}"


def sealed_ef(content: bytes) -> bytes:
    return b"\1" + content


def _stored(card: Card, fid: int) -> bytes | None:
    content = card.files.read(ef_file(fid))
    return None if content is None else content[1:]


def exists(card: Card, fid: int) -> bool:
    return fid == CERTIFICATES or (
        card.configuration is not None
        and (
            fid == 0xCC00
            or (fid >> 8 == KEY_PREFIX and load(card, fid & 0xFF) is not None)
            or _stored(card, fid) is not None
        )
    )


def size_of(card: Card, fid: int) -> int:
    """Bytes that READ BINARY returns of a file; a key shows none."""
    if fid == CERTIFICATES:
        return len(card.identity.certificates)
    return len(_stored(card, fid) or b"")


def control(card: Card, fid: int) -> bytes:
    """The file control parameters of an EF: size, kind, number.

    :raises CardError: there is no such file.
    """
    if not exists(card, fid):
        raise CardError(NOT_FOUND)
    size = size_of(card, fid).to_bytes(2, "big")
    return tlv(
        0x62, tlv(0x80, size), tlv(0x82, b"\x01"), tlv(0x83, fid.to_bytes(2, "big")), tlv(0x8A, b"\x05")
    )


def content(card: Card, fid: int) -> bytes:
    """:raises CardError: there is no such file, or it may not be read now."""
    if fid == CERTIFICATES:
        return card.identity.certificates
    if not exists(card, fid):
        raise CardError(NOT_FOUND)
    if fid >> 8 == KEY_PREFIX:
        raise CardError(NOT_LOGGED_IN)
    if fid >> 8 == PROTECTED:
        card.require_login()
    return _stored(card, fid) or b""


def offset_of(data: bytes) -> tuple[int, bytes | None]:
    """Objects 54 (offset) and 53 (data) of READ BINARY and UPDATE BINARY with an odd INS.

    :raises CardError: they have a wrong form.
    """
    if not data:
        raise CardError(WRONG_LENGTH)
    try:
        parts = fields(data)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    if 0x54 not in parts:
        raise CardError(WRONG_DATA)
    if not 1 <= len(parts[0x54]) <= OFFSET_MAX:
        raise CardError(WRONG_LENGTH)
    return int.from_bytes(parts[0x54], "big"), parts.get(0x53)


def read(card: Card, fid: int, data: bytes, le: int | None) -> bytes:
    """READ BINARY from an offset; the end of the file comes with 6282 where more was asked for."""
    whole = content(card, fid)
    at, _ = offset_of(data)
    if at > len(whole):
        raise CardError(WRONG_OFFSET)
    wanted = le if le else len(whole)
    part = whole[at : at + wanted]
    if le and len(part) < wanted and le not in (256, 65536) and not card.is_open:
        raise CardError(END_OF_FILE, part)
    return part


def update(card: Card, fid: int, data: bytes) -> None:
    """UPDATE BINARY at an offset; creates the file.

    :raises CardError: nobody is logged in, or the file is none that may be written.
    """
    card.require_configuration()
    card.require_login()
    at, part = offset_of(data)
    if part is None:
        raise CardError(WRONG_DATA)
    before = card.staged if fid == STAGED else _stored(card, fid) or b""
    if fid not in (TOKEN_INFO, STAGED) and fid >> 8 not in PREFIXES:
        raise CardError(NOT_FOUND if fid >> 8 != KEY_PREFIX and fid != CERTIFICATES else NOT_LOGGED_IN)
    if at > len(before) or at + len(part) > FILE_MAX:
        raise CardError(WRONG_OFFSET)
    # What is written from the start on replaces what was there: clients write files in blocks, front to back.
    after = before[:at] + part + (before[at + len(part) :] if at else b"")
    if fid == STAGED:
        card.staged = after
    elif "file-in-place" in card.defects:
        card.files.write_in_place(ef_file(fid), sealed_ef(after))
    else:
        card.files.write(ef_file(fid), sealed_ef(after))


def delete(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """DELETE FILE: an EF or, by CCxx, a key with its counter."""
    # P1 is 2 for clients of this card; 0 is a file by its number, too (ISO 7816-9).
    if p1 not in (0, 2) or p2 or len(data) != 2:
        raise CardError(WRONG_P1P2)
    card.require_login()
    fid = int.from_bytes(data, "big")
    if fid in (CERTIFICATES, 0xCC00):
        raise CardError(NOT_LOGGED_IN)
    if not exists(card, fid):
        raise CardError(NOT_FOUND)
    if fid >> 8 == KEY_PREFIX:
        key_id = fid & 0xFF
        if card.files.read(uses_file(key_id)) is None:
            card.files.remove(key_file(key_id))
        else:
            card.files.change({key_file(key_id): None, uses_file(key_id): None})
    else:
        card.files.remove(ef_file(fid))
    return b""


def enumerate_objects(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """ENUMERATE OBJECTS: the numbers of all files, the device key's (CC00) first."""
    card.require_configuration()
    found = [0xCC00, *(KEY_PREFIX << 8 | key_id for key_id in key_ids(card))]
    for name in card.files.names():
        if name.startswith("ef") and int(name[2:4], 16) in PREFIXES:
            found.append(int(name[2:], 16))
    return b"".join(fid.to_bytes(2, "big") for fid in found)
