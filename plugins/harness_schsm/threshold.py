"""A secret among custodians: any n of m can put it together, and fewer learn nothing (Shamir, 1979).

`sc-hsm-tool --pwd-shares-threshold` divides the password of a DKEK share in this way. The card knows nothing of it: to
the card a DKEK has a number of shares, and needs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIZE = 8
"""Bytes of the secret: a password of OpenSC's tool."""
PRIME = (1 << 64) + 13
"""The smallest prime above every secret."""


@dataclass(frozen=True)
class Part:
    """What one custodian keeps: a point of the polynomial."""

    number: int
    value: int


def divide(secret: bytes, needed: int, custodians: int, below: Callable[[int], int]) -> list[Part]:
    """Divide a secret of 8 bytes.

    :param below: (n) -> a random number from 0 to n - 1.
    :raises ValueError: another length, or more parts needed than there are.
    """
    if len(secret) != SIZE:
        raise ValueError(f"the secret has {SIZE} bytes, this one {len(secret)}")
    if not 1 <= needed <= custodians:
        raise ValueError(f"{needed} of {custodians} custodians: from 1 to all of them are needed")
    terms = [int.from_bytes(secret, "big"), *(below(PRIME) for _ in range(needed - 1))]
    return [
        Part(x, sum(term * x**power for power, term in enumerate(terms)) % PRIME)
        for x in range(1, custodians + 1)
    ]


def join(parts: Sequence[Part]) -> bytes:
    """Put the secret together; too few parts, or a wrong one, give another one.

    :raises ValueError: a part is there twice, or what comes out is no secret of 8 bytes.
    """
    if len({part.number for part in parts}) != len(parts) or not parts:
        raise ValueError("each part counts once")
    total = 0
    for part in parts:
        above = below = 1
        for other in parts:
            if other is not part:
                above = above * -other.number % PRIME
                below = below * (part.number - other.number) % PRIME
        total += part.value * above * pow(below, -1, PRIME)
    if total % PRIME >= 1 << 8 * SIZE:
        raise ValueError("these parts make no secret")
    return (total % PRIME).to_bytes(SIZE, "big")
