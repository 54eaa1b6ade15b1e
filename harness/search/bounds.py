"""What the covering cuts of one operation prove about P(harm), and how many cuts a claim needs.

P(harm) is the share of all instants of the operation at which a power cut does harm. Only covering cuts count,
because cuts that were aimed at a suspicious place bias the figure. Figures of several operations are never
pooled: the weakest one is quoted.

The bounds are exact for independent random cuts. The covering cuts are scrambled low-discrepancy points, which
are spread more evenly than that; for them the bounds are approximations, on the safe side for any harm that is
contiguous in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import ceil, exp, expm1, log, log1p, sqrt

from harness.search.binomial import binomial_cdf, binomial_pmf

CONFIDENCE = 0.95
_PRECISION = 1e-14
_STEPS_MAX = 200


def budget_for(confidence: float, below: float) -> int:
    """Number of failure-free random cuts needed to claim P(harm) < below.

    59 for (0.95, 5 %), 299 for (0.95, 1 %), 459 for (0.99, 1 %), 2,995 for (0.95, 0.1 %).

    :param confidence: of the claim, between 0 and 1.
    :raises ValueError: `confidence` or `below` is not between 0 and 1.
    """
    check_share(confidence, "confidence")
    check_share(below, "below")
    return max(1, ceil(log1p(-confidence) / log1p(-below) - 1e-9))


def upper_bound(failures: int, cuts: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided upper bound of P(harm).

    :param failures: number of cuts that did harm, of `cuts`.
    :raises ValueError: impossible counts, or a confidence that is not between 0 and 1.
    """
    check_share(confidence, "confidence")
    _check_counts(failures, cuts)
    if failures == cuts:
        return 1.0
    if failures == 0:
        return -expm1(log1p(-confidence) / cuts)
    return _where_cdf_is(1 - confidence, failures, cuts)


def lower_bound(failures: int, cuts: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided lower bound of P(harm).

    :param failures: number of cuts that did harm, of `cuts`.
    :raises ValueError: impossible counts, or a confidence that is not between 0 and 1.
    """
    check_share(confidence, "confidence")
    _check_counts(failures, cuts)
    if failures == 0:
        return 0.0
    if failures == cuts:
        return exp(log1p(-confidence) / cuts)
    return _where_cdf_is(confidence, failures - 1, cuts)


def reproduction(failures: int, repeats: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of how often a finding is reproduced.

    :param failures: number of repetitions that showed it again, of `repeats`.
    :returns: (lower, upper) share.
    """
    each = 1 - (1 - confidence) / 2
    return lower_bound(failures, repeats, each), upper_bound(failures, repeats, each)


def unseen(classes: Iterable[str]) -> float:
    """Good and Turing's estimate of P(the next covering cut shows a class that was not seen yet).

    :param classes: one for each cut: its outcome, or its outcome with the items that changed.
    :returns: 1 if there was no cut.
    """
    counts = Counter(classes)
    total = sum(counts.values())
    return sum(1 for count in counts.values() if count == 1) / total if total else 1.0


def check_share(value: float, name: str) -> None:
    """:raises ValueError: the value does not lie between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie between 0 and 1")


def _check_counts(failures: int, cuts: int) -> None:
    if not 0 <= failures <= cuts:
        raise ValueError(f"{failures} failures in {cuts} cuts")


def _where_cdf_is(wanted: float, failures: int, cuts: int) -> float:
    """The p at which P(at most `failures` of `cuts` | p) is `wanted`; 0 <= failures < cuts.

    Newton's method from Wilson's approximation. Where a step would leave the bracket, it is halved instead.
    """
    low, high = 0.0, 1.0
    p = _wilson(wanted, failures + 0.5, cuts)
    for _ in range(_STEPS_MAX):
        excess = binomial_cdf(failures, cuts, p) - wanted
        if excess > 0:
            low = p
        else:
            high = p
        slope = (cuts - failures) * binomial_pmf(failures, cuts, p) / (1 - p)
        following = p + excess / slope if slope > 0 else high
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - p) <= _PRECISION * p:
            return following
        p = following
    return p


def _wilson(below: float, failures: float, cuts: int) -> float:
    """About the p at which P(at most `failures` of `cuts` | p) is `below`; strictly between 0 and 1."""
    z = _normal_quantile(1 - below)
    share = (failures + z * z / 2) / (cuts + z * z)
    spread = z / (cuts + z * z) * sqrt(max(failures * (cuts - failures) / cuts, 0) + z * z / 4)
    return min(max(share + spread, 0.1 / cuts), 1 - 0.1 / cuts)


def _normal_quantile(share: float) -> float:
    """The standard normal distribution's quantile to 0.0005 (Abramowitz and Stegun 26.2.23)."""
    tail = min(share, 1 - share)
    t = sqrt(-2 * log(tail))
    z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return z if share > 0.5 else -z
