"""One side of a comparison: a run, or all runs of a firmware that the ledger knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.errors import CallerError, one_of
from harness.campaign.uncut_laws import longest_silence
from harness.model.row import is_covering
from harness.model.tap import Mark
from harness.qualify.counted import operations_rows, plain
from harness.report.files import EVIDENCE, Damage, Row, read_rows
from harness.report.large_run import read_trace
from harness.report.load import check_evidence, whole_head
from harness.report.vocabulary import is_violation

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger


@dataclass
class Operation:
    """The evenly spread cuts into one operation. :ivar cuts: (what is paired, did it harm), in plan order.

    :ivar seeds: of the runs. :ivar measures: "boot_ms", "silence_ms", "erases" and "wear_per_cut", where known.
    """

    name: str
    cuts: list[tuple[str, bool]] = field(default_factory=list)
    seeds: set[str] = field(default_factory=set)
    items: dict[tuple[str, str], int] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    is_recorded: bool = False

    @property
    def bad(self) -> int:
        return sum(1 for _, harmed in self.cuts if harmed)


@dataclass
class Side:
    """:ivar age: share of its erases that the most worn real key had spent; None for models.
    :ivar kernels: of the hosts, where rigs were real. :ivar homes: from which evenly spread cuts were made.
    :ivar mixed: models of one key that a version stands for, with their flash layers, if there are several."""

    name: str
    runs: list[str]
    model: str
    firmware: str
    kinds: set[str]
    kernels: set[str]
    homes: set[str]
    age: float | None
    operations: dict[str, Operation]
    mixed: tuple[str, ...] = ()


def side_of(name: str, reports: Path, ledger: Ledger) -> Side:
    """Read a run by its folder or name, or all runs of a firmware version.

    :raises CallerError: it is none of these.
    """
    for folder in (Path(name), reports / name):
        if (folder / "run.json").exists():
            return _read(name, {folder: None}, ledger)
    folders = _of_firmware(name, ledger)
    if not folders:
        runs = sorted(path.parent.name for path in reports.glob("*/run.json"))
        raise CallerError(
            f'compare "{name}"',
            found="no run of that name, and no run of such a firmware in the ledger",
            expected=f"a run of {reports} or a version: {one_of(name, runs)}",
        )
    return _read(name, folders, ledger)


def _of_firmware(version: str, ledger: Ledger) -> dict[Path, set[str] | None]:
    """The folders of runs of a version, and in each the rigs that had it."""
    from sqlalchemy import select

    table = ledger.tables.tested
    rows = ledger.rows(select(table.c.firmware, table.c.folder, table.c.rig).order_by(table.c.run))
    found: dict[str, set[str]] = {}
    for row in rows:
        if plain(row["firmware"]) == plain(version) and row["folder"]:
            found.setdefault(row["folder"], set()).add(row["rig"])
    return {Path(folder): rigs for folder, rigs in found.items() if (Path(folder) / "run.json").exists()}


def _read(name: str, chosen: Mapping[Path, set[str] | None], ledger: Ledger) -> Side:
    folders = list(chosen)
    heads = [whole_head(folder) for folder in folders]
    rigs = [
        rig
        for names, head in zip(chosen.values(), heads, strict=True)
        for rig in head["rigs"]
        if names is None or rig["name"] in names
    ]
    kinds = {kind for head in heads for kind in head.get("evidence_kind") or ()}
    side = Side(
        name,
        [head["run"] for head in heads],
        " and ".join(sorted({str(rig.get("key")) for rig in rigs})),
        " and ".join(sorted({plain(rig.get("firmware")) for rig in rigs})),
        kinds,
        {str((head.get("host") or {}).get("system")) for head in heads} if kinds - {"twin"} else set(),
        set(),
        _age(folders, ledger),
        {},
    )
    if any(names is not None for names in chosen.values()) and kinds <= {"twin"}:
        side.mixed = _mixed(rigs)
    for (folder, names), head in zip(chosen.items(), heads, strict=True):
        _add_run(side, folder, head, names)
    return side


def _mixed(rigs: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """What the simulated rigs of one key are, if they are not all the same: one version, several flash layers."""
    models: dict[str, set[str]] = {}
    for rig in rigs:
        about = " · ".join(str(text) for text in (rig.get("personality"), rig.get("transport")) if text)
        models.setdefault(str(rig.get("key")), set()).add(about)
    return tuple(sorted(one for found in models.values() if len(found) > 1 for one in found))


def _add_run(side: Side, folder: Path, head: Mapping[str, Any], rigs: set[str] | None) -> None:
    for row in read_rows(folder / EVIDENCE, Damage(), check_evidence):
        if not is_covering(row) or (rigs is not None and row["rig"] not in rigs):
            continue
        one = side.operations.setdefault(row["operation"], Operation(row["operation"]))
        one.seeds.add(str(head["seed"]))
        one.is_recorded = one.is_recorded or "flash_op" in (row.get("planned") or {})
        side.homes.add(str(row.get("home") or "fresh"))
        one.cuts.append((_instant(row, one), is_violation(row["outcome"])))
    for row in operations_rows(folder):
        if (held := side.operations.get(row["operation"])) is None:
            continue
        if rigs is not None and row["rig"] not in rigs:
            continue
        for finding in row.get("findings") or ():
            at = (str(finding.get("item")), str(finding.get("law")))
            held.items[at] = held.items.get(at, 0) + int(finding.get("covering_count") or 0)
        held.measures |= _measures(folder, row)


def _instant(row: Row, one: Operation) -> str:
    """What makes two cuts a pair: the flash operation and phase of a recorded one; else its place in the plan.

    One seed spreads its points over an operation in the same order, however long that takes.
    """
    planned = row.get("planned") or {}
    if "flash_op" in planned:
        return f"{planned['flash_op']}.{planned.get('phase')}"
    return f"point {len(one.cuts)}"


def _measures(folder: Path, row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    boot = (row.get("timing") or {}).get("boot_ms")
    if boot is not None:
        found["boot_ms"] = float(boot)
    trace = read_trace(folder, row["rig"], row["operation"], Damage())
    if trace:
        marks = [Mark(str(mark["name"]), int(mark["at_us"])) for mark in trace.get("marks") or ()]
        found["silence_ms"] = longest_silence(marks)[0] / 1000
        if trace.get("ops"):
            found["erases"] = float(sum(1 for op in trace["ops"] if op.get("kind") == "erase"))
    used = max((part.get("used") or 0 for part in row.get("wear") or ()), default=0)
    if row.get("cuts"):
        found["wear_per_cut"] = round(used / row["cuts"], 3)
    return found


def _age(folders: Iterable[Path], ledger: Ledger) -> float | None:
    """The share of its erases that the most worn real key had spent before these runs."""
    from sqlalchemy import func, select

    names = {folder.name for folder in folders}
    tested, wear, runs = ledger.tables.tested, ledger.tables.wear, ledger.tables.runs
    mine = ledger.rows(
        select(tested.c.key, func.min(runs.c.started).label("started"))
        .join(runs, runs.c.id == tested.c.run)
        .where(tested.c.run.in_(names) & (tested.c.kind != "twin"))
        .group_by(tested.c.key)
    )
    shares = []
    for row in mine:
        parts = ledger.rows(
            select(wear.c.what, func.sum(wear.c.used).label("used"), func.max(wear.c.upto).label("upto"))
            .join(runs, runs.c.id == wear.c.run)
            .where((wear.c.key == row["key"]) & (runs.c.started < row["started"]))
            .group_by(wear.c.what)
        )
        shares.append(max((part["used"] / part["upto"] for part in parts if part["upto"]), default=0.0))
    return max(shares, default=None)
