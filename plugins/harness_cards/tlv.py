"""BER-TLV objects with definite lengths (ISO 7816-4, section 5.2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn


class NotTlv(ValueError):
    """The bytes are no sequence of BER-TLV objects."""


class NoObject(NotTlv, KeyError):
    """An object that must be there is not among those of a sequence."""


class Objects(dict[int, bytes]):
    """The objects of an answer, by tag. A tag that is not there raises NoObject: the fault of what sent the bytes."""

    def __missing__(self, tag: int) -> NoReturn:
        raise NoObject(f"no object {tag:02X}, but {', '.join(f'{one:02X}' for one in self) or 'none'}")


def tlv(tag: int, *parts: bytes) -> bytes:
    """Encode one object; its value is the parts, joined."""
    value = b"".join(parts)
    head = tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big")
    if len(value) < 0x80:
        return head + bytes([len(value)]) + value
    size = len(value).to_bytes((len(value).bit_length() + 7) // 8, "big")
    return head + bytes([0x80 | len(size)]) + size + value


def objects(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Decode a sequence of objects: (tag, value, the whole object as it was encoded).

    :raises NotTlv: an object is cut off, or its length has no definite form.
    """
    at = 0
    while at < len(data):
        start, tag = at, data[at]
        at += 1
        if tag & 0x1F == 0x1F:
            while True:
                tag = tag << 8 | _byte(data, at)
                at += 1
                if not tag & 0x80:
                    break
        size = _byte(data, at)
        at += 1
        if size == 0x80:
            raise NotTlv("an indefinite length")
        if size > 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise NotTlv(f"object {tag:X} has {size} bytes, {len(data) - at} are there")
        yield tag, data[at : at + size], data[start : at + size]
        at += size


def fields(data: bytes) -> Objects:
    """Return tag -> value of a sequence of objects; of two with one tag the first.

    :raises NotTlv: as `objects`.
    """
    found = Objects()
    for tag, value, _ in objects(data):
        found.setdefault(tag, value)
    return found


def first(data: bytes) -> tuple[int, bytes, bytes]:
    """Return the first object as `objects` does; what follows is not read.

    :raises NotTlv: there is none.
    """
    for found in objects(data):
        return found
    raise NotTlv("no object")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise NotTlv("an object is cut off")
    return data[at]
