"""Sort the findings of a run by what the ledger knows: new, known, unexplained."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from harness.base.errors import CallerError
from harness.base.versions import version_key
from harness.evidence.ledger import Ledger
from harness.evidence.ledger_runs import findings_known
from harness.evidence.ledger_tested import home_of
from harness.model.row import Row
from harness.qualify.counted import operations_rows, plain
from harness.report.load import whole_head
from harness.run.launch import find_run
from harness.run.ledger_entry import enter_abandoned

NEW, KNOWN, UNEXPLAINED = "new", "known", "unexplained"


def triage(name: str | None, reports: Path) -> Row:
    """Return {"run", "findings"}: each with its `state` and where else it was seen.

    new: no other run of this key's model shows it. known: another one does. unexplained: it was seen once, and did
    not come back when its cut was made again.

    :raises CallerError: there is no such run, or its folder has no campaign's result.
    """
    path = find_run(name, reports)
    enter_abandoned()
    head = whole_head(path)
    rigs = {rig["name"]: rig for rig in head["rigs"]}
    rows = operations_rows(path)
    if not rows:
        raise CallerError(
            f'run "{path.name}"', found="no campaign that ended", expected="a run with operations.jsonl"
        )
    models = sorted({str(rig["key"]) for rig in rigs.values()})
    with Ledger() as ledger:
        known = findings_known(ledger, models, without=head["run"])
    found = []
    for row in rows:
        for finding in row.get("findings") or ():
            rig = rigs.get(row["rig"], {})
            seen = [one for one in known if one["model"] == rig.get("key") and _same(one, row, finding)]
            found.append(_sorted(row, finding, rig, seen))
    return {
        "run": head["run"],
        "findings": sorted(found, key=lambda one: (str(one["severity"]), one["operation"])),
    }


def _same(one: Row, row: Row, finding: Row) -> bool:
    mine = (row["operation"], finding.get("item"), finding.get("law"), home_of(finding.get("first")))
    return (one["operation"], one["item"], one["law"], one["home"]) == mine


def _sorted(row: Row, finding: Row, rig: Row, seen: list[Row]) -> Row:
    versions = sorted({name for one in seen if (name := plain(one["firmware"]))}, key=version_key)
    bad = [*versions, *([mine] if (mine := plain(rig.get("firmware"))) else [])]
    again = (finding.get("again") or {}).get("reproduced")
    is_once = not seen and finding.get("count") == 1 and again is not None and not again[0]
    return {
        "state": KNOWN if seen else UNEXPLAINED if is_once else NEW,
        "rig": row["rig"],
        "operation": row["operation"],
        "firmware": plain(rig.get("firmware")),
        **{name: finding.get(name) for name in ("severity", "item", "law", "outcome", "count", "first")},
        "home": home_of(finding.get("first")),
        "k": finding.get("covering_count"),
        "n": finding.get("of"),
        "seen_in": sorted({one["run"] for one in seen}),
        "seen_on_firmware": versions,
        "first_bad_firmware": min(bad, key=version_key, default=None),
        "reproduced": again,
    }


def exit_code(table: Row) -> int:
    """Return 0 if every finding is known, 1 if one is new or unexplained."""
    return 1 if any(one["state"] != KNOWN for one in table["findings"]) else 0


def show(table: Row, out: TextIO) -> None:
    """Write the findings for a person, new ones first."""
    found = table["findings"]
    counts = {state: sum(1 for one in found if one["state"] == state) for state in (NEW, KNOWN, UNEXPLAINED)}
    out.write(
        f"run {table['run']}: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "\n"
    )
    for state in (NEW, UNEXPLAINED, KNOWN):
        for one in (one for one in found if one["state"] == state):
            home = "" if one["home"] == "fresh" else f" from the home {one['home']}"
            out.write(
                f"  {state:<12} {one['severity']} {one['operation']}: {one['item']} {one['outcome']}{home}\n"
            )
            if one["seen_in"]:
                where = ", ".join(one["seen_on_firmware"])
                out.write(f"{'':<15} seen in {len(one['seen_in'])} other runs, on firmware {where}\n")
            elif one["reproduced"] is not None:
                back, tries = one["reproduced"]
                out.write(f"{'':<15} made again {tries} times, came back {back} times\n")
            out.write(f"{'':<15} keyharness replay {one['first']}\n")
