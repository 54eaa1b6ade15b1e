"""The pictures of a campaign.

    cut_map       when in the operation the power was cut, and the outcome of each cut
    flash_raster  the same by flash operation and page: it shows the write that commits the operation
    risk          how the bound of a sampled operation fell with the number of cuts

The suffix of `out` (.svg or .png) decides the format. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.evidence.repeats import restored
from harness.model.row import BEYOND
from harness.report import files
from harness.report.cut_map import cut_map
from harness.report.files import Damage, Row, read_rows
from harness.report.flash_raster import commit_point, flash_raster
from harness.report.large_run import read_trace
from harness.report.load import check_evidence, check_operation
from harness.report.risk import risk

__all__ = ["commit_point", "cut_map", "draw", "draw_run", "flash_raster", "risk"]


def draw(run_dir: Path, operation: Row, rows: list[Row], trace: Row | None) -> list[Path]:
    """Draw an operation's pictures into a run's folder.

    :param operation: its line in operations.jsonl.
    :param rows: its evidence.
    :param trace: its flash operations and marks, where they are known.
    """
    names = operation["rig"], operation["operation"]
    drawn = [cut_map(operation, rows, files.picture_path(run_dir, *names, files.CUT_MAP), trace)]
    by_operation = any(row["planned"].get("flash_op") for row in rows)
    # A few cuts of a sample are all in the cut map.
    matters = operation.get("exhaustive") or operation.get("violations")
    if trace and trace.get("ops") and by_operation and matters:
        raster = files.picture_path(run_dir, *names, files.FLASH_RASTER)
        drawn.append(flash_raster(operation, rows, raster, trace))
    if not operation.get("exhaustive") and operation.get("bound"):
        drawn.append(risk(operation, rows, files.picture_path(run_dir, *names, files.RISK), trace))
    return drawn


def draw_run(run_dir: Path) -> list[Path]:
    """Draw the pictures of every finished campaign of a run again, from its files.

    A picture shows one trace: cuts from other homes, or with more after them, stand in the evidence only.
    """
    unread = Damage()
    operations = list(read_rows(run_dir / files.OPERATIONS, unread, check_operation))
    rows = _by_operation(read_rows(run_dir / files.EVIDENCE, unread, check_evidence))
    drawn = []
    for operation in operations:
        names = operation["rig"], operation["operation"]
        trace = read_trace(run_dir, *names, unread)
        if rows.get(names):
            drawn += draw(run_dir, operation, rows[names], trace)
    return drawn


def _by_operation(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["rig"], row["operation"]), []).append(row)
    return {
        names: [row for row in restored(of) if row.get("stream") not in BEYOND] for names, of in found.items()
    }
