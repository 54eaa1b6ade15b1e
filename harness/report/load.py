"""Read the folder of a run: its head, cases, campaigns, and a tally of its evidence.

Evidence is counted while it is read, and not kept: that of a long campaign is large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness.base.errors import Blame
from harness.base.shape import DamagedFile, Shape, misfit
from harness.evidence.case_archive import ARCHIVE, packed_cases
from harness.evidence.rundir import RunDir
from harness.model.outcome import Outcome
from harness.model.row import is_covering, is_judged
from harness.report import files, row_shapes
from harness.report.files import Damage, Row, read_object, read_rows, rows_in
from harness.report.vocabulary import is_violation

CASE_OUTCOMES = ("passed", "failed", "skipped", "not_offered", "error", "deviation")


@dataclass
class Tally:
    """Counts of evidence.jsonl for one operation on one rig.

    :ivar outcomes: cuts by outcome class, missed cuts included.
    :ivar unresolved: number of cuts that show no violation and are not known to have gone inside the operation.
    :ivar covering: number of judged cuts that were evenly spread.
    :ivar covering_bad: those of them that are violations, by class.
    :ivar first_bad: first row of each violation class.
    :ivar faults: cuts without a result through a fault of the rig or the harness, by blame.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    unresolved: int = 0
    covering: int = 0
    covering_bad: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, Row] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        outcome, blame = row["outcome"], row.get("blame")
        self.outcomes[outcome] += 1
        self.unresolved += outcome != Outcome.MISSED and not is_judged(row)
        covering = is_covering(row)
        self.covering += covering
        if is_violation(outcome):
            self.covering_bad[outcome] += covering
            self.first_bad.setdefault(outcome, row)
        elif outcome != Outcome.MISSED and blame in (Blame.RIG, Blame.HARNESS):
            self.faults[blame] += 1

    @property
    def judged(self) -> int:
        return sum(self.outcomes.values()) - self.outcomes[Outcome.MISSED] - self.unresolved


@dataclass
class RunFiles:
    """The contents of a run's files."""

    head: Row
    cases: list[Row]
    operations: list[Row]
    tallies: dict[tuple[str, str], Tally]
    finish: Row | None
    damage: Damage


def read_run(run_dir: Path) -> RunFiles:
    """Read a run's folder, also a damaged or unfinished one."""
    damage = Damage()
    head = read_head(run_dir, damage)
    if not head and not damage.sentences:
        damage.add(files.RUN, "it is not there")
    tallies: dict[tuple[str, str], Tally] = {}
    for row in read_rows(run_dir / files.EVIDENCE, damage, check_evidence):
        tallies.setdefault((row["rig"], row["operation"]), Tally()).add(row)
    operations = {}
    for row in read_rows(run_dir / files.OPERATIONS, damage, check_operation):
        operations[row["rig"], row["operation"]] = row  # a resumed campaign writes its line again
    cases = {}
    for row in read_cases(run_dir, damage):
        cases[row["nodeid"], row.get("rig")] = row
    finish = _fitting(run_dir / files.FINISH, row_shapes.FINISH, damage)
    return RunFiles(
        head,
        [cases[key] for key in sorted(cases, key=str)],
        [operations[key] for key in sorted(operations)],
        tallies,
        finish,
        damage,
    )


def read_cases(run_dir: Path, damage: Damage) -> Iterator[Row]:
    """Read the rows of a run's cases, packed or not."""
    path = run_dir / files.RESULTS
    if path.exists():
        yield from read_rows(path, damage, check_case)
        return
    try:
        lines = packed_cases(run_dir) or b""
    except DamagedFile as error:
        damage.add(ARCHIVE, f"unreadable ({error.found}); its cases were left out")
        return
    yield from rows_in(lines.splitlines(keepends=True), path.name, damage, check_case)


def read_head(run_dir: Path, damage: Damage) -> Row:
    """Read run.json; empty if it is not there, or, with damage, if it is not whole."""
    return _fitting(run_dir / files.RUN, row_shapes.HEAD, damage) or {}


def whole_head(folder: Path) -> Row:
    """Return what a run was, as its run.json says.

    :raises DamagedFile: something in it is not as a run writes it.
    """
    head = RunDir(folder).head()
    if wrong := misfit(head, row_shapes.HEAD) or misfit(
        head, {"run": str, "seed": int, "rigs": [{"key": str}]}
    ):
        raise DamagedFile(
            f"the run in {folder}",
            found=f"run.json is damaged: {wrong}",
            expected="what a run writes",
            mend="leave this run out",
        )
    return head


def _fitting(path: Path, shape: Shape, damage: Damage) -> Row | None:
    value = read_object(path, damage)
    if value is not None and (wrong := misfit(value, shape)):
        damage.add(path.name, f"{wrong}; it was left out")
        return None
    return value


def check_evidence(row: Row) -> str | None:
    """Say what is wrong with a line of evidence; None if it can be counted. For `read_rows`."""
    if wrong := misfit(row, row_shapes.EVIDENCE):
        return wrong
    return None if row["outcome"] in set(Outcome) else f"its outcome is {row['outcome']!r}"


def check_operation(row: Row) -> str | None:
    """As `check_evidence`, for a campaign's line."""
    return misfit(row, row_shapes.OPERATION)


def check_case(row: Row) -> str | None:
    """As `check_evidence`, for a finished test case."""
    if wrong := misfit(row, row_shapes.CASE):
        return wrong
    return None if row["outcome"] in CASE_OUTCOMES else f"its outcome is {row['outcome']!r}"
