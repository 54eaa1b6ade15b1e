"""summary.json: a run in one object, derived only from the files of the run's folder.

evidence.jsonl is the only truth about cuts: totals are counted there, also those of a campaign that never finished.
The fields are a contract: docs/reports.md explains them, and `harness.report.schema` checks them.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from pathlib import Path

from harness.base.errors import Blame
from harness.bench.deviations import AcceptedDeviation, CaseName, remarks
from harness.evidence.rundir import KEPT_BACK, QUARANTINED
from harness.model.outcome import Outcome
from harness.report import files
from harness.report.causes import deviations_of, failures_of
from harness.report.files import Row
from harness.report.findings import findings_of
from harness.report.left_out import left_out
from harness.report.load import CASE_OUTCOMES, RunFiles, Tally, read_run
from harness.report.proof import proof_of, proof_of_run
from harness.report.switches import switches_of
from harness.report.verdict import Ruling, verdict
from harness.report.vocabulary import counted, is_violation

SCHEMA = 1

_RIG_FIELDS = ("name", "key", "firmware", "personality", "transport", "expendable", "flash")
_OPERATION_FIELDS = (
    *(
        "rig",
        "operation",
        "cuts",
        "covering_cuts",
        "instants",
        "distinct_states",
        "exhaustive",
        "outcomes",
        "violations",
    ),
    *("missed", "unresolved", "bound", "window_ms", "duration_s"),
)

BUS_ERRORS = ("-71", "-110")
"""EPROTO and ETIMEDOUT in the kernel's log; see `harness.host.kernel_log`."""
_NEVER_NULL: dict[str, object] = {
    "cuts": 0,
    "unresolved": 0,
    "violations": 0,
    "outcomes": {},
    "exhaustive": False,
}


def conclude(run_dir: Path, *, usage: tuple[str, ...] = ()) -> tuple[Row, int]:
    """Write summary.json; return the summary and the exit code.

    :param usage: mistakes of the caller, in sentences; with any, the exit code is 4.
    """
    summary, ruling = _summarize(read_run(run_dir), run_dir.name, usage)
    files.write_json(run_dir / files.SUMMARY, summary)
    return summary, ruling.exit_code


def build_summary(run_dir: Path) -> Row:
    """Return the summary of a run's folder; the run may be unfinished."""
    return _summarize(read_run(run_dir), run_dir.name, ())[0]


def _summarize(run: RunFiles, name: str, usage: tuple[str, ...]) -> tuple[Row, Ruling]:
    head, finish = run.head, run.finish or {}
    operations = _operations(run)
    violations = findings_of(run)
    judged = sum(tally.judged for tally in run.tallies.values())
    cut_short = _cut_short(run)
    ruling = verdict(
        violations=violations,
        cases=run.cases,
        operations=run.operations,
        judged_cuts=judged,
        cut_short=cut_short,
        usage=usage,
        faults=[*run.damage.sentences, *_evidence_faults(run), *_kept_back(run)],
        required=(head.get("asked") or {}).get("require"),
    )
    campaign_s = sum(row.get("duration_s") or 0 for row in run.operations)
    observe_s = sum(row.get("observe_s") or 0 for row in run.operations) or campaign_s
    distinct = sum(op["distinct_states"] or 0 for op in operations)
    kinds = head.get("evidence_kind")
    switches = switches_of(run.operations)
    summary = {
        "schema": SCHEMA,
        "run": head.get("run") or name,
        **{key: head.get(key) for key in ("version", "seed", "bench", "started")},
        "duration_s": finish.get("duration_s"),
        "complete": cut_short is None,
        "verdict": ruling.verdict,
        "proof": proof_of_run(operations),
        "evidence_kind": [kinds] if isinstance(kinds, str) else sorted(kinds or []),
        "reasons": list(ruling.reasons),
        "rigs": [
            {**{key: rig.get(key) for key in _RIG_FIELDS}, "switch": switches.get(str(rig.get("name")))}
            for rig in head.get("rigs") or []
        ],
        "suites": _suites(run.cases),
        "cuts": judged,
        "distinct_states": distinct,
        "missed_cuts": sum(tally.outcomes[Outcome.MISSED] for tally in run.tallies.values()),
        "unresolved_cuts": sum(tally.unresolved for tally in run.tallies.values()),
        "rig_faults": _rig_faults(run),
        "cuts_per_s": _rate(judged, campaign_s),
        "distinct_states_per_s": _rate(distinct, observe_s),
        "operations": operations,
        "violations": violations,
        "failures": failures_of(run.cases),
        "deviations": deviations_of(run.cases),
        "notes": _notes(run),
        "wear": _wear(run.operations),
        "plugs": _plugs(run.operations),
    }
    return summary, ruling


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if seconds else None


def _cut_short(run: RunFiles) -> str | None:
    if run.finish is None:
        return "the run ended without a word: it was killed, or its machine was"
    if run.finish.get("interrupted"):
        said = run.finish["interrupted"]
        return f"the run was interrupted: {said}" if isinstance(said, str) else "the run was interrupted"
    return None if run.finish.get("complete", True) else "the run stopped before everything selected was run"


def _suites(cases: list[Row]) -> dict[str, dict[str, int]]:
    suites: dict[str, dict[str, int]] = {}
    for case in sorted(cases, key=lambda case: str(case.get("suite"))):
        tally = suites.setdefault(str(case.get("suite") or "other"), dict.fromkeys(CASE_OUTCOMES, 0))
        tally[case["outcome"]] += 1
    return suites


def _operations(run: RunFiles) -> list[Row]:
    finished = {(row["rig"], row["operation"]): row for row in run.operations}
    summed = []
    for rig, operation in sorted({*finished, *run.tallies}):
        row = finished.get((rig, operation)) or _unfinished(rig, operation, run.tallies[rig, operation])
        known = {key: row.get(key) for key in _OPERATION_FIELDS}
        known |= {key: row.get(key) or empty for key, empty in _NEVER_NULL.items()}
        summed.append({**known, "proof": proof_of(known)})
    return summed


def _unfinished(rig: str, operation: str, tally: Tally) -> Row:
    """Sum up the evidence of a campaign that never wrote its line in operations.jsonl; other fields are null."""
    return {
        "rig": rig,
        "operation": operation,
        "cuts": tally.judged,
        "covering_cuts": tally.covering,
        "unresolved": tally.unresolved,
        "exhaustive": False,
        "outcomes": dict(sorted(tally.outcomes.items())),
        "violations": sum(count for name, count in tally.outcomes.items() if is_violation(name)),
    }


def _evidence_faults(run: RunFiles) -> list[str]:
    said = []
    for (rig, operation), tally in sorted(run.tallies.items()):
        for blame, count in sorted(tally.faults.items()):
            said.append(f"{operation} on {rig}: {counted(count, 'cut')} wasted, blamed on the {blame}")
    for row in run.operations:
        held = run.tallies.get((row["rig"], row["operation"]), Tally()).judged
        if held < (row.get("cuts") or 0):
            said.append(
                f"{files.EVIDENCE}: holds {held:,} of the {row['cuts']:,} judged cuts of "
                f"{row['operation']} on {row['rig']}"
            )
    return said


def _kept_back(run: RunFiles) -> list[str]:
    """Name the rigs that were in quarantine or absent, with the number of cases that did not run."""
    kept: dict[tuple[str, str], int] = {}
    for case in run.cases:
        reason = str(case.get("reason") or "")
        if case["outcome"] == "skipped" and reason.startswith(KEPT_BACK):
            at = (str(case.get("rig")), reason)
            kept[at] = kept.get(at, 0) + 1
    said = []
    for (rig, reason), count in sorted(kept.items()):
        word, _, why = reason.partition(": ")
        is_so = "in quarantine" if word == QUARANTINED else word
        said.append(f"rig {rig} is {is_so}, {counted(count, 'case')} not run: {why}")
    return said


def _notes(run: RunFiles) -> list[str]:
    """Say what does not change the verdict and still matters: what was left out, deviations that hold no more."""
    try:
        accepted = [AcceptedDeviation.model_validate(row) for row in run.head.get("deviations") or []]
        today = datetime.fromisoformat(str(run.head.get("started"))).date() if accepted else date.min
    except (ValueError, TypeError):
        return [f"{files.RUN}: its list of accepted deviations cannot be read"]
    cases = [
        (CaseName(case["nodeid"], case.get("rig"), case.get("clause")), str(case["outcome"]))
        for case in run.cases
    ]
    # A run of a selection has left out what nobody asked for; a run that cuts nothing, updates.
    starts = run.head.get("untried_starts")
    asked = (run.head.get("asked") or {}).get("suites") or ()
    suites = {
        key: [name for name in names if name in asked]
        for key, names in (run.head.get("untried_suites") or {}).items()
    }
    without = left_out(run.cases, starts if run.operations else {}, suites) if starts is not None else None
    return [
        *(run.head.get("notes") or []),
        *_remarks(run),
        *([without] if without else []),
        *_policies(run),
        *remarks(accepted, cases, today),
    ]


def _remarks(run: RunFiles) -> list[str]:
    """Say what was found out about each rig and has to stand beside every verdict on it."""
    said = run.head.get("remarks") or {}
    return [f"rig {rig}: {remark}" for rig, held in sorted(said.items()) for remark in held]


def _policies(run: RunFiles) -> list[str]:
    """Say what a key allows, as cases that passed have recorded it."""
    found: dict[str, set[str]] = {}
    for case in run.cases:
        if case.get("policy") and case["outcome"] == "passed":
            found.setdefault(case["policy"], set()).add(str(case.get("rig")))
    return [f"policy of {', '.join(sorted(rigs))}: {said}" for said, rigs in found.items()]


def _rig_faults(run: RunFiles) -> int:
    of_cases = sum(
        1 for case in run.cases if case["outcome"] in ("failed", "error") and case.get("blame") == Blame.RIG
    )
    return of_cases + sum(tally.faults[Blame.RIG] for tally in run.tallies.values())


def _plugs(operations: list[Row]) -> list[Row]:
    """Count the enumerations of each rig's key in the campaigns, and the kernel's errors in them."""
    counts: dict[str, Counter[str]] = {}
    for row in operations:
        if row.get("plugs"):
            counts.setdefault(row["rig"], Counter()).update(row["plugs"])
    return [
        {
            "rig": rig,
            "plugs": count["plugs"],
            "errors": {name: count[name] for name in BUS_ERRORS},
            "per_thousand": {name: _rate(1000 * count[name], count["plugs"]) for name in BUS_ERRORS},
        }
        for rig, count in sorted(counts.items())
    ]


def _wear(operations: list[Row]) -> list[Row]:
    worn: dict[tuple[str, str], Row] = {}
    for row in operations:
        for part in row.get("wear") or []:
            of = worn.setdefault(
                (row["rig"], part["what"]),
                {"rig": row["rig"], "what": part["what"], "used": 0, "limit": None, "estimated": False},
            )
            of["used"] += part["used"]
            of["limit"] = part.get("limit")
            of["estimated"] = of["estimated"] or bool(part.get("estimated"))
    return [worn[key] for key in sorted(worn)]
