"""The cut map: when in an operation the power was cut, and the outcome of each cut.

Each outcome class has a lane, so that position tells classes apart and not only colour. Below the lanes: flash
operations. Above the lanes: marks, that is events on the transport.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from harness.model.outcome import Outcome
from harness.model.row import is_covering
from harness.report import canvas, cut_coverage, vocabulary
from harness.report.canvas import ALARM, FAINT, INK, PALE
from harness.report.files import Row
from harness.report.sentences import marker_of
from harness.report.vocabulary import counted, is_violation, number
from harness.search.plan import END, START

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, RIGHT = 11.0, 2.35, 0.35
LANE, FLASH = 0.27, 0.2
CHAR = 0.072
"""All in inches; CHAR is an upper bound of a letter's width."""
LABEL_ROWS = 3
MARK_LINES_MAX = 12
OUTSIDE = 0.1
"""What is drawn before the first mark and after the last one, as a share of the time between them."""


@dataclass(frozen=True)
class Placed:
    """Cuts and marks as instants in microseconds, and the two instants that are 0 % and 100 %.

    :ivar spans: for each cut the interval in which its power went; of a computed cut, twice its instant.
    """

    cuts: list[tuple[float, str]]
    marks: list[tuple[str, float]]
    ops: Sequence[Row]
    first_us: float
    last_us: float
    covering: list[float] = field(default_factory=list)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def x(self, at_us: float) -> float:
        """Progress: 0 at the first marker, 1 at the last."""
        return (at_us - self.first_us) / (self.last_us - self.first_us)


def cut_map(operation: Row, rows: Sequence[Row], out: Path, trace: Row | None = None) -> Path:
    """Draw when an operation was cut, and the outcomes.

    :param operation: its line in operations.jsonl.
    :param rows: its lines in evidence.jsonl.
    :param trace: its flash operations and marks, as in logs/; without it, marks are inferred from the rows.
    """
    placed = place(rows, trace)
    classes = canvas.lanes([outcome for _, outcome in placed.cuts])
    footer = _footer(operation, placed)
    sampled = bool(placed.covering) and not operation.get("exhaustive")
    below = (FLASH + 0.08 if placed.ops else 0) + (cut_coverage.HEIGHT + 0.06 if sampled else 0)
    body = LANE * len(classes) + below
    span = _span(placed)
    per_inch = (span[1] - span[0]) / (WIDTH - LEFT - RIGHT)
    found = {marker_of(finding) for finding in operation.get("findings") or []}
    labels = _labels(placed, span, per_inch, found)
    bottom, top = 0.62 + 0.19 * len(footer), 0.5 + 0.18 * len({row for _, _, row, _ in labels})
    with canvas.drawing():
        figure = canvas.new_figure(WIDTH, bottom + body + top)
        area = canvas.axes(figure, (LEFT, bottom, WIDTH - LEFT - RIGHT, body))
        area.set_xlim(*span)
        area.set_ylim(0, body)
        base = body - LANE * len(classes)
        if placed.ops:
            _flash(area, placed, per_inch)
        if sampled:
            at = FLASH + 0.1 if placed.ops else 0.02
            cut_coverage.strip(area, operation, placed.covering, placed.x, at, span, per_inch)
        for number_, name in enumerate(classes):
            _lane(area, placed, name, base + LANE * number_, span, per_inch)
        cut_coverage.findings(area, operation, placed.x, base, body, per_inch)
        _marks(area, placed, labels, body)
        _scale(area, placed)
        _titles(figure, operation, footer)
        return canvas.write(figure, out)


def place(rows: Sequence[Row], trace: Row | None) -> Placed:
    """Place each cut on the trace's clock; a cut that cannot be placed is left out."""
    ops: Sequence[Row] = (trace or {}).get("ops") or []
    start = (trace or {}).get("start_us") or 0
    marks = [(mark["name"], float(mark["at_us"])) for mark in (trace or {}).get("marks") or []]
    marks = marks or _inferred_marks(rows)
    where = {START: float(start), **dict(marks)}
    torn = max((_torn(row["planned"]) for row in rows), default=0)
    end = float((trace or {}).get("end_us") or 0)
    planned = [_instant(row, ops, where, start, end, torn) for row in rows]
    placed = [(row, at) for row, at in zip(rows, planned) if at is not None]
    known = [at for _, at in marks] or [at for _, at in placed] or [0.0]
    first, last = min(known), max(known)
    if last <= first:
        everywhere = [first, *(at for _, at in placed), *(op["end_us"] for op in ops)]
        first, last = min(everywhere), max(*everywhere, first + 1)
    spans = [_went(row, start, first, last) or (at, at) for row, at in placed]
    cuts = [(sum(span) / 2, row["outcome"]) for (row, _), span in zip(placed, spans)]
    covering = [at for (row, _), (at, _) in zip(placed, cuts) if is_covering(row)]
    return Placed(cuts, marks, ops, first, last, covering, spans)


def _went(row: Row, start: float, first: float, last: float) -> tuple[float, float] | None:
    """The interval in which the power of a live cut really went; None of a computed cut, or if it did not go.

    What lies far outside the operation is drawn at the edge of the map.
    """
    if row.get("lost") is None:
        return None
    earliest_us, latest_us = row["lost"]
    room = OUTSIDE * (last - first)

    def shown(at_us: float) -> float:
        return min(max(start + at_us, first - room), last + room)

    return shown(earliest_us), shown(earliest_us if latest_us is None else latest_us)


def _torn(planned: Mapping[str, Any]) -> int:
    phase = str(planned.get("phase") or "")
    return int(phase[4:] or 0) if phase.startswith("torn") else 0


def _inferred_marks(rows: Sequence[Row]) -> list[tuple[str, float]]:
    """Infer the marks of an operation without a trace: a cut fires its offset after its marker."""
    seen: dict[str, list[int]] = {}
    for row in rows:
        planned = row["planned"]
        if planned.get("marker") and row.get("fired_us") is not None:
            seen.setdefault(planned["marker"], []).append(row["fired_us"] - planned["offset_us"])
    return sorted(((name, float(median(ats))) for name, ats in seen.items()), key=lambda mark: mark[1])


def _instant(
    row: Row, ops: Sequence[Row], where: Mapping[str, float], start: float, end: float, torn: int
) -> float | None:
    planned = row["planned"]
    if planned.get("marker") == END:
        return end or None
    if planned.get("marker") is not None:
        at = where.get(planned["marker"])
        return None if at is None else at + planned["offset_us"]
    if planned.get("phase") == "end":
        return end or None
    op_number = planned.get("flash_op") or 0
    if not 1 <= op_number <= len(ops):
        return None if row.get("fired_us") is None else start + row["fired_us"]
    op = ops[op_number - 1]
    if planned["phase"] in ("before", "after"):
        return float(op["start_us" if planned["phase"] == "before" else "end_us"])
    fired = start + (row.get("fired_us") or 0)
    if op["start_us"] <= fired <= op["end_us"]:
        return float(fired)
    share = (_torn(planned) - 0.5) / max(torn, 1)
    return float(op["start_us"] + share * (op["end_us"] - op["start_us"]))


def _span(placed: Placed) -> tuple[float, float]:
    everything = [
        0.0,
        1.0,
        *(placed.x(at) for span in placed.spans for at in span),
        *(placed.x(op["end_us"]) for op in placed.ops),
    ]
    low, high = min(everything), max(everything)
    return low - 0.01 * (high - low), high + 0.01 * (high - low)


def _lane(
    area: Axes, placed: Placed, name: str, y: float, span: tuple[float, float], per_inch: float
) -> None:
    of_class = [n for n, (_, outcome) in enumerate(placed.cuts) if outcome == name]
    ats = sorted(placed.x(placed.cuts[n][0]) for n in of_class)
    bad = is_violation(name)
    ground = ALARM if bad else PALE
    canvas.boxes(area, [(span[0], y + 0.02, span[1] - span[0], LANE - 0.04)], facecolor=ground, zorder=0)
    # A single cut among thousands must still be visible.
    wide = per_inch * min(0.05, max(0.014, 5.0 / max(len(placed.cuts), 1)))
    tall, low = (LANE - 0.04, 0.02) if bad else (LANE - 0.11, 0.055)
    spans = sorted((placed.x(placed.spans[n][0]), placed.x(placed.spans[n][1])) for n in of_class)
    bars = canvas.merged((begin - wide / 2, y + low, end - begin + wide, tall) for begin, end in spans)
    canvas.boxes(area, bars, zorder=3, **canvas.class_look(name))
    if bad:
        spots: list[float] = []
        for at in ats:
            if not spots or at - spots[-1] > 0.1 * per_inch:
                spots.append(at)
        area.plot(spots, [y + LANE - 0.03] * len(spots), "v", markersize=4.5, color=INK, zorder=5)
    judged = sum(1 for _, outcome in placed.cuts if outcome != Outcome.MISSED)
    share = vocabulary.percent(len(ats), judged) if name != Outcome.MISSED else ""
    canvas.lane_label(area, name, y + LANE / 2, LANE - 0.12, per_inch, [number(len(ats)), share])


def _flash(area: Axes, placed: Placed, per_inch: float) -> None:
    """Draw the flash operations: erases tall and dark, programs low and light."""
    thin = 0.008 * per_inch
    for kind, height, colour in (("program", 0.55, "#9A9A9A"), ("erase", 1.0, "#444444")):
        places = []
        for op in placed.ops:
            if op["kind"] == kind:
                x, wide = placed.x(op["start_us"]), placed.x(op["end_us"]) - placed.x(op["start_us"])
                places.append((x, 0.02, max(wide, thin), FLASH * height))
        canvas.boxes(area, places, facecolor=colour, zorder=2)
    kinds = Counter(op["kind"] for op in placed.ops)
    said = f"{counted(kinds['erase'], 'erase')} (tall), {counted(kinds['program'], 'program')}"
    area.text(area.get_xlim()[0] - 0.1 * per_inch, FLASH / 2, said, ha="right", va="center", color=FAINT)


def _labels(
    placed: Placed, span: tuple[float, float], per_inch: float, found: Set[str | None] = frozenset()
) -> list[tuple[float, float, int, str]]:
    """Return (x, middle of the text, row, text) of the marks that are named, if they fit.

    Those that a finding names come first: its reader looks for them. Then first and last of each kind.

    :param found: the markers that findings name.
    """
    kinds: dict[str, list[tuple[str, float]]] = {}
    for name, at in placed.marks:
        kinds.setdefault(_kind(name), []).append((name, placed.x(at)))
    wanted = []
    for kind, marks in kinds.items():
        said, many = kind.replace("-", " "), len(marks)
        for number_, (name, x) in enumerate(marks):
            if number_ == 0:
                wanted.append((name not in found, x, said if many == 1 else f"{said} (first of {many})"))
            elif number_ == many - 1 or name in found:
                wanted.append((name not in found, x, name.replace("-", " ")))
    labels = []
    taken: list[list[tuple[float, float]]] = [[] for _ in range(LABEL_ROWS)]
    for _, x, said in sorted(wanted):
        wide = len(said) * CHAR * per_inch
        left = min(max(x - wide / 2, span[0]), span[1] - wide)
        for row, spots in enumerate(taken):
            if all(left > end or left + wide < begin for begin, end in spots):
                spots.append((left, left + wide + 0.08 * per_inch))
                labels.append((x, left + wide / 2, row, said))
                break
    return labels


def _marks(area: Axes, placed: Placed, labels: list[tuple[float, float, int, str]], body: float) -> None:
    """Draw a dashed line at each named mark and a tick at the others, so that many keepalives hide no cut."""
    named = [x for x, *_ in labels]
    few = len(placed.marks) <= MARK_LINES_MAX
    lines = [placed.x(at) for _, at in placed.marks] if few else named
    area.vlines(lines, 0, body, colors=INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=4)
    ticks = [placed.x(at) for _, at in placed.marks]
    area.vlines(ticks, body - 0.02, body + 0.04, colors=INK, linewidth=0.7, zorder=4, clip_on=False)
    for x, middle, row, said in labels:
        y = body + 0.07 + 0.18 * row
        area.vlines([x], body, y, colors=INK, linewidth=0.7, clip_on=False)
        area.text(middle, y, said, ha="center", va="bottom", clip_on=False)


def _kind(name: str) -> str:
    stem, _, tail = name.rpartition("-")
    return stem if stem and tail.isdigit() else name


def _scale(area: Axes, placed: Placed) -> None:
    whole_ms = (placed.last_us - placed.first_us) / 1000
    if whole_ms < 0.01:
        return
    for quarter in range(5):
        x = quarter / 4
        area.vlines([x], -0.05, 0, colors=FAINT, linewidth=0.8, clip_on=False)
        said = f"{100 * x:.0f} %\n{number(round(whole_ms * x, 0 if whole_ms >= 100 else 2))} ms"
        area.text(x, -0.08, said, ha="center", va="top", color=FAINT, clip_on=False, linespacing=1.25)


def _titles(figure: Figure, operation: Row, footer: list[str]) -> None:
    width, height = figure.get_size_inches()
    name = f"{operation['operation']} on {operation['rig']}"
    figure.text(0.15 / width, 1 - 0.12 / height, name, ha="left", va="top", size=11, weight="bold")
    if operation.get("title"):
        x = 1 - RIGHT / width
        figure.text(x, 1 - 0.145 / height, operation["title"], ha="right", va="top", color=FAINT)
    for number_, line in enumerate(reversed(footer)):
        figure.text(LEFT / width, (0.1 + 0.19 * number_) / height, line, ha="left", va="bottom")


def _footer(operation: Row, placed: Placed) -> list[str]:
    """Say the numbers of cuts and states, and what they prove."""
    parts = [counted(operation.get("cuts") or 0, "judged cut")]
    covering = operation.get("covering_cuts")
    if covering is not None and not operation.get("exhaustive"):
        parts.append(f"{number(covering)} of them evenly spread")
    if operation.get("distinct_states"):
        parts.append(counted(operation["distinct_states"], "distinct state"))
    if operation.get("exhaustive"):
        parts.append(vocabulary.EVERY_PHASE)
    lines = [" · ".join(parts)]
    if not operation.get("exhaustive") and (proved := vocabulary.bound_sentence(operation)):
        first, _, window = proved.partition("; ")
        lines += [first, window] if window else [first]
    counts = Counter(outcome for _, outcome in placed.cuts)
    missing = sum((operation.get("outcomes") or {}).values()) - sum(counts.values())
    if missing > 0:
        lines.append(f"{counted(missing, 'cut')} could not be placed in time")
    return lines
