"""Below a cut map: the covering cuts, the widest window that they may have missed, and the place of each finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.report import canvas
from harness.report.canvas import FAINT, INK, PALE
from harness.report.files import Row
from harness.report.vocabulary import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT = 0.36
BARS = 0.2
"""Inches: heights of the strip and of the bars in it."""
_BAR, _EDGE = "#5B5B5B", "#D55E00"


def strip(
    area: Axes,
    operation: Row,
    hits_us: Sequence[float],
    x: Callable[[float], float],
    y: float,
    span: tuple[float, float],
    per_inch: float,
) -> None:
    """Draw each covering cut as a bar as wide as its jitter, and w95 under the widest gap.

    :param x: from microseconds to the axis. :param y: the strip's lower edge.
    """
    ats = sorted(hits_us)
    low = y + HEIGHT - BARS
    canvas.boxes(area, [(span[0], low, span[1] - span[0], BARS)], facecolor=PALE, zorder=0)
    sigma_us = 1000 * ((operation.get("timing") or {}).get("jitter_ms") or 0)
    thin = 0.01 * per_inch
    places = []
    for at in ats:
        wide = max(x(at + sigma_us) - x(at - sigma_us), thin)
        places.append((x(at) - wide / 2, low, wide, BARS))
    canvas.boxes(area, places, facecolor=_BAR, zorder=2)
    said = f"{number(len(ats))} evenly spread"
    area.text(span[0] - 0.1 * per_inch, low + BARS / 2, said, ha="right", va="center", color=FAINT)
    window_ms = operation.get("window_ms")
    if window_ms is None or not ats:
        return
    first_us, end_us = widest(ats, window_ms * 1000, operation)
    left, right = x(first_us), x(end_us)
    bracket = y + HEIGHT - BARS - 0.04
    area.plot(
        [left, left, right, right], [bracket + 0.03, bracket, bracket, bracket + 0.03], color=INK, linewidth=1
    )
    middle = min(max((left + right) / 2, span[0] + 0.6 * per_inch), span[1] - 0.6 * per_inch)
    said = f"w95 {number(window_ms)} ms"
    area.text(middle, bracket - 0.02, said, ha="center", va="top", color=INK, clip_on=False, size=7.5)


def widest(ats: Sequence[float], window_us: float, operation: Row) -> tuple[float, float]:
    """Return start and end of a window in the middle of the widest gap between covering cuts."""
    whole_us = 1000 * ((operation.get("timing") or {}).get("whole_ms") or 0) or ats[-1]
    edges = [0.0, *ats, max(whole_us, ats[-1])]
    start, end = max(pairwise(edges), key=lambda gap: gap[1] - gap[0])
    middle = (start + end) / 2
    return middle - window_us / 2, middle + window_us / 2


def findings(
    area: Axes, operation: Row, x: Callable[[float], float], low: float, high: float, per_inch: float
) -> None:
    """Draw the instants between which each finding lies, as a hatched band over the lanes."""
    for finding in operation.get("findings") or []:
        place = finding.get("narrowest") or {}
        if place.get("from_us") is None:
            continue
        left, right = x(place["from_us"]), x(place["to_us"])
        wide = max(right - left, 0.03 * per_inch)
        canvas.boxes(
            area,
            [((left + right - wide) / 2, low, wide, high - low)],
            facecolor="none",
            edgecolor=_EDGE,
            linewidth=1.1,
            linestyle=(0, (2, 1.5)),
            zorder=4,
        )
