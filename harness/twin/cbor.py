"""The CTAP2 canonical CBOR encoding form, strict in both directions (CTAP 2.1, section 8).

Decoding accepts exactly what encoding produces: shortest heads, definite lengths, sorted unique keys, no
tags, at most four levels. Floats are read, because they are well-formed, but never written.
"""

from __future__ import annotations

import struct
from typing import Any, Final

MAX_LEVELS = 4


class CborError(ValueError):
    """Not CTAP2 canonical CBOR."""


class _Undefined:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = _Undefined()


def encode(value: Any) -> bytes:
    """The canonical encoding of None, bool, int, str, bytes, list, tuple and dict."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def head(major: int, number: int) -> bytes:
    """The shortest head of a major type with an argument."""
    lead = major << 5
    if number < 24:
        return bytes((lead | number,))
    if number < 0x100:
        return bytes((lead | 24, number))
    if number < 0x10000:
        return struct.pack(">BH", lead | 25, number)
    if number < 0x100000000:
        return struct.pack(">BI", lead | 26, number)
    if number < 1 << 64:
        return struct.pack(">BQ", lead | 27, number)
    raise CborError("an integer beyond 64 bits")


def _encode(value: Any, out: list[bytes]) -> None:
    if value is None:
        out.append(b"\xf6")
    elif value is True:
        out.append(b"\xf5")
    elif value is False:
        out.append(b"\xf4")
    elif isinstance(value, int):
        out.append(head(0, value) if value >= 0 else head(1, -1 - value))
    elif isinstance(value, bytes):
        out.append(head(2, len(value)))
        out.append(value)
    elif isinstance(value, str):
        text = value.encode()
        out.append(head(3, len(text)))
        out.append(text)
    elif isinstance(value, dict):
        out.append(head(5, len(value)))
        # Section 8's order of keys is the bytewise order of their encodings, because heads are shortest.
        for key, item in sorted((encode(key), item) for key, item in value.items()):
            out.append(key)
            _encode(item, out)
    elif isinstance(value, (list, tuple)):
        out.append(head(4, len(value)))
        for item in value:
            _encode(item, out)
    else:
        raise CborError(f"cannot encode {type(value).__name__}")


def decode(data: bytes) -> Any:
    """The value that `data` encodes.

    :raises CborError: it is not canonical, nested too deeply, truncated, or more follows.
    """
    value, end = _decode(data, 0, 0)
    if end != len(data):
        raise CborError("more follows")
    return value


def _argument(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument and where the head ends."""
    try:
        lead = data[at]
        major, short = lead >> 5, lead & 31
        at += 1
        if short < 24:
            return major, short, at
        if short > 27:
            raise CborError("an indefinite length or a reserved head")
        size = 1 << (short - 24)
        number = int.from_bytes(data[at : at + size], "big")
        at += size
        if at > len(data):
            raise CborError("truncated")
    except IndexError:
        raise CborError("truncated") from None
    if major != 7 and number < (24 if size == 1 else 1 << (4 * size)):
        raise CborError("a head that is not the shortest")
    return major, number, at


def _decode(data: bytes, at: int, level: int) -> tuple[Any, int]:
    start = at
    major, number, at = _argument(data, at)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        end = at + number
        if end > len(data):
            raise CborError("truncated")
        chunk = data[at:end]
        if major == 2:
            return chunk, end
        try:
            return chunk.decode(), end
        except UnicodeDecodeError:
            raise CborError("text that is not UTF-8") from None
    if major == 7:
        return _simple(data, start, number, at)
    if major == 6:
        raise CborError("a tag")
    if level == MAX_LEVELS:
        raise CborError("nested more than four levels deep")
    if number > len(data):
        raise CborError("truncated")
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _decode(data, at, level + 1)
            items.append(item)
        return items, at
    return _map(data, at, level, number)


def _map(data: bytes, at: int, level: int, count: int) -> tuple[dict[Any, Any], int]:
    members: dict[Any, Any] = {}
    last = b""
    for _ in range(count):
        key, end = _decode(data, at, level + 1)
        # Keys of messages are integers and strings; others could not be told apart in a Python dictionary.
        if type(key) not in (int, str, bytes):
            raise CborError("a key that is neither an integer nor a string")
        encoded = data[at:end]
        if encoded <= last:
            raise CborError("keys out of order, or twice")
        last = encoded
        members[key], at = _decode(data, end, level + 1)
    return members, at


_SIMPLE: dict[int, Any] = {20: False, 21: True, 22: None, 23: UNDEFINED}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def _simple(data: bytes, start: int, number: int, at: int) -> tuple[Any, int]:
    short = data[start] & 31
    if short in _FLOATS:
        return struct.unpack(_FLOATS[short], data[start + 1 : at])[0], at
    if short < 24 and number in _SIMPLE:
        return _SIMPLE[number], at
    raise CborError("an unassigned simple value")
