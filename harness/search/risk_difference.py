"""The difference of two shares of harmful cuts, with an interval: of two independent samples, or of paired cuts.

The intervals are Newcombe's hybrid scores, from Wilson's interval of each share: R. G. Newcombe, Statistics in
Medicine 17 (1998), 873-890 (independent, method 10) and 2635-2650 (paired, method 10). McNemar's test is the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from harness.search.binomial import binomial_cdf
from harness.search.bounds import check_share


@dataclass(frozen=True)
class Difference:
    """Share of B less share of A. :ivar low, high: its interval. :ivar p: of "both are alike", two-sided."""

    value: float
    low: float
    high: float
    p: float


def wilson(bad: int, of: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's two-sided interval of a share.

    :raises ValueError: impossible counts, or a confidence that is not between 0 and 1.
    """
    check_share(confidence, "confidence")
    if not 0 <= bad <= of or of < 1:
        raise ValueError(f"{bad} of {of}")
    z = NormalDist().inv_cdf(1 - (1 - confidence) / 2)
    share, square = bad / of, z * z
    middle = (share + square / (2 * of)) / (1 + square / of)
    spread = z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    # At 0 and at 1 the interval ends there exactly, and rounding must not say otherwise.
    return (0.0 if not bad else max(0.0, middle - spread)), (1.0 if bad == of else min(1.0, middle + spread))


def independent(a: tuple[int, int], b: tuple[int, int], confidence: float) -> Difference:
    """Compare two samples, each (harmful cuts, cuts)."""
    return _hybrid(a, b, confidence, 0.0, _fisher(a, b))


def paired(both: int, only_a: int, only_b: int, neither: int, confidence: float) -> Difference:
    """Compare pairs of cuts at the same instant: numbers of pairs in which both, one or neither did harm."""
    of = both + only_a + only_b + neither
    a, b = both + only_a, both + only_b
    margins = a * (of - a) * b * (of - b)
    together = float(both * neither - only_a * only_b)
    if together > 0:
        # Method 10 counts what goes together for less, so that few pairs do not make the interval too narrow.
        together = max(0.0, together - of / 2)
    phi = 0.0 if not margins else together / sqrt(margins)
    return _hybrid((a, of), (b, of), confidence, phi, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p of McNemar's test: the pairs that differ are as likely either way."""
    differing = only_a + only_b
    return 1.0 if not differing else min(1.0, 2 * binomial_cdf(min(only_a, only_b), differing, 0.5))


def holm(ps: Sequence[float]) -> list[float]:
    """Return each p corrected for all of them: Holm's step-down method."""
    ordered = sorted(range(len(ps)), key=lambda at: ps[at])
    corrected, highest = [1.0] * len(ps), 0.0
    for rank, at in enumerate(ordered):
        highest = max(highest, min(1.0, ps[at] * (len(ps) - rank)))
        corrected[at] = highest
    return corrected


def _hybrid(a: tuple[int, int], b: tuple[int, int], confidence: float, phi: float, p: float) -> Difference:
    (low_a, high_a), (low_b, high_b) = wilson(*a, confidence), wilson(*b, confidence)
    share_a, share_b = a[0] / a[1], b[0] / b[1]
    below, above = share_b - low_b, high_b - share_b
    below_a, above_a = share_a - low_a, high_a - share_a
    low = sqrt(max(0.0, below**2 - 2 * phi * below * above_a + above_a**2))
    high = sqrt(max(0.0, above**2 - 2 * phi * above * below_a + below_a**2))
    value = share_b - share_a
    return Difference(value, max(-1.0, value - low), min(1.0, value + high), p)


def _fisher(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Return Fisher's exact two-sided p: the tables that are as unlikely as this one, or less likely."""
    bad, whole = a[0] + b[0], a[1] + b[1]
    first, last = max(0, bad - b[1]), min(bad, a[1])
    # The hypergeometric weights, each from the one before: no factorial is needed.
    weights, weight = [], 1.0
    for k in range(first, last + 1):
        weights.append(weight)
        if k < last:
            weight *= (a[1] - k) * (bad - k) / ((k + 1) * (whole - a[1] - bad + k + 1))
    here, total = weights[a[0] - first], sum(weights)
    return min(1.0, sum(one for one in weights if one <= here * (1 + 1e-9)) / total)
