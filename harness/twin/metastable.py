"""Half-way cells, neither 0 nor 1: what a torn flash operation leaves in profile `nor-metastable`.

A cell is half-way if its hash lies close to the fraction at which the operation was torn. It reads as 0 or 1,
the same as long as power is on, and possibly differently after the next boot (reports: ESP-IDF #18970, Zephyr
#103452, littlefs #671). Erasing its page, or programming it to 0, settles it.

A mask is as long as its page, with a 1 for each half-way cell; `b""` stands for none.
"""

from __future__ import annotations

import hashlib

from harness.base.seeds import child
from harness.twin.parts import FlashOp
from harness.twin.tear import ERASED_AT_MOST, erased_share, mask, torn_word

DELTA = 0.04
"""A cell is half-way if its hash is closer than this to the fraction at which the operation was torn."""


def whole(weak: bytes, op: FlashOp) -> bytes:
    """The mask of a page after a complete operation."""
    if not weak or not op.took:
        return weak
    return b"" if op.kind == "erase" else _programmed(weak, op.offset, op.data)


def torn(
    weak: bytes, page: bytes, op: FlashOp, phi: float, seed: bytes, number: int, word_size: int
) -> bytes:
    """The mask of a page after an operation that was torn at `phi`.

    :param page: what the page read as before the operation.
    """
    if not op.took or phi <= 0:
        return weak
    if phi >= 1:
        return whole(weak, op)
    if op.kind == "erase":
        share = erased_share(phi, seed, number)
        low, high = (mask(seed, number, -1, len(page), s) for s in _around(share, ERASED_AT_MOST))
        half = _and(_and(high, _not(low)), _not(page))
        return _or_none(_or(half, _and(weak, _not(high)) if weak else b""))
    done, part = torn_word(phi, op.data, word_size)
    left = op.data[done : done + word_size]
    if weak:
        weak = _programmed(weak, op.offset, op.data[:done])
    if not left:
        return weak
    low, high = (mask(seed, number, done, len(left), s) for s in _around(part, 1.0))
    at = op.offset + done
    half = _and(_and(high, _not(low)), _and(_not(left), page[at : at + len(left)]))
    if weak:
        weak = _programmed(weak, at, bytes(byte | ~cleared & 0xFF for byte, cleared in zip(left, low)))
    there = bytes(at) + half + bytes(len(page) - at - len(half))
    return _or_none(_or(there, weak))


def settled(page: bytes, weak: bytes, seed: bytes, boot: int, chip: str, number: int) -> bytes:
    """What a page reads as during one boot."""
    drawn = hashlib.shake_128(child(seed, "metastable", boot, chip, number)).digest(len(page))
    return _or(_and(page, _not(weak)), _and(drawn, weak))


def _around(share: float, most: float) -> tuple[float, float]:
    return max(share - DELTA, 0.0), min(share + DELTA, most)


def _programmed(weak: bytes, offset: int, data: bytes) -> bytes:
    end = offset + len(data)
    return _or_none(weak[:offset] + _and(weak[offset:end], data) + weak[end:])


def _or_none(weak: bytes) -> bytes:
    return weak if weak.count(0) != len(weak) else b""


def _not(one: bytes) -> bytes:
    return bytes(~byte & 0xFF for byte in one)


def _and(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") & int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _or(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") | int.from_bytes(other, "big")).to_bytes(len(one), "big")
