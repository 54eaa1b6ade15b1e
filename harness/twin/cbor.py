"""The CTAP2 canonical CBOR encoding form, strict in both directions (CTAP 2.1, section 8).

Decoding accepts exactly what encoding produces: shortest heads, definite lengths, sorted unique keys, no
tags, at most four levels. Floats are read, because they are well-formed, but never written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

MAX_LEVELS = 4


class CborError(ValueError):
    """Not CTAP2 canonical CBOR."""


class _Undefined:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = _Undefined()


def encode(value: object) -> bytes:
    """The canonical encoding of None, bool, int, str, bytes, list, tuple and dict."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


_SHORT = [bytes((byte,)) for byte in range(256)]
"""Heads of one byte: an argument below 24 stands in the byte of the major type."""


def head(major: int, number: int) -> bytes:
    """The shortest head of a major type with an argument."""
    lead = major << 5
    if number < 24:
        return _SHORT[lead | number]
    if number < 0x100:
        return bytes((lead | 24, number))
    if number < 0x10000:
        return struct.pack(">BH", lead | 25, number)
    if number < 0x100000000:
        return struct.pack(">BI", lead | 26, number)
    if number < 1 << 64:
        return struct.pack(">BQ", lead | 27, number)
    raise CborError("an integer beyond 64 bits")


def _encode(value: object, out: list[bytes]) -> None:
    encoder = _ENCODERS.get(type(value))
    if encoder is None:
        encoder = _encoder_of_base(value)
    encoder(value, out)


def _encode_int(value: int, out: list[bytes]) -> None:
    out.append(head(0, value) if value >= 0 else head(1, -1 - value))


def _encode_bytes(value: bytes, out: list[bytes]) -> None:
    out.append(head(2, len(value)))
    out.append(value)


def _encode_str(value: str, out: list[bytes]) -> None:
    text = value.encode()
    out.append(head(3, len(text)))
    out.append(text)


def _encode_list(value: Sequence[object], out: list[bytes]) -> None:
    out.append(head(4, len(value)))
    for item in value:
        _encode(item, out)


def _encode_dict(value: Mapping[object, object], out: list[bytes]) -> None:
    out.append(head(5, len(value)))
    # Section 8's order of keys is the bytewise order of their encodings, because heads are shortest.
    for key, item in sorted([(_key(key), item) for key, item in value.items()], key=_first):
        out.append(key)
        _encode(item, out)


_first = itemgetter(0)


@lru_cache(maxsize=1024, typed=True)
def _key(key: object) -> bytes:
    return encode(key)


_ENCODERS: dict[type[Any], Callable[[Any, list[bytes]], None]] = {
    type(None): lambda _, out: out.append(b"\xf6"),
    bool: lambda value, out: out.append(b"\xf5" if value else b"\xf4"),
    int: _encode_int,
    bytes: _encode_bytes,
    str: _encode_str,
    dict: _encode_dict,
    list: _encode_list,
    tuple: _encode_list,
}


def _encoder_of_base(value: object) -> Callable[[Any, list[bytes]], None]:
    """The encoder of a subclass: an IntEnum is an int, a NamedTuple a list."""
    for base, encoder in _ENCODERS.items():
        if isinstance(value, base):
            return encoder
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
