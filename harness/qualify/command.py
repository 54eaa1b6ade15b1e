"""`keyharness qualify`: freeze the plan, run what it lacks, write the verdict as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.base.atomic_file import replace_file
from harness.bench.registry import discover
from harness.evidence.ledger import Ledger
from harness.evidence.ledger_runs import numbers_of
from harness.model.row import Row
from harness.qualify.evidence import Evidence, gather
from harness.qualify.frozen import freeze_plan
from harness.qualify.merge import merge_runs
from harness.qualify.night import INTERRUPTED, USAGE, nights_of, run_night, update_benches
from harness.qualify.page import facts, page
from harness.qualify.plan import Plan
from harness.qualify.plan_file import check_plan, load_plan
from harness.qualify.ruling import EXIT_CODES
from harness.qualify.statement import statement
from harness.run.ledger_entry import enter_abandoned

PAGE, JSON = "qualification.html", "qualification.json"


@dataclass(frozen=True)
class Qualified:
    """:ivar exit_code: 0 qualified (with or without waivers), 1 not qualified, 2 interrupted, 3 not yet, 4 usage."""

    statement: Row
    evidence: Evidence
    folder: Path
    exit_code: int


def schema() -> str:
    """Return the JSON Schema of a plan."""
    return json.dumps(Plan.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"


def qualify(
    path: Path, reports: Path, out: TextIO, *, merge: Sequence[Path] = (), report_only: bool = False
) -> Qualified:
    """Run what a plan lacks, and write its page and its JSON below the folder of reports.

    :param merge: folders of runs that another host made for this plan. :param report_only: run nothing.
    :raises CallerError: the plan, or something that it names, is wrong; or it was changed without an amendment.
    """
    plan = load_plan(path)
    plugins = discover()
    benches = check_plan(plan, path, plugins)
    updates = update_benches(plan, path, benches, plugins, reports)
    enter_abandoned()
    with Ledger() as ledger:
        freeze_plan(plan, path, ledger)
        for name in merge_runs(plan, merge, ledger):
            out.write(f"merged run {name}\n")
        evidence = gather(plan, [*benches, *updates], plugins, ledger)
        number = max((row["number"] for row in numbers_of(ledger, plan.id)), default=0) + 1
        stopped = None
        nights = [] if report_only else nights_of(plan, path, evidence.cells, benches, updates, number)
        for night in nights:
            code = run_night(plan, night, reports, out)
            if code in (INTERRUPTED, USAGE):
                stopped = code
                break
        if nights:
            evidence = gather(plan, [*benches, *updates], plugins, ledger)
    made = statement(evidence)
    folder = reports / f"qualification-{plan.id}"
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / JSON, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    replace_file(folder / PAGE, page(made))
    code = evidence.verdict.exit_code
    if stopped is not None and code == EXIT_CODES["not yet"]:
        code = stopped
    return Qualified(made, evidence, folder, code)


def show(done: Qualified, out: TextIO) -> None:
    """Write the verdict and its reasons for a person."""
    it = done.statement
    out.write(f"\n{it['id']}  {it['product']['key']}  firmware {it['firmware']['version']}\n")
    out.write(f"VERDICT   {str(it['verdict']).upper()}\n")
    for reason in it["reasons"]:
        out.write(f"          {reason}\n")
    if it["weakest"]:
        out.write(f"WEAKEST   {it['weakest']}\n")
    for title, lines in facts(it):
        for at, line in enumerate(lines):
            out.write(f"{title.upper() if not at else '':<14} {line}\n")
    out.write(f"{it['is_not']}\n")
    out.write(f"evidence head {it['evidence_head']}\n")
    out.write(f"report {done.folder / PAGE}\n")
