"""The flash raster: the outcome of a cut before, in and after each flash operation, and the page of each.

It shows which write is the commit point. Only twins have one: nobody sees the flash of a real key.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from harness.model.outcome import Outcome
from harness.report import canvas
from harness.report.canvas import ALARM, FAINT, INK, PALE
from harness.report.files import Row
from harness.report.vocabulary import CLASSES, counted, is_violation, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, RIGHT = 11.0, 2.35, 0.35
LANE, PAGE, GAP = 0.17, 0.17, 0.5
"""Inches."""
PER_PANEL = 75
"""Flash operations side by side; more of them go into further panels, like lines of text."""
PAGES_HEIGHT_MAX = 16.0
_BADNESS = [Outcome.STUCK, Outcome.LOST, Outcome.TORN, Outcome.ROLLED_BACK, Outcome.LOOSENED]
_COMMIT = "#006B4E"


@dataclass(frozen=True)
class Cells:
    """The worst outcome of each (flash operation, phase), and the operations where a second cut violates."""

    worst: Mapping[tuple[int, str], str]
    nested_bad: frozenset[int]
    phases: tuple[str, ...]
    counts: Mapping[str, int]


def flash_raster(operation: Row, rows: Sequence[Row], out: Path, trace: Row) -> Path:
    """Draw an operation's flash operations and the outcome of cutting each.

    :param operation: its line in operations.jsonl.
    :param rows: its lines in evidence.jsonl.
    :param trace: its flash operations, as in logs/.
    """
    ops: Sequence[Row] = trace["ops"]
    cells = collect(rows)
    classes = canvas.lanes(list(cells.worst.values()))
    commit = commit_point(rows, len(ops))
    panels = _panels(len(ops))
    pages = [sorted({(op["chip"], op["page"]) for op in ops[first - 1 : last]}) for first, last in panels]
    row_in = min(PAGE, PAGES_HEIGHT_MAX / max(1, sum(map(len, pages))))
    heights = [len(classes) * LANE + 0.08 + len(touched) * row_in for touched in pages]
    footer = _footer(ops, cells, commit)
    bottom, top = 0.42 + 0.19 * len(footer), 0.66
    with canvas.drawing():
        height = bottom + sum(heights) + GAP * (len(panels) - 1) + top
        figure = canvas.new_figure(WIDTH, height)
        _titles(figure, operation, footer)
        y = height - top
        op_in = (WIDTH - LEFT - RIGHT) / (max(last - first + 1 for first, last in panels) + 1)
        for (first, last), touched, tall in zip(panels, pages, heights):
            y -= tall
            area = canvas.axes(figure, (LEFT, y, op_in * (last - first + 2), tall))
            area.set_xlim(first - 0.5, last + 1.5)
            area.set_ylim(0, tall)
            panel = _Panel(area, ops, cells, first, last, 1 / op_in)
            panel.pages(touched, row_in, len(ops))
            panel.lanes(classes, len(touched) * row_in + 0.08)
            if commit is not None and first <= commit <= last:
                panel.commit(commit, tall)
            y -= GAP
        return canvas.write(figure, out)


def collect(rows: Sequence[Row]) -> Cells:
    """Sort evidence into cells. A second cut counts if its outcome is worse."""
    worst: dict[tuple[int, str], str] = {}
    nested_bad = set()
    phases = set()
    counts: Counter[str] = Counter()
    for row in rows:
        planned = row["planned"]
        at, phase = planned.get("flash_op"), planned.get("phase")
        if at is None or phase is None:
            continue
        counts[row["outcome"]] += 1
        if planned.get("nested"):
            if is_violation(row["outcome"]):
                nested_bad.add(at)
            continue
        phases.add(phase)
        cell = (at, phase)
        worst[cell] = min(worst.get(cell, row["outcome"]), row["outcome"], key=_badness)
    inside = sorted((phase for phase in phases if phase.startswith("torn")), key=lambda phase: int(phase[4:]))
    return Cells(worst, frozenset(nested_bad), ("before", *inside, "after"), counts)


def _badness(outcome: str) -> int:
    return _BADNESS.index(Outcome(outcome)) if outcome in _BADNESS else len(_BADNESS)


def commit_point(rows: Sequence[Row], ops: int) -> int | None:
    """Return the first flash operation after which every cut found the new world; None if there is none.

    0 means that every cut did. Second cuts and missed ones do not count.
    """
    commit, seen_new = 0, False
    for row in rows:
        planned = row["planned"]
        at = planned.get("flash_op")
        if at is None or planned.get("nested") or row["outcome"] == Outcome.MISSED:
            continue
        if row["outcome"] == Outcome.NEW:
            seen_new = True
        else:
            # A cut before or in operation n comes before n has committed anything.
            commit = max(commit, at + (planned["phase"] == "after"))
    return commit if seen_new and commit <= ops else None


def _panels(ops: int) -> list[tuple[int, int]]:
    """Return the first and last operation of each panel; all panels hold about equally many."""
    count = max(1, math.ceil(ops / PER_PANEL))
    edges = [round(i * ops / count) for i in range(count + 1)]
    return [(a + 1, b) for a, b in pairwise(edges)]


@dataclass(frozen=True)
class _Panel:
    """Some consecutive flash operations: x in operations, y in inches."""

    area: Axes
    ops: Sequence[Row]
    cells: Cells
    first: int
    last: int
    per_inch: float

    def pages(self, touched: list[tuple[str, int]], row_in: float, total: int) -> None:
        """Draw a row for each page: erases are tall and framed, programs low."""
        where = {page: len(touched) - 1 - i for i, page in enumerate(touched)}
        span = (self.first - 0.5, self.last - self.first + 1)
        every = max(1, math.ceil(0.13 / row_in))
        for (chip, page), row in where.items():
            if row % 2:
                canvas.boxes(
                    self.area, [(span[0], row * row_in, span[1], row_in)], facecolor="#F6F6F6", zorder=0
                )
            if row % every == 0:
                x = span[0] - 0.1 * self.per_inch
                self.area.text(
                    x, (row + 0.5) * row_in, f"{chip} page {page}", ha="right", va="center", size=7.5
                )
        fills: dict[str, list[canvas.Box]] = {}
        frames: list[canvas.Box] = []
        blanks: list[canvas.Box] = []
        for at in range(self.first, self.last + 1):
            op = self.ops[at - 1]
            y = where[op["chip"], op["page"]] * row_in
            tall = row_in * (0.88 if op["kind"] == "erase" else 0.5)
            whole = (at - 0.46, y + 0.06 * row_in, 0.92, tall)
            (frames if op["kind"] == "erase" else blanks).append(whole)
            for name, box in self._columns(at, whole):
                fills.setdefault(name, []).append(box)
        canvas.boxes(
            self.area, [*frames, *blanks], facecolor="white", linewidth=0.3, edgecolor="#BBBBBB", zorder=1
        )
        for name, places in fills.items():
            canvas.boxes(self.area, canvas.merged(places), facecolor=CLASSES[name].colour, zorder=2)
        canvas.boxes(self.area, frames, facecolor="none", edgecolor=INK, linewidth=0.9, zorder=3)
        step = 1 if self.last - self.first < 25 else 5
        final = self.last == total
        for at in range(self.first, self.last + 1):
            crowded = step > 1 and (at - self.first in (1, 2) or (final and self.last - at < 2))
            if at == self.first or (at % step == 0 and not crowded):
                self.area.text(
                    at, -0.05, str(at), ha="center", va="top", color=FAINT, size=7.5, clip_on=False
                )
        if final:
            self.area.text(
                self.last + 1, -0.05, "end", ha="center", va="top", color=FAINT, size=7.5, clip_on=False
            )

    def _columns(self, at: int, whole: canvas.Box) -> list[tuple[str, canvas.Box]]:
        x, y, wide, tall = whole
        column = wide / len(self.cells.phases)
        return [
            (self.cells.worst[at, phase], (x + i * column, y, column, tall))
            for i, phase in enumerate(self.cells.phases)
            if (at, phase) in self.cells.worst
        ]

    def lanes(self, classes: list[str], base: float) -> None:
        """Draw a lane for each outcome class, above the pages."""
        begin, wide = self.first - 0.5, self.last - self.first + 2
        for row, name in enumerate(classes):
            y = base + row * LANE
            ground = ALARM if is_violation(name) else PALE
            canvas.boxes(self.area, [(begin, y + 0.01, wide, LANE - 0.02)], facecolor=ground, zorder=0)
            places = []
            for at in range(self.first, self.last + 1):
                columns = self._columns(at, (at - 0.46, y + 0.025, 0.92, LANE - 0.05))
                places += [box for outcome, box in columns if outcome == name]
            if self.cells.worst.get((self.last + 1, "end")) == name:
                places.append((self.last + 0.54, y + 0.025, 0.92, LANE - 0.05))
            canvas.boxes(self.area, canvas.merged(places), zorder=2, **canvas.class_look(name))
            canvas.lane_label(self.area, name, y + LANE / 2, LANE - 0.07, self.per_inch, [])
        top = base + len(classes) * LANE + 0.05
        bad = {at for (at, _), outcome in self.cells.worst.items() if is_violation(outcome)}
        for marked, fill in ((self.cells.nested_bad - bad, "white"), (bad, INK)):
            here = [at for at in sorted(marked) if self.first <= at <= self.last + 1]
            self.area.plot(here, [top] * len(here), "v", markersize=5, mfc=fill, mec=INK, clip_on=False)

    def commit(self, at: int, tall: float) -> None:
        """Draw the line after which every outcome is new."""
        self.area.vlines(
            [at + 0.5], -0.02, tall + 0.22, colors=_COMMIT, linewidth=1.6, clip_on=False, zorder=6
        )
        right = at - self.first < 0.7 * (self.last - self.first)
        said = f"commit point: after operation {at}" if at else "new from the start"
        self.area.text(
            at + 0.5 + (0.06 if right else -0.06) * self.per_inch,
            tall + 0.1,
            said,
            ha="left" if right else "right",
            va="bottom",
            color=_COMMIT,
            weight="bold",
            clip_on=False,
        )


def _titles(figure: Figure, operation: Row, footer: list[str]) -> None:
    width, height = figure.get_size_inches()
    name = f"{operation['operation']} on {operation['rig']}: by flash operation"
    figure.text(0.15 / width, 1 - 0.12 / height, name, ha="left", va="top", size=11, weight="bold")
    for row, line in enumerate(reversed(footer)):
        figure.text(LEFT / width, (0.1 + 0.19 * row) / height, line, ha="left", va="bottom")


def _footer(ops: Sequence[Row], cells: Cells, commit: int | None) -> list[str]:
    kinds = Counter(op["kind"] for op in ops)
    pages = len({(op["chip"], op["page"]) for op in ops})
    tears = len(cells.phases) - 2
    inside = f"torn in {counted(tears, 'place')}, " if tears else ""
    lines = [
        f"{counted(len(ops), 'flash operation')}: {counted(kinds['erase'], 'erase')} (tall, framed), "
        f"{counted(kinds['program'], 'program')} (low), on {counted(pages, 'page')}",
        f"columns of an operation: cut before it, {inside}after it",
    ]
    if cells.nested_bad or any(map(is_violation, cells.worst.values())):
        lines.append("triangle: a violation; white: only after a second cut, in the boot that follows")
    if commit is None and cells.counts:
        lines.append("no commit point: there is no operation after which everything is new")
    elif commit:
        op = ops[commit - 1]
        lines.append(
            f"commit point: operation {number(commit)}, {op['kind']} of {op['chip']} page {op['page']}; "
            "after it every cut found the new world"
        )
    return lines
