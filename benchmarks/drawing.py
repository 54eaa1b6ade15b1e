"""The pictures of 2,000 cuts, beside Matplotlib alone with as many points in one collection.

What ours adds is what a reader needs: lanes, marks, flash operations, labels, and the same bytes each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.timing import Beside, beside, seconds
from harness.report import pictures

OPS, KEEPALIVES, TWICE = 300, 60, 100
PHASES = ("before", "torn1", "torn2", "torn3", "after")
COMMIT = 211
"""The flash operation from which on the outcome is new."""

Row = dict[str, Any]
Draw = Callable[[Row, list[Row], Path, Row], Path]


def cut_map(repeats: int) -> Beside:
    return _beside("cut map", pictures.cut_map, repeats)


def flash_raster(repeats: int) -> Beside:
    return _beside("flash raster", pictures.flash_raster, repeats)


def _beside(name: str, draw: Draw, repeats: int) -> Beside:
    """Seconds for one picture."""
    trace = _trace(Random(1))
    rows = list(_rows(trace))
    operation: Row = {
        "rig": "bench",
        "operation": "drawn",
        "title": "",
        "cuts": len(rows),
        "exhaustive": True,
    }
    operation |= {"distinct_states": len(rows), "covering_cuts": len(rows), "findings": [], "violations": 0}
    operation |= {"outcomes": {"old": 1, "new": 1}, "bound": None, "window_ms": None}
    with tempfile.TemporaryDirectory(prefix="keyharness-bench-") as folder:
        out = Path(folder) / "drawn.svg"
        draw(operation, rows[:9], out, trace)  # Matplotlib looks for its fonts the first time
        return beside(
            f"{name}, {len(rows):,} cuts",
            "with lanes, marks and labels",
            lambda: seconds(lambda: draw(operation, rows, out, trace)),
            "Matplotlib alone, as many points",
            lambda: seconds(lambda: _points(rows, out)),
            repeats,
        )


def _points(rows: list[Row], out: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3))
    area = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    area.scatter([row["fired_us"] for row in rows], [row["outcome"] == "new" for row in rows], s=4)
    FigureCanvasSVG(figure).print_svg(str(out))


def _trace(random: Random) -> Row:
    ops: list[Row] = []
    at_us = 41_000
    for number in range(OPS):
        kind, took_us = (
            ("erase", 85_000) if number % 10 == 0 else ("program", 41 * random.choice((4, 16, 64)))
        )
        place = {"chip": "internal", "kind": kind, "page": random.randrange(3, 20)}
        ops.append({**place, "start_us": at_us, "end_us": at_us + took_us})
        at_us += took_us + random.choice((0, 60, 900))
    step_us = (at_us - 40_000) // (KEEPALIVES + 1)
    names = ("request-sent", "keepalive", *(f"keepalive-{i}" for i in range(2, KEEPALIVES + 1)), "response")
    marks = [{"name": name, "at_us": 40_000 + step_us * i} for i, name in enumerate(names)]
    return {"ops": ops, "marks": marks, "start_us": 35_000, "end_us": at_us + 3_000}


def _rows(trace: Row) -> Iterator[Row]:
    """Every flash operation in every phase, and some of them twice, as with cuts into the boot after a cut."""
    for number in [*range(1, OPS + 1), *(1 + i * 7 % OPS for i in range(TWICE))]:
        op = trace["ops"][number - 1]
        for i, phase in enumerate(PHASES):
            at_us = op["start_us"] + (op["end_us"] - op["start_us"]) * i // (len(PHASES) - 1)
            outcome = "new" if number > COMMIT else "bootloader" if number > COMMIT // 2 else "old"
            yield {
                "stream": "exhaustive",
                "planned": {"flash_op": number, "phase": phase},
                "fired_us": at_us - trace["start_us"],
                "outcome": outcome,
                "blame": None,
            }
