"""What a campaign proves of one operation, and how many cuts a goal takes.

Every figure is of one operation and of its covering cuts; cuts that were aimed bias it. Scrambled points are
not independent, so the bounds are approximations, on the safe side for anything that holds together in time.
Figures of several operations are never pooled: the weakest is quoted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, erf, exp, log, log1p, sqrt
from typing import Literal

CONFIDENCE = 0.95


def budget_for(confidence: float, below: float) -> int:
    """So many clean covering cuts say with that confidence: fewer than `below` of all instants do harm.

    59 for (0.95, 5 %), 299 for (0.95, 1 %), 459 for (0.99, 1 %), 2,995 for (0.95, 0.1 %).
    """
    _share(confidence, "confidence")
    _share(below, "below")
    return max(1, ceil(log1p(-confidence) / log1p(-below) - 1e-9))


def upper_bound(failures: int, cuts: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided bound: with that confidence at most this share of instants do harm."""
    _share(confidence, "confidence")
    _counts(failures, cuts)
    if failures >= cuts:
        return 1.0
    # P(at most so many failures | p) falls with p; the bound is where it is 1 - confidence.
    return _solve(lambda p: _at_most(failures, cuts, p) - (1 - confidence))


def lower_bound(failures: int, cuts: int, confidence: float = CONFIDENCE) -> float:
    """The same from below: with that confidence at least this share."""
    _share(confidence, "confidence")
    _counts(failures, cuts)
    if failures == 0:
        return 0.0
    return _solve(lambda p: (1 - confidence) - (1 - _at_most(failures - 1, cuts, p)))


def reproduction(failures: int, repeats: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of how often a finding comes back: r of n."""
    each = 1 - (1 - confidence) / 2
    return lower_bound(failures, repeats, each), upper_bound(failures, repeats, each)


Decision = Literal["go on", "accept", "reject"]


@dataclass(frozen=True)
class Sprt:
    """Wald's sequential test of p0 against p1: stops as soon as the cuts tell them apart.

    With the defaults 326 clean cuts accept p0.

    :ivar p0: share of harmful instants that is as good as none. :ivar p1: one that is too many.
    :ivar alpha: how often p0 may be rejected. :ivar beta: how often p1 may be accepted.
    """

    p0: float = 0.001
    p1: float = 0.01
    alpha: float = 0.05
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.p0 < self.p1 < 1:
            raise ValueError(f"p0 is {self.p0} and p1 is {self.p1}; 0 < p0 < p1 < 1 is needed")

    def decide(self, failures: int, cuts: int) -> Decision:
        """What so many failures in so many covering cuts say."""
        _counts(failures, cuts)
        ratio = failures * log(self.p1 / self.p0) + (cuts - failures) * (log1p(-self.p1) - log1p(-self.p0))
        if ratio <= log(self.beta / (1 - self.alpha)):
            return "accept"
        if ratio >= log((1 - self.beta) / self.alpha):
            return "reject"
        return "go on"


def unseen(classes: Iterable[str]) -> float:
    """Good and Turing: how likely the next covering cut leads to a class not seen yet (1 before the first).

    A class is what the campaign tells apart: an outcome, or an outcome with the items that changed.
    """
    counts = Counter(classes)
    total = sum(counts.values())
    return sum(1 for count in counts.values() if count == 1) / total if total else 1.0


@dataclass(frozen=True)
class Missed:
    """How many cuts planned in one section of the operation took no effect in it."""

    section: str
    missed: int
    planned: int

    @property
    def share(self) -> float:
        return self.missed / self.planned if self.planned else 0.0


def missed_by_section(cuts: Iterable[tuple[str, bool]]) -> list[Missed]:
    """From (section, was it missed) of each cut, the worst section first.

    :param cuts: the section of a cut usually is the marker it was anchored to.
    """
    counts: dict[str, list[int]] = {}
    for section, missed in cuts:
        count = counts.setdefault(section, [0, 0])
        count[0] += missed
        count[1] += 1
    found = [Missed(section, *count) for section, count in counts.items()]
    return sorted(found, key=lambda one: (-one.share, one.section))


def weakest(bounds: Mapping[str, float]) -> tuple[str, float] | None:
    """The operation whose bound is the highest, which is the one to quote."""
    return max(bounds.items(), key=lambda one: (one[1], one[0]), default=None)


def narrowest_window(
    hits: Sequence[float],
    length: float,
    sigma: float | Callable[[float], float],
    confidence: float = CONFIDENCE,
) -> float | None:
    """w95: no wider window lies in 0 .. length that these cuts would not have hit, with that confidence.

    :param hits: where the covering cuts went, in any order.
    :param sigma: how far a cut strays; a function of where, if that differs (`Search.sigma_at`).
    :returns: None if not even the whole operation would have been hit so surely.
    """
    _share(confidence, "confidence")
    if not hits or length <= 0:
        return None
    cuts = _Cuts(hits, sigma if callable(sigma) else lambda _: sigma, confidence)
    # Windows that begin in the last part do not fit any more: there the last one, which ends with it, counts.
    if not cuts.hit(-length * 1e-12, length):
        return None
    last = _turn(0.0, length, lambda start: cuts.hit(start, length))
    # Without jitter the worst window begins just behind a cut.
    starts = {*(last * i / 256 for i in range(256)), *(x for x in hits if 0 < x < last)}
    widest = length - last
    for start in sorted(starts):
        # Most starts are no worse than the worst so far, which is quickly seen.
        if start + widest < length and not cuts.hit(start, start + widest):
            end = _turn(length, start + widest, partial(cuts.hit, start))
            widest = max(widest, end - start)
    return widest


class _Cuts:
    def __init__(self, hits: Sequence[float], sigma: Callable[[float], float], confidence: float):
        self._xs = sorted(hits)
        self._scales = [sigma(x) * sqrt(2) for x in self._xs]
        self._reach = 5 * max(self._scales)
        self._may_miss = (1 - confidence) * (1 + 1e-9)

    def hit(self, start: float, end: float) -> bool:
        """Does one cut or another take effect after `start` and by `end`, with that confidence?"""
        missed = 1.0
        for at in range(bisect_left(self._xs, start - self._reach), len(self._xs)):
            x, scale = self._xs[at], self._scales[at]
            if x > end + self._reach:
                break
            if scale > 0:
                missed *= 1 - (erf((end - x) / scale) - erf((start - x) / scale)) / 2
            elif start < x <= end:
                missed = 0.0
            if missed <= self._may_miss:
                return True
        return False


def _turn(yes: float, no: float, holds: Callable[[float], bool]) -> float:
    """The value nearest to `no` for which something still holds, as far as 24 halvings tell."""
    for _ in range(24):
        middle = (yes + no) / 2
        if holds(middle):
            yes = middle
        else:
            no = middle
    return yes


def _at_most(failures: int, cuts: int, p: float) -> float:
    """P(at most so many of the cuts fail), each with probability p."""
    if p <= 0:
        return 1.0
    if p >= 1:
        return 1.0 if failures >= cuts else 0.0
    # In logarithms, because (1 - p)^n of many cuts is below the smallest float.
    term = cuts * log1p(-p)
    odds = log(p) - log1p(-p)
    total = exp(term)
    for k in range(failures):
        term += log((cuts - k) / (k + 1)) + odds
        total += exp(term)
    return min(1.0, total)


def _solve(falling: Callable[[float], float]) -> float:
    """Where a function of [0, 1] that falls through 0 does so."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
    return high


def _share(value: float, name: str) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie between 0 and 1")


def _counts(failures: int, cuts: int) -> None:
    if not 0 <= failures <= cuts:
        raise ValueError(f"{failures} failures in {cuts} cuts")
