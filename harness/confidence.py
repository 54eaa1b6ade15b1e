"""What a clean campaign proves: for one operation, from its covering cuts alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import erf, sqrt

CONFIDENCE = 0.95
PLACES = 400
"""So many placements of a window are looked at."""


def bound(clean: int, confidence: float = CONFIDENCE) -> dict[str, float] | None:
    """With `clean` cuts and no violation: fewer than `below` of all instants violate, with that confidence.

    1 - (1 - confidence)^(1/n); evenly spread points are not independent, so this is an approximation.
    """
    if clean < 1:
        return None
    return {"confidence": confidence, "below": round(1 - (1 - confidence) ** (1 / clean), 9)}


def narrowest_window_us(hits_us: Sequence[float], length_us: float, sigma_us: float) -> float | None:
    """w95: the narrowest window every placement of which in 0 .. length would have been hit with 95 %.

    :param hits_us: where the power really went, in the operation's own time.
    :param sigma_us: how far the operation's time strays from run to run.
    :returns: None if no window inside the operation would have been hit so surely.
    """
    points = sorted(hits_us)
    if not points or length_us <= 0:
        return None
    low, high = 0.0, float(length_us)
    if not _always_hit(points, high, length_us, sigma_us):
        return None
    for _ in range(16):
        width = (low + high) / 2
        if _always_hit(points, width, length_us, sigma_us):
            high = width
        else:
            low = width
    return high


def _always_hit(points: list[float], width: float, length_us: float, sigma_us: float) -> bool:
    room = max(length_us - width, 0.0)
    starts = {room * i / PLACES for i in range(PLACES + 1)}
    # Without jitter the worst window begins just behind a point.
    starts |= {min(point + 1e-6, room) for point in points}
    return all(_hit(points, start, start + width, sigma_us) >= CONFIDENCE for start in starts)


def _hit(points: list[float], start: float, end: float, sigma_us: float) -> float:
    """The probability that at least one of the points takes effect in a window."""
    if sigma_us <= 0:
        at = bisect_left(points, start)
        return 1.0 if at < len(points) and points[at] < end else 0.0
    missed = 1.0
    scale = sigma_us * sqrt(2)
    for at in range(bisect_left(points, start - 6 * sigma_us), len(points)):
        point = points[at]
        if point > end + 6 * sigma_us or missed < 1 - CONFIDENCE:
            break
        missed *= 1 - (erf((end - point) / scale) - erf((start - point) / scale)) / 2
    return 1 - missed
