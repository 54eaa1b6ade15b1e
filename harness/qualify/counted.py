"""Which runs count for a plan, and what their folders hold.

Every run in the ledger that tested this firmware counts, with or without a plan. A real key's firmware is known by the
version that it tells, a model's by version, personality and flash layer, an update's by the digest of its container.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.base.atomic_file import read_json
from harness.evidence.ledger_tested import home_of
from harness.evidence.rundir import RunDir
from harness.model.row import is_covering, is_judged
from harness.qualify.plan import Plan
from harness.report.files import EVIDENCE, FINISH, OPERATIONS, SUMMARY, Damage, Row, read_rows
from harness.report.load import check_evidence, check_operation
from harness.report.vocabulary import is_violation


def plain(version: str | None) -> str:
    """Return a version without the v before it: "v1.9.0" is "1.9.0"."""
    return (version or "").removeprefix("v")


@dataclass(frozen=True)
class CountedRun:
    """One rig of one run.

    :ivar number: the run's number in the series of the plan that began it; None if no plan did.
    :ivar digest: the digest of that plan. :ivar about: personality and flash layer of a model.
    :ivar folder: None if it is gone: its cuts bound nothing then, and its findings stay.
    :ivar is_target: was this firmware installed on the rig, so that only updates tested it?
    :ivar unreadable: what could not be read, in sentences.
    """

    run: str
    rig: str
    key: str
    kind: str
    firmware: str
    about: str | None
    started: str
    verdict: str
    version: str
    seed: str
    folder: Path | None
    is_target: bool
    digest: str | None = None
    number: int | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def night(self) -> str:
        """The day (UTC) on which the run began."""
        return self.started[:10]


@dataclass
class Campaign:
    """The cuts of one run into one operation on one rig.

    :ivar from_version: what the update started from; None if the operation is no update.
    :ivar homes: home -> [covering cuts, those of them that violate]. :ivar ids: of the covering cuts.
    """

    of: CountedRun
    operation: str
    from_version: str | None
    cuts: int = 0
    covering: int = 0
    bad: int = 0
    violations: int = 0
    missed: int = 0
    tried: int = 0
    unresolved: int = 0
    exhaustive: bool = False
    window_ms: float | None = None
    duration_s: float = 0.0
    homes: dict[str, list[int]] = field(default_factory=dict)
    ids: dict[str, bool] = field(default_factory=dict)
    findings: list[Row] = field(default_factory=list)
    wear: list[Row] = field(default_factory=list)

    @property
    def cell(self) -> tuple[str, str | None, str]:
        """(operation, from_version, kind of evidence): what a goal is about."""
        return self.operation, self.from_version, self.of.kind


def runs_on(
    plan: Plan, rows: Iterable[Mapping[str, Any]], models: Sequence[str], numbers: Mapping[str, int]
) -> list[CountedRun]:
    """Return the runs of the ledger that tested the plan's firmware, the oldest first.

    :param rows: as `ledger_runs.tested_of` returns them.
    :param models: what the plan's simulated rigs are (personality and flash layer): other models are other firmware.
    :param numbers: run -> its number in the plan's series.
    """
    found = []
    for row in rows:
        is_same = plain(row["firmware"]) == plain(plan.firmware.version)
        files = (row["files"] or "").split()
        is_target = plan.firmware.sha256 is not None and plan.firmware.sha256 in files
        if row["kind"] == "emulator" and files and plan.firmware.sha256:
            is_same = is_target
        if is_target and (row["kind"].startswith("emulator")):
            is_same, is_target = True, False  # its image is the firmware, not what is installed
        if not (is_same or is_target) or (row["kind"] == "twin" and row["about"] not in models):
            continue
        folder = Path(row["folder"]) if row["folder"] else None
        found.append(
            CountedRun(
                **{name: row[name] for name in ("run", "rig", "key", "kind", "about", "started", "verdict")},
                firmware=plain(row["firmware"]),
                version=row["version"] or "",
                seed=row["seed"] or "",
                folder=folder if folder is not None and (folder / "run.json").exists() else None,
                is_target=is_target and not is_same,
                digest=row["digest"],
                number=numbers.get(row["run"]),
            )
        )
    return found


def campaigns_of(run: CountedRun, updates: Iterable[str]) -> tuple[list[Campaign], list[str]]:
    """Read the campaigns of one rig of a run that count for the firmware, and say what could not be read.

    :param updates: the operations that install a firmware.
    """
    if run.folder is None:
        return [], []
    damage, installs = Damage(), set(updates)
    found: dict[str, Campaign] = {}

    def campaign(operation: str) -> Campaign | None:
        is_update = operation in installs
        if run.is_target and not is_update:
            return None  # the firmware under this operation is the one that was there before
        return found.setdefault(operation, Campaign(run, operation, run.firmware if run.is_target else None))

    for row in read_rows(run.folder / EVIDENCE, damage, check_evidence):
        if row["rig"] == run.rig and (one := campaign(row["operation"])) is not None:
            _count(one, row)
    for row in read_rows(run.folder / OPERATIONS, damage, check_operation):
        if row["rig"] != run.rig or (one := campaign(row["operation"])) is None:
            continue
        one.exhaustive, one.window_ms = bool(row.get("exhaustive")), row.get("window_ms")
        one.duration_s, one.wear = row.get("duration_s") or 0.0, row.get("wear") or []
        one.findings = [
            {**finding, "operation": one.operation, "home": home_of(finding.get("first"))}
            for finding in row.get("findings") or ()
        ]
    return list(found.values()), [f"run {run.run}: {said}" for said in damage.sentences]


def _count(one: Campaign, row: Row) -> None:
    one.tried += 1
    one.missed += row["outcome"] == "missed"
    one.unresolved += row["outcome"] != "missed" and not is_judged(row)
    one.cuts += is_judged(row)
    bad = is_violation(row["outcome"]) and is_judged(row)
    one.violations += bad
    if not is_covering(row):
        return
    one.covering += 1
    one.bad += bad
    home = one.homes.setdefault(str(row.get("home") or "fresh"), [0, 0])
    home[0] += 1
    home[1] += bad
    one.ids[str(row.get("id"))] = bad


def case_failures(run: CountedRun) -> list[Row]:
    """Return the causes of failed cases of a run that are the key's fault."""
    summary = (read_json(run.folder / SUMMARY) if run.folder else None) or {}
    return [row for row in summary.get("failures") or () if row.get("blame") == "key"]


def about_rig(run: CountedRun) -> Row:
    """Return {"calibration", "switch"} of the rig in a run, as far as the folder tells; {} if it is gone."""
    if run.folder is None:
        return {}
    facts = read_json(RunDir(run.folder).facts_path(run.rig)) or {}
    summary = read_json(run.folder / SUMMARY) or {}
    switch = next((rig.get("switch") for rig in summary.get("rigs", ()) if rig.get("name") == run.rig), None)
    return {"calibration": facts.get("calibration"), "switch": switch}


def rig_faults(run: CountedRun) -> int:
    """Return the number of faults of rigs in a run."""
    summary = (read_json(run.folder / SUMMARY) if run.folder else None) or {}
    return int(summary.get("rig_faults") or 0)


def is_complete(run: CountedRun) -> bool:
    """Return whether a run came to its end."""
    finish = (read_json(run.folder / FINISH) if run.folder else None) or {}
    return bool(finish.get("complete")) and not finish.get("interrupted")


def outcomes_of(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Sum rows of the ledger's outcomes."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["outcome"]] += row["cuts"]
    return counts


def operations_rows(folder: Path) -> list[Row]:
    """Return the whole lines of a run's operations.jsonl."""
    return list(read_rows(folder / OPERATIONS, Damage(), check_operation))
