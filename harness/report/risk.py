"""The risk of a sampled operation against the number of cuts.

Above, as shares of all instants: the upper bound on violating instants (Clopper and Pearson, from covering cuts only)
with the goal, and the probability that the next covering cut shows an outcome not seen before (Good and Turing).
Below, in ms: w95, the width of the widest window that was not hit with 95 % confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.model.row import is_covering
from harness.report import canvas
from harness.report.canvas import FAINT, INK, PALE
from harness.report.cut_map import place
from harness.report.files import Row
from harness.report.vocabulary import at_most, counted, fraction, is_violation, number
from harness.search.bounds import CONFIDENCE, unseen, upper_bound
from harness.search.window import narrowest_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, RIGHT = 11.0, 2.35, 0.75
SHARES, WINDOWS = 2.3, 0.95
"""Inches: the two panels."""
POINTS = 80
"""Number of points that are computed for each line."""
BOUND, NEW, WINDOW = "#0072B2", "#E69F00", "#009E73"


@dataclass(frozen=True)
class Step:
    """What was known after a number of cuts.

    :ivar below: the bound; 1 before the first covering cut.
    :ivar new: probability that the next covering cut shows something new.
    :ivar window_us: w95; None while a window as wide as the operation could have been missed.
    """

    cuts: int
    below: float
    new: float
    window_us: float | None


def steps(operation: Row, rows: Sequence[Row], trace: Row | None = None) -> list[Step]:
    """Return the steps of a campaign, from its rows in the order of the plan."""
    timing = operation.get("timing") or {}
    sigma_us = 1000 * (timing.get("jitter_ms") or 0)
    confidence = (operation.get("goal") or operation.get("bound") or {}).get("confidence", CONFIDENCE)
    chosen = [row for row in rows if (row["planned"] or {}).get("marker") != "end"]
    whole_us = 1000 * (timing.get("whole_ms") or 0) or max((trace or {}).get("end_us") or 0, 1)
    every = max(1, len(chosen) // POINTS)
    found: list[Step] = []
    classes: list[str] = []
    covering: list[Row] = []
    for number_, row in enumerate(chosen, start=1):
        if is_covering(row):
            covering.append(row)
            classes.append(" ".join([row["outcome"], *sorted(row["changed"])]))
        if number_ % every and number_ != len(chosen):
            continue
        failures = sum(1 for one in covering if one.get("blame") == "key")
        hits = [at for at, _ in place(covering, trace).cuts] if covering else []
        found.append(
            Step(
                number_,
                upper_bound(failures, len(covering), confidence) if covering else 1.0,
                unseen(classes),
                narrowest_window(hits, whole_us, sigma_us),
            )
        )
    return found


def risk(operation: Row, rows: Sequence[Row], out: Path, trace: Row | None = None) -> Path:
    """Draw how the bound of a sampled operation fell with the number of cuts.

    :param operation: its line in operations.jsonl. :param rows: its lines in evidence.jsonl.
    """
    way = steps(operation, rows, trace)
    with canvas.drawing():
        figure = canvas.new_figure(WIDTH, SHARES + WINDOWS + 1.75)
        wide = WIDTH - LEFT - RIGHT
        upper = canvas.axes(figure, (LEFT, WINDOWS + 1.15, wide, SHARES))
        lower = canvas.axes(figure, (LEFT, 0.75, wide, WINDOWS))
        last = max((step.cuts for step in way), default=1)
        per_inch = last / wide
        _shares(upper, operation, way, last, per_inch)
        _windows(lower, way, last, per_inch)
        _cuts(lower, last)
        _titles(figure, operation, rows)
        return canvas.write(figure, out)


def _shares(area: Axes, operation: Row, way: Sequence[Step], last: int, per_inch: float) -> None:
    goal = operation.get("goal") or {}
    seen = [step.below for step in way] + ([goal["below"]] if goal else [])
    lowest = min([share for share in seen if share > 0], default=0.01)
    bottom = floor(log10(lowest * 0.9))
    area.set_xlim(0, last)
    area.set_ylim(bottom, 0.05)
    for decade in range(bottom, 1):
        area.hlines([decade], 0, last, colors=PALE, linewidth=1.2, zorder=0)
        said = fraction(10.0**decade)
        area.text(-0.1 * per_inch, decade, said, ha="right", va="center", color=FAINT)
    area.text(-0.75 * per_inch, bottom / 2, "of all instants", ha="right", va="center", color=FAINT)
    xs = [step.cuts for step in way]
    # A probability below the axis is drawn on its edge.
    new = [log10(max(step.new, 10.0**bottom)) for step in way]
    area.step(xs, new, where="post", color=NEW, linewidth=1.4, linestyle=(0, (4, 2)), zorder=2)
    area.step(xs, [log10(step.below) for step in way], where="post", color=BOUND, linewidth=2, zorder=3)
    if goal:
        y = log10(goal["below"])
        area.hlines([y], 0, last, colors=INK, linewidth=1, linestyle=(0, (1, 1.5)), zorder=1)
        area.text(last + 0.06 * per_inch, y, f"goal\n{fraction(goal['below'])}", ha="left", va="center")
    if way:
        confidence = (operation.get("goal") or operation.get("bound") or {}).get("confidence", CONFIDENCE)
        key = f"bound ({fraction(confidence)}, approximate): below {at_most(way[-1].below)}"
        _key(area, last, per_inch, 0.0, BOUND, "-", key, 0)
        _key(
            area,
            last,
            per_inch,
            0.0,
            NEW,
            (0, (4, 2)),
            "chance that the next covering cut shows something new",
            1,
        )


def _key(
    area: Axes, last: int, per_inch: float, top: float, colour: str, style: Any, said: str, row: int
) -> None:
    low, high = area.get_ylim()
    y = high - (high - low) * (0.06 + 0.085 * row)
    x = last - 0.15 * per_inch
    area.text(
        x, y, said, ha="right", va="center", zorder=5, bbox={"facecolor": "white", "linewidth": 0, "pad": 1.5}
    )
    left = x - (0.066 * len(said) + 0.45) * per_inch
    area.plot([left, left + 0.35 * per_inch], [y, y], color=colour, linestyle=style, linewidth=2, zorder=5)


def _windows(area: Axes, way: Sequence[Step], last: int, per_inch: float) -> None:
    known = [(step.cuts, step.window_us / 1000) for step in way if step.window_us is not None]
    highest = max((ms for _, ms in known), default=1.0)
    area.set_xlim(0, last)
    area.set_ylim(0, highest * 1.1)
    for share in (0.0, 0.5, 1.0):
        area.hlines([highest * share], 0, last, colors=PALE, linewidth=1.2, zorder=0)
        said = f"{number(round(highest * share, 1))} ms"
        area.text(-0.1 * per_inch, highest * share, said, ha="right", va="center", color=FAINT)
    area.text(-0.75 * per_inch, highest * 0.55, "w95", ha="right", va="center", color=FAINT)
    if known:
        area.step(*zip(*known), where="post", color=WINDOW, linewidth=2, zorder=3)
        said = f"{number(round(known[-1][1], 2))} ms"
        area.text(last + 0.06 * per_inch, known[-1][1], said, ha="left", va="center")


def _cuts(area: Axes, last: int) -> None:
    low, high = area.get_ylim()
    for at in _round_steps(last):
        area.vlines([at], low - 0.05 * (high - low), low, colors=FAINT, linewidth=0.8, clip_on=False)
        area.text(
            at, low - 0.09 * (high - low), number(at), ha="center", va="top", color=FAINT, clip_on=False
        )
    area.text(last / 2, low - 0.32 * (high - low), "cuts", ha="center", va="top", color=FAINT, clip_on=False)


def _round_steps(last: int) -> list[int]:
    """Return round numbers for the axis, such as 0, 100, 200: seven at most."""
    step = 10 ** max(0, floor(log10(max(last, 1))))
    for size in (max(1, step // 5), max(1, step // 2), step, 2 * step, 5 * step):
        if last // size <= 6:
            return list(range(0, last + 1, size))
    return [0, last]


def _titles(figure: Figure, operation: Row, rows: Sequence[Row]) -> None:
    width, height = figure.get_size_inches()
    name = f"{operation['operation']} on {operation['rig']}"
    figure.text(0.15 / width, 1 - 0.12 / height, name, ha="left", va="top", size=11, weight="bold")
    bad = sum(1 for row in rows if is_violation(row["outcome"]))
    firmware = next((row["firmware"] for row in rows if row.get("firmware")), None)
    said = f"{counted(bad, 'violation')} in {counted(operation.get('cuts') or 0, 'judged cut')}"
    x = 1 - 0.35 / width
    said = f"{firmware} · {said}" if firmware else said
    figure.text(x, 1 - 0.145 / height, said, ha="right", va="top", color=FAINT)
