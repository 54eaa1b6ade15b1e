"""The result of a qualification as one JSON object: what is signed, and what the page shows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

import harness
from harness.evidence.chain import digest as line_digest
from harness.evidence.ledger import now
from harness.evidence.rundir import RunDir
from harness.model.row import Row
from harness.qualify import counted
from harness.qualify.cells import Cell, weakest
from harness.qualify.counted import CountedRun
from harness.qualify.evidence import Evidence
from harness.report.vocabulary import fraction

SCHEMA = 1
NO_CERTIFICATE = "This is no FIDO, FIPS or Common Criteria certification."


def statement(evidence: Evidence) -> Row:
    """Return the result of a qualification; docs/qualify.md explains the fields."""
    plan, cells = evidence.plan, evidence.cells
    ranked = weakest([cell for cell in cells if cell.carried is None])
    return {
        "schema": SCHEMA,
        "id": plan.id,
        "verdict": evidence.verdict.word,
        "reasons": list(evidence.verdict.reasons),
        "made": now(),
        "plan": {
            "digest": plan.digest,
            "frozen": evidence.history[0]["at"] if evidence.history else None,
            "states": [row["digest"] for row in evidence.history],
            "amendments": [one.model_dump(mode="json") for one in plan.amendment],
        },
        "product": plan.product.model_dump(mode="json"),
        "firmware": plan.firmware.model_dump(mode="json"),
        "weakest": proof_words(ranked[0]) if ranked else None,
        "operations": [cell.table() for cell in weakest(cells)],
        "matrix": matrix(cells),
        "findings": [one.table() for one in evidence.findings],
        "waivers": [one.table() for one in evidence.waivers],
        "fixes": evidence.fixes,
        "failed_cases": evidence.failures,
        "requirements": requirements(evidence),
        "not_tested": plan.not_tested,
        "deviations": evidence.deviations,
        "samples": evidence.samples,
        "rigs": rigs(evidence.runs),
        "runs": {"counted": _runs(evidence.runs), "excluded": evidence.excluded},
        "left": evidence.left,
        "environment": plan.environment.model_dump(mode="json"),
        "decision": plan.decision.model_dump(mode="json"),
        "tool": {
            "keyharness": harness.__version__,
            "asked": plan.tool.model_dump(mode="json"),
            "score": evidence.score,
            "mutants": asdict(evidence.mutants) if evidence.mutants else None,
            "mutants_text": evidence.mutants.text if evidence.mutants else None,
        },
        "roles": plan.roles.model_dump(mode="json"),
        "evidence_head": head_of(evidence.runs),
        "is_not": NO_CERTIFICATE,
    }


def proof_words(cell: Cell) -> str:
    """E.g. update_user (hardware): below 1.5 % of instants (99 %; 1 of 459), 4 keys."""
    cuts, bad = cell.counts()
    name = f"{cell.name} ({cell.kind})"
    if cell.exhaustive:
        return f"{name}: every modelled flash operation in every modelled phase"
    below = cell.below()
    if below is None:
        return f"{name}: " + (
            f"a sample of {cell.cuts:,} cuts, which bounds nothing" if cell.cuts else "not cut yet"
        )
    keys = "" if cell.is_model else f", {len(cell.keys)} keys"
    share = fraction(below)
    return f"{name}: below {share} of instants ({100 * cell.goal.confidence:g} %; {bad} of {cuts:,}){keys}"


def matrix(cells: Sequence[Cell]) -> list[Row]:
    """Return a row for all operations and one for each from-version: {"row", "kinds": {kind: done, of, how}}."""
    rows = []
    starts = sorted({cell.from_version for cell in cells if cell.from_version})
    for start in (None, *starts):
        of_row = [cell for cell in cells if cell.from_version == start]
        if not of_row:
            continue
        kinds = {}
        for kind in dict.fromkeys(cell.kind for cell in cells):
            held = [cell for cell in of_row if cell.kind == kind]
            if held:
                kinds[kind] = {
                    "done": sum(1 for cell in held if not cell.missing()),
                    "of": len(held),
                    "carried": sum(1 for cell in held if cell.carried is not None),
                    "exhaustive": all(cell.exhaustive for cell in held),
                    "keys": 0 if kind == "twin" else len({key for cell in held for key in cell.keys}),
                }
        rows.append({"row": f"from {start}" if start else "operations", "kinds": kinds})
    return rows


def requirements(evidence: Evidence) -> list[Row]:
    """Return each requirement with whether its operations reached their goals without an open finding."""
    rows = []
    for one in evidence.plan.requirement:
        held = [cell for cell in evidence.cells if cell.operation in one.operations]
        open_ = [
            f.name
            for f in evidence.findings
            if f.print[0] in one.operations and f.state in ("new", "unexplained")
        ]
        waived = any(f.state == "waived" for f in evidence.findings if f.print[0] in one.operations)
        lacking = [f"{cell.name} ({cell.kind})" for cell in held if cell.missing()]
        missing = sorted(set(one.operations) - {cell.operation for cell in held})
        state = "violated" if open_ else "open" if lacking or missing else "waived" if waived else "shown"
        rows.append({**one.model_dump(), "state": state, "lacking": [*open_, *lacking, *missing]})
    return rows


def rigs(runs: Sequence[CountedRun]) -> list[Row]:
    """Return {"rig", "kind", "calibrated", "cuts", "strayed", "faults", "runs"} of each rig that took part."""
    rows: dict[tuple[str, str], Row] = {}
    for run in runs:
        empty = {
            "rig": run.rig,
            "kind": run.kind,
            "calibrated": None,
            "cuts": 0,
            "strayed": 0,
            "faults": 0,
            "runs": 0,
        }
        row = rows.setdefault((run.rig, run.kind), empty)
        about = counted.about_rig(run)
        switch = about.get("switch") or {}
        row["calibrated"] = (about.get("calibration") or {}).get("at") or row["calibrated"]
        row["cuts"] += switch.get("cuts") or 0
        row["strayed"] += switch.get("strayed") or 0
        row["faults"] += counted.rig_faults(run)
        row["runs"] += 1
    return [rows[key] for key in sorted(rows)]


def _runs(runs: Sequence[CountedRun]) -> list[Row]:
    rows: dict[str, Row] = {}
    for one in runs:
        row = rows.setdefault(
            one.run,
            {
                "run": one.run,
                "number": one.number,
                "plan": one.digest,
                "started": one.started,
                "verdict": one.verdict,
                "version": one.version,
                "seed": one.seed,
                "keys": [],
                "rigs": [],
                "complete": counted.is_complete(one),
                "head": run_head(one),
            },
        )
        row["keys"] = sorted({*row["keys"], one.key})
        row["rigs"] = sorted({*row["rigs"], one.rig})
    return list(rows.values())


def run_head(run: CountedRun) -> str | None:
    """Return the digest over the last lines of a run's journals, in the order of its plan; None if they are gone."""
    if run.folder is None:
        return None
    order = RunDir(run.folder).head()["order"]
    from harness.evidence.journal_archive import read_held

    names = [RunDir(run.folder).journal_path(rig, operation).name for rig, operation in order]
    held = read_held(run.folder / "journal", names)
    heads = [line_digest(body.splitlines(keepends=True)[-1]) for _, body in held if body]
    return hashlib.sha256("\n".join([run.run, *heads]).encode()).hexdigest()


def head_of(runs: Sequence[CountedRun]) -> str:
    """Return the digest over the heads of all counted runs, in order: each with that of the runs before it."""
    last = ""
    for one in {run.run: run for run in runs}.values():
        last = hashlib.sha256(f"{last}{run_head(one)}".encode()).hexdigest()
    return last
