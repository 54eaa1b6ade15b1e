"""Take in the runs of another host: their folders, of equal plan, product and firmware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.atomic_file import read_json
from harness.base.errors import CallerError
from harness.evidence.ledger_runs import frozen_as
from harness.evidence.rundir import RunDir
from harness.model.operation import FRESH
from harness.model.row import is_covering
from harness.qualify.counted import plain
from harness.qualify.plan import Plan
from harness.report.files import EVIDENCE, Damage, read_rows
from harness.report.load import check_evidence, whole_head
from harness.run.ledger_entry import KILLED, record

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger


def merge_runs(plan: Plan, folders: Sequence[Path], ledger: Ledger) -> list[str]:
    """Enter the runs in some folders into the ledger; return their names.

    :param folders: folders of runs, or folders of such folders.
    :raises CallerError: no run is there, or one is of another plan, product or evidence than this one.
    """
    digests = {row["digest"] for row in frozen_as(ledger, plan.id)} | {plan.digest}
    names = []
    for folder in folders:
        runs = [folder] if (folder / "run.json").exists() else sorted(folder.glob("*/"))
        runs = [run for run in runs if (run / "run.json").exists()]
        if not runs:
            raise CallerError(
                f"--merge {folder}", found="no run.json", expected="the folder of a run, or a folder of runs"
            )
        for run in runs:
            _check(plan, run, digests)
        for run in runs:
            RunDir(run).merge_again()
            verdict = (read_json(run / "summary.json") or {}).get("verdict") or KILLED
            record(run, str(verdict))
            names.append(run.name)
    return names


def _check(plan: Plan, run: Path, digests: set[str]) -> None:
    head = whole_head(run)
    digest = (head.get("series") or {}).get("digest")
    if digest not in digests:
        raise CallerError(
            f"--merge {run}",
            found=f"a run of plan {digest[:12]}..." if digest else "a run that no plan began",
            expected=f"a run of {plan.id}, {plan.digest[:12]}...",
            mend="run `keyharness qualify` with the same plan on that host",
        )
    others = sorted({str(rig.get("key")) for rig in head["rigs"]} - {plan.product.key})
    if others:
        raise CallerError(f"--merge {run}", found=f"a {others[0]}", expected=f"a {plan.product.key}")
    firmware = {plain(rig.get("firmware")) for rig in head["rigs"]}
    asked = {plain(one) for one in (plan.firmware.version, *plan.firmware.from_versions)}
    if firmware and not firmware & asked:
        raise CallerError(
            f"--merge {run}",
            found=f"firmware {' and '.join(sorted(firmware))}",
            expected=f"{plan.firmware.version}, or a version that updates start from",
            mend="merge the runs of this firmware only",
        )
    rows = read_rows(run / EVIDENCE, Damage(), check_evidence)
    homes = {str(row.get("home") or FRESH) for row in rows if is_covering(row)}
    offered = {home for use in plan.bench for home in use.homes}
    if others := sorted(homes - offered):
        raise CallerError(
            f"--merge {run}",
            found=f"cuts from the home {others[0]}",
            expected=f"homes of the plan: {', '.join(sorted(offered))}",
        )
    kinds = sorted(set(head.get("evidence_kind") or ()) - {use.kind for use in plan.bench})
    if kinds:
        raise CallerError(
            f"--merge {run}",
            found=f"evidence of kind {kinds[0]}",
            expected=f"one that the plan asks for: {', '.join(sorted({use.kind for use in plan.bench}))}",
        )
