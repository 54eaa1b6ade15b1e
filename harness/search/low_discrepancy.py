"""Where to cut when nothing is known: points that cover [0, 1) evenly, for any number of points.

Van der Corput points fill the largest gap next, so that a campaign may stop at any time. Scrambled by Owen's
nested permutation they are also not periodic: a merely shifted sequence does not see a window that comes
back with every chunk (simulated: 64 chunks, each vulnerable in 5 % of its length, were missed in 58 % of runs).
"""

from __future__ import annotations

from harness.base.seeds import child, unit

BITS = 24
"""Resolution: points differ by 1 part in 16 million, and there are at most 16 million of them."""


def cover(count: int, seed: bytes, first: int = 0) -> list[float]:
    """The points number `first` .. `first + count - 1` of the scrambled sequence of a seed, in its order.

    The first 2**k of them lie one in each of 2**k equal parts.
    """
    return [_scrambled(index, seed) for index in range(first, first + count)]


def _scrambled(index: int, seed: bytes) -> float:
    """Owen's scrambling in base 2: each bit is flipped or not, as the bits above it and the seed say."""
    value, path = 0, 1
    for bit in range(BITS):
        digit = index >> bit & 1
        value = value << 1 | (digit ^ (child(seed, "flip", path)[0] & 1))
        path = path << 1 | digit
    return (value + unit(seed, "rest", index)) / (1 << BITS)
