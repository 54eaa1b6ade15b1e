"""Run what a plan still lacks: one run for each bench, weakest operations and least used homes first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.bench.bench import LoadedBench, load_bench
from harness.bench.registry import Plugins
from harness.commands.update_matrix import matrix
from harness.qualify.cells import Cell, weakest
from harness.qualify.evidence import Benches
from harness.qualify.plan import BenchUse, Plan
from harness.qualify.plan_file import bench_path, container_of, rigs_of
from harness.run import options
from harness.run.launch import Launch
from harness.run.wanted import Wanted
from harness.search.stopping import Goal

INTERRUPTED = 2
USAGE = 4


@dataclass(frozen=True)
class Night:
    """One run that is to be made. :ivar cells: what it is for."""

    use: BenchUse
    wanted: Wanted
    cells: tuple[Cell, ...]


def update_benches(
    plan: Plan, path: Path, benches: Benches, plugins: Plugins, reports: Path
) -> list[tuple[BenchUse, LoadedBench]]:
    """Return a bench for each simulated one of the plan, on which the firmware is installed over each from-version.

    Empty if the plan names no from-versions. The files are written below the folder of reports.
    """
    container = container_of(plan, path)
    if container is None or not plan.firmware.from_versions:
        return []
    made = []
    for use, bench in benches:
        if use.kind == "twin":
            starts = [version.removeprefix("v") for version in plan.firmware.from_versions]
            file = matrix(
                container, starts, [], bench_path(use, path), reports, rigs_of(plan, use, bench)
            ).file
            made.append((use.model_copy(update={"file": str(file), "rigs": []}), load_bench(file, plugins)))
    return made


def nights_of(
    plan: Plan, path: Path, cells: Sequence[Cell], benches: Benches, updates: Benches, number: int
) -> list[Night]:
    """Return the runs that a plan still lacks.

    :param updates: as `update_benches` returns them. :param number: of the next run: each has a seed of its own,
        so that the next night cuts at other instants.
    """
    found: list[Night] = []
    targets = {use.kind for use, _ in updates}
    for use, bench in (*benches, *updates):
        is_update = any(bench is one for _, one in updates)
        open_cells = [
            cell
            for cell in weakest(cells)
            if cell.kind == use.kind
            and cell.missing()
            and (bool(cell.from_version) is is_update or use.kind not in targets)
        ]
        for chosen in _alike(open_cells):
            found.append(_night(plan, path, use, bench, chosen, number + len(found), is_update))
    return found


def _alike(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Group cells of one goal: a run has one goal for all of its operations."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.goal.model_dump_json(exclude={"name", "operations"}), []).append(cell)
    return list(groups.values())


def _night(
    plan: Plan, path: Path, use: BenchUse, bench: LoadedBench, cells: list[Cell], number: int, is_update: bool
) -> Night:
    goal, model = cells[0].goal, use.kind == "twin"
    names = tuple(dict.fromkeys(cell.operation for cell in cells))
    sampled = model and goal.models == "sample"
    bounded = not model or goal.models == "bounded"
    # An exhaustive walk is the same on each seed; a sample is not.
    seed = plan.seed if model and goal.models == "exhaustive" else plan.seed + number - 1
    wanted = Wanted(
        bench.file if is_update else bench_path(use, path),
        () if is_update else tuple(rigs_of(plan, use, bench)),
        names,
        seed,
        cuts=_cuts(cells) if sampled else None,
        goal=Goal(goal.confidence, goal.below) if bounded else None,
        budget_us=options.time_us(plan.night) if plan.night and not model else None,
        homes=(_home(use, cells),) if use.homes != ["fresh"] else (),
    )
    return Night(use, wanted, tuple(cells))


def _cuts(cells: Sequence[Cell]) -> int:
    """The budget of a sampled run: split evenly over its operations and rigs, so all get what the neediest lacks."""
    return max(1, *(cell.left() for cell in cells)) * len(cells)


def _home(use: BenchUse, cells: Sequence[Cell]) -> str:
    """The home of which these operations have the fewest cuts, so that fresh and aged keys stay balanced."""
    return min(
        use.homes, key=lambda home: (sum(cell.counts(home=home)[0] for cell in cells), use.homes.index(home))
    )


def run_night(plan: Plan, night: Night, reports: Path, out: TextIO) -> int:
    """Make a run; return its exit code.

    :param out: where is said what is run. On standard error, the run itself is not shown.
    :raises CallerError, RigError: it could not begin.
    """
    names = ", ".join(cell.name for cell in night.cells[:3])
    more = f" and {len(night.cells) - 3} more" if len(night.cells) > 3 else ""
    out.write(f"qualify {plan.id}: {night.use.kind}, {names}{more}\n")
    out.flush()
    launch = Launch(
        night.wanted,
        [*night.use.suites],
        reports,
        [],
        series={"plan": plan.id, "digest": plan.digest},
    )
    return launch.run(["-q"], hidden=out is sys.stderr)
