"""Clopper and Pearson's bound: by the incomplete beta function, beside the plain sum of binomial terms."""

from __future__ import annotations

from math import exp, log, log1p

from benchmarks.timing import Beside, beside, seconds
from harness.search.bounds import CONFIDENCE, upper_bound

FAILURES, CUTS = 2_500, 50_000
HALVINGS = 60


def sums(repeats: int) -> Beside:
    """One upper bound; the plain sum bisects, as bounds were computed before."""
    return beside(
        f"upper bound of {FAILURES:,} failures in {CUTS:,} cuts",
        "incomplete beta function, Newton",
        lambda: seconds(lambda: upper_bound(FAILURES, CUTS)),
        "plain sum of terms, bisection",
        lambda: seconds(lambda: bound_by_sum(FAILURES, CUTS)),
        repeats,
    )


def million(repeats: int) -> Beside:
    """The slowest bound of a million cuts, beside one of a thousand."""
    return beside(
        "upper bound, half of all cuts fail",
        "1,000,000 cuts",
        lambda: seconds(lambda: upper_bound(500_000, 1_000_000)),
        "1,000 cuts",
        lambda: seconds(lambda: upper_bound(500, 1_000)),
        repeats,
    )


def bound_by_sum(failures: int, cuts: int, confidence: float = CONFIDENCE) -> float:
    """The same bound from the definition: P(at most `failures` of `cuts` | p) = 1 - confidence."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        p = (low + high) / 2
        if _at_most(failures, cuts, p) > 1 - confidence:
            low = p
        else:
            high = p
    return high


def _at_most(failures: int, cuts: int, p: float) -> float:
    term = cuts * log1p(-p)
    odds = log(p) - log1p(-p)
    total = exp(term)
    for k in range(failures):
        term += log((cuts - k) / (k + 1)) + odds
        total += exp(term)
    return min(1.0, total)
