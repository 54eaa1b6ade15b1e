"""As much CBOR as CTAP 2 needs (RFC 8949; CTAP 2.1, section 8), for a test's emulator."""

from __future__ import annotations

from typing import Any


def encode(value: Any) -> bytes:
    """Integers, byte and text strings, lists, maps, booleans, None."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", True: b"\xf5", False: b"\xf4"}[value]
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    pairs = sorted(
        ((encode(k), encode(v)) for k, v in value.items()), key=lambda pair: (len(pair[0]), pair[0])
    )
    return _head(5, len(pairs)) + b"".join(k + v for k, v in pairs)


def _head(major: int, number: int) -> bytes:
    for extra, size in enumerate((0, 1, 2, 4, 8)):
        if number < (24 if not size else 1 << 8 * size):
            first = number if not size else 23 + extra
            return bytes([major << 5 | first]) + (number.to_bytes(size, "big") if size else b"")
    raise ValueError(number)


def decode(data: bytes) -> Any:
    """The one value that is in `data`."""
    value, rest = _decode(data)
    if rest:
        raise ValueError("there is more")
    return value


def _decode(data: bytes) -> tuple[Any, bytes]:
    major, number, rest = data[0] >> 5, data[0] & 31, data[1:]
    if major == 7:
        return {20: False, 21: True, 22: None}[number], rest
    if number >= 24:
        size = 1 << number - 24
        number, rest = int.from_bytes(rest[:size], "big"), rest[size:]
    if major < 2:
        return (number if major == 0 else -1 - number), rest
    if major < 4:
        text = rest[:number]
        return (text if major == 2 else text.decode()), rest[number:]
    found: list[Any] = []
    for _ in range(number * (major - 3)):
        one, rest = _decode(rest)
        found.append(one)
    return (found if major == 4 else dict(zip(found[::2], found[1::2]))), rest
