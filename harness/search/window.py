"""w95: the narrowest time window that a campaign's covering cuts would have hit, wherever it lies."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from math import erf, sqrt

from harness.search.bounds import CONFIDENCE, check_share


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
    check_share(confidence, "confidence")
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
