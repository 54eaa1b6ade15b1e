"""Draw the picture of docs/architecture.md: `python docs/draw_architecture.py` writes docs/pictures/architecture.svg.

Standard library only; the drawing itself is shared with docs/draw_wiring.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

from draw_wiring import DATA, INK, PAPER, SHADE, VBUS, Drawing

FLOORS = {
    "cli": "the command line",
    "mutants": "changes of a twin that must be caught",
    "pytest_plugin": "options, fixtures, recorder",
    "qualify": "a plan, what counts for it, the verdict",
    "commands": "one file for each command",
    "doctor": "checks of a host",
    "run": "a run's life: plan, resume, replay, prove",
    "report": "summary, verdict, pictures, pages",
    "campaign": "many cuts into one operation",
    "bench": "bench files, plugins, calibration",
    "safety": "claims, budgets, PINs, quarantine",
    "evidence": "journals, run folders, the ledger",
    "search": "where to cut, what a result proves",
    "twin": "flash, power rail, traces of a twin",
    "host": "the seam to Linux; the cutter",
    "model": "keys, items, laws, the judge",
    "field": "logs of failures, and known signatures",
    "base": "errors, clocks, seeds, files",
}
"""The rooms of harness/, from the top floor down. A room imports only from rooms below it."""

WAY = (
    ("1  A test asks for a campaign", "suites, pytest_plugin/fixtures.py"),
    ("2  The key is brought home: canaries", "campaign/home.py"),
    ("3  The operation runs uncut", "campaign/recording.py, live_observer.py"),
    ("4  An instant is chosen", "search/search.py, twin/trace.py"),
    ("5  The power goes", "host/cutter_process.py, twin/rail.py"),
    ("6  The key boots; its items are observed", "campaign/observe.py"),
    ("7  The judge compares worlds and laws", "model/judge.py, campaign/result.py"),
    ("8  One row of evidence", "model/row.py, evidence/journal.py"),
    ("9  Summary, verdict, report", "report/summary.py, verdict.py"),
)
"""The way of a cut: what happens, and where the code of it is."""

ROW, TOP = 40, 110
OUTSIDE = "#fff6e5"


def architecture() -> Drawing:
    """The floors on the left, the way of a cut on the right."""
    height = TOP + ROW * len(FLOORS) + 30
    drawing = Drawing(960, height, "The floors of harness/, and the way of a cut through them")
    drawing.text(230, 28, "Floors: a room imports only from rooms below it", weight="bold")
    for at, name in enumerate(("suites", "plugins", "rigs")):
        drawing.box(20 + 145 * at, 44, 130, 34, name, fill=OUTSIDE)
    drawing.wire(INK, (230, 78), (230, TOP - 6), dashed=True)
    drawing.text(240, 98, "found by hooks (bench/plugin_api.py)", anchor="start", size=12)
    for at, (name, what) in enumerate(FLOORS.items()):
        y = TOP + ROW * at
        drawing.box(20, y, 420, ROW - 6, fill=SHADE)
        drawing.text(34, y + 22, name, weight="bold", anchor="start")
        drawing.text(150, y + 22, what, anchor="start", size=12)
    drawing.text(700, 28, "The way of a cut", weight="bold")
    step = (height - 75) // len(WAY)
    for at, (what, where) in enumerate(WAY):
        y = 44 + step * at
        drawing.box(520, y, 360, step - 18, fill=PAPER)
        drawing.text(534, y + 21, what, weight="bold", anchor="start")
        drawing.text(552, y + 40, where, anchor="start", size=12, colour=DATA)
        if at:
            drawing.wire(INK, (700, y - 18), (700, y))
    again, until = 44 + step * 3 + 20, 44 + step * 7 + 20
    drawing.wire(VBUS, (880, until), (915, until), (915, again), (880, again))
    drawing.text(905, again - 10, "next cut", colour=VBUS, size=12)
    return drawing


def main(folder: Path) -> None:
    (folder / "architecture.svg").write_text(architecture().svg(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
