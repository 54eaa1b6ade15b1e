"""What a torn flash operation leaves in a page: pure functions of seed, operation and cell.

Model and figures: docs/flash.md.
"""

from __future__ import annotations

import hashlib

from harness.base.seeds import child, unit


def programmed(page: bytes, offset: int, data: bytes) -> bytes:
    """A page after `data` was programmed at `offset`."""
    end = offset + len(data)
    there = page[offset:end]
    if there != b"\xff" * len(there):
        merged = int.from_bytes(there, "big") & int.from_bytes(data, "big")
        data = merged.to_bytes(len(data), "big")
    return page[:offset] + data + page[end:]


def torn_program(
    page: bytes, offset: int, data: bytes, phi: float, seed: bytes, index: int, word_size: int
) -> bytes:
    """A page after a program call that was torn at the fraction `phi` of its time: 0 before, 1 after.

    Words are programmed in order. In the torn word, a bit that should be cleared is cleared iff its hash is below
    the fraction of the word's own time.
    """
    if phi >= 1:
        return programmed(page, offset, data)
    done, part = torn_word(phi, data, word_size)
    result = programmed(page, offset, data[:done]) if done else page
    torn = data[done : done + word_size]
    if torn and part > 0:
        keep = mask(seed, index, done, len(torn), part)
        weakened = bytes(byte | ~kept & 0xFF for byte, kept in zip(torn, keep))
        result = programmed(result, offset + done, weakened)
    return result


def torn_erase(page: bytes, phi: float, seed: bytes, index: int) -> bytes:
    """A page after an erase that was torn at the fraction `phi` of its time.

    A cell is set when its hash is below F(phi). F rises early, evenly or late, chosen by the seed for each erase;
    one cell in a hundred is set only at the very end.
    """
    if phi <= 0:
        return page
    if phi >= 1:
        return b"\xff" * len(page)
    done = int.from_bytes(mask(seed, index, -1, len(page), erased_share(phi, seed, index)), "big")
    return (int.from_bytes(page, "big") | done).to_bytes(len(page), "big")


ERASED_AT_MOST = 0.99
"""The largest share of cells that is set before the end of an erase."""


def erased_share(phi: float, seed: bytes, index: int) -> float:
    """The share of cells that an erase torn at `phi` has set."""
    pace = (0.25, 1.0, 4.0)[int(unit(seed, "erase pace", index) * 3)]
    return min(float(phi**pace), ERASED_AT_MOST)


def torn_word(phi: float, data: bytes, word_size: int) -> tuple[int, float]:
    """Bytes in complete words, and the fraction of the next word, of a program call torn at `phi`."""
    words = -(-len(data) // word_size)
    whole, part = divmod(phi * words, 1)
    return min(int(whole) * word_size, len(data)), part


_PLANES = 10


def mask(seed: bytes, index: int, place: int, size: int, share: float) -> bytes:
    """`size` bytes in which a bit is 1 iff its own 10-bit hash is below `share`; monotone in `share`.

    Hashes are compared bit plane by bit plane, most significant first, as large integers: 32,768 cells at once.
    """
    limit = round(share * (1 << _PLANES))
    if limit >= 1 << _PLANES:
        return b"\xff" * size
    material = hashlib.shake_128(child(seed, "tear", index, place)).digest(size * _PLANES)
    ones = (1 << (8 * size)) - 1
    below, equal = 0, ones
    for plane in range(_PLANES):
        bits = int.from_bytes(material[plane * size : (plane + 1) * size], "big")
        if limit >> (_PLANES - 1 - plane) & 1:
            below |= equal & ~bits
            equal &= bits
        else:
            equal &= ~bits
    return (below & ones).to_bytes(size, "big")
