"""Everything that counts for a plan, read from the ledger and the runs' folders, and judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import harness
from harness.base.errors import CallerError
from harness.bench.bench import LoadedBench
from harness.bench.registry import Plugins
from harness.evidence.ledger_runs import findings_known, frozen_as, numbers_of, score_of, tested_of
from harness.evidence.mutation_score import MutationScore, newest_score
from harness.model.row import Row
from harness.qualify import counted, wear
from harness.qualify.cells import Cell, cells_of
from harness.qualify.counted import Campaign, CountedRun
from harness.qualify.findings import Finding, WaiverState, findings_of, fixes, name_first_bad, waive
from harness.qualify.persons import shared_roles
from harness.qualify.plan import BenchUse, Plan
from harness.qualify.plan_file import rigs_of
from harness.qualify.ruling import Verdict, rule

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger

Benches = Sequence[tuple[BenchUse, LoadedBench]]


@dataclass
class Evidence:
    """What counts for a plan.

    :ivar deviations: what was done otherwise than the plan says, in sentences.
    :ivar doubts: what keeps the evidence from being complete, in sentences.
    """

    plan: Plan
    runs: list[CountedRun]
    excluded: list[Row]
    cells: list[Cell]
    campaigns: list[Campaign]
    findings: list[Finding]
    waivers: list[WaiverState]
    fixes: list[Row]
    failures: list[Row]
    samples: list[Row]
    left: Row
    score: Row | None
    mutants: MutationScore | None
    history: list[Row]
    verdict: Verdict
    deviations: list[str] = field(default_factory=list)


def gather(
    plan: Plan, benches: Benches, plugins: Plugins, ledger: Ledger, today: date | None = None
) -> Evidence:
    """Read what counts for a plan, and judge it.

    :param benches: those of the plan, and those that install its firmware (`harness.qualify.night.update_benches`).
    :param today: the day of the verdict; UTC's if None.
    :raises CallerError: the plan excludes a run that does not count anyway.
    """
    today = today or datetime.now(UTC).date()
    updates = plugins.updates.get(plan.product.key)
    installs = updates.operations if updates else ()
    numbers = {row["run"]: row["number"] for row in numbers_of(ledger, plan.id)}
    every = counted.runs_on(plan, tested_of(ledger, plan.product.key), models_of(plan, benches), numbers)
    runs, excluded = _without_excluded(plan, every, numbers)
    campaigns, unreadable = _campaigns(runs, installs)
    known = findings_known(ledger, [plan.product.key])
    findings = findings_of(campaigns, _of_the_gone(runs, known))
    name_first_bad(findings, known)
    waivers = waive(findings, plan, today)
    offered = [(use.kind, _offered(plan, use, bench)) for use, bench in benches]
    cells = cells_of(plan, offered, installs, campaigns)
    score = score_of(ledger, harness.__version__)
    mutants = newest_score(plan.product.key, harness.__version__)
    failures = [{**row, "run": run.run} for run in _once(runs) for row in counted.case_failures(run)]
    doubts = [
        *unreadable,
        *_tool_doubts(plan, runs, score, mutants),
        *_gaps(plan, numbers, every),
        *_gone(runs),
    ]
    said = [f"{row['text']} ({row['count']} cases, run {row['run']})" for row in failures]
    samples = wear.samples_of(plan, ledger, campaigns)
    return Evidence(
        plan,
        runs,
        excluded,
        cells,
        campaigns,
        findings,
        waivers,
        fixes(plan, findings, known, campaigns),
        failures,
        samples,
        wear.left_of(cells, samples, campaigns),
        score,
        mutants,
        frozen_as(ledger, plan.id),
        rule(plan, cells, findings, said, doubts, today),
        deviations(
            plan, runs, excluded, [plan.digest, *(row["digest"] for row in frozen_as(ledger, plan.id))]
        ),
    )


def models_of(plan: Plan, benches: Benches) -> list[str]:
    """Return what the simulated rigs of a plan are of: personality and flash layer, as the ledger notes it."""
    found = []
    for use, bench in benches:
        if use.kind != "twin":
            continue
        for name in rigs_of(plan, use, bench):
            info = bench.make(name, plan.seed).info()
            found.append(" · ".join(str(text) for text in (info.personality, info.transport) if text))
    return found


def _offered(plan: Plan, use: BenchUse, bench: LoadedBench) -> list[str]:
    names = [name for rig in rigs_of(plan, use, bench) for name in bench.operations(rig)]
    return list(dict.fromkeys(names))


def _without_excluded(
    plan: Plan, every: Sequence[CountedRun], numbers: Mapping[str, int]
) -> tuple[list[CountedRun], list[Row]]:
    names = {one.run for one in every} | set(numbers)
    for one in plan.exclude:
        if one.run not in names:
            raise CallerError(
                f"plan {plan.id} · exclude",
                found=f'"{one.run}"',
                expected="a run that tested this firmware",
                mend="`keyharness qualify PLAN --report-only` lists the runs that count",
            )
    why = {one.run: one for one in plan.exclude}
    verdicts = {one.run: one.verdict for one in every}
    rows = [
        {"run": name, "reason": one.reason, "by": one.by, "verdict": verdicts.get(name, "unknown")}
        for name, one in why.items()
    ]
    return [one for one in every if one.run not in why], rows


def _campaigns(runs: Sequence[CountedRun], installs: Sequence[str]) -> tuple[list[Campaign], list[str]]:
    found: list[Campaign] = []
    said: dict[str, None] = {}
    for run in runs:
        campaigns, wrong = counted.campaigns_of(run, installs)
        found += campaigns
        said |= dict.fromkeys(wrong)
    return found, list(said)


def _of_the_gone(runs: Sequence[CountedRun], known: Sequence[Row]) -> list[Row]:
    gone = {(one.run, one.rig) for one in runs if one.folder is None}
    return [row for row in known if (row["run"], row["rig"]) in gone]


def _once(runs: Sequence[CountedRun]) -> list[CountedRun]:
    return list({one.run: one for one in runs}.values())


def _gone(runs: Sequence[CountedRun]) -> list[str]:
    return [
        f"run {one.run}: its folder is gone; `--merge DIR` brings a copy back, or exclude the run with a reason"
        for one in _once(runs)
        if one.folder is None
    ]


def _gaps(plan: Plan, numbers: Mapping[str, int], every: Sequence[CountedRun]) -> list[str]:
    """Runs of the plan's series that left nothing in the ledger: killed, or removed before they were entered."""
    known = {one.run for one in every} | {one.run for one in plan.exclude}
    return [
        f"run {name} (number {number} of this plan) is in no folder that counts: exclude it with a reason, "
        "or bring it back with --merge"
        for name, number in numbers.items()
        if name not in known
    ]


def _tool_doubts(
    plan: Plan, runs: Sequence[CountedRun], score: Row | None, mutants: MutationScore | None
) -> list[str]:
    tool, said = plan.tool, []
    if tool.prove_min is not None:
        if score is None:
            said.append("Keyharness' own score is not known: run `keyharness prove`")
        elif score["caught"] < tool.prove_min * score["of"]:
            said.append(
                f"`keyharness prove` caught {score['caught']} of {score['of']} known bugs, "
                f"and {100 * tool.prove_min:g} % are asked for"
            )
    if tool.mutants_min is not None:
        if mutants is None:
            said.append("no mutants were tried with this version: run `keyharness prove --random N`")
        elif mutants.caught < tool.mutants_min * mutants.counted:
            said.append(f"{mutants.text}, and {100 * tool.mutants_min:g} % are asked for")
    if tool.version is not None:
        said += [
            f"run {one.run} was made with Keyharness {one.version}, and the plan says {tool.version}"
            for one in _once(runs)
            if one.version != tool.version
        ]
    said += [text for one in runs if one.kind == "hardware" and (text := _calibration(plan, one))]
    return list(dict.fromkeys(said))


def _calibration(plan: Plan, run: CountedRun) -> str | None:
    made = (counted.about_rig(run).get("calibration") or {}).get("at")
    if run.folder is None:
        return None
    if made is None:
        return f"rig {run.rig} was not calibrated in run {run.run}: `keyharness calibrate {run.rig}`"
    age = (datetime.fromisoformat(run.started) - datetime.fromisoformat(str(made))).days
    limit = plan.tool.calibration_age_max_days
    return (
        f"rig {run.rig}: its calibration was {age} days old in run {run.run}, {limit} are allowed"
        if age > limit
        else None
    )


def deviations(
    plan: Plan, runs: Sequence[CountedRun], excluded: Sequence[Row], states: Sequence[str]
) -> list[str]:
    """Say what was done otherwise than the plan says.

    :param states: the digests that the plan had: a run of another host has no number here, and names one of them.
    """
    said = [
        f"run {row['run']} ({row['verdict']}) is left out: {row['reason']} ({row['by']})" for row in excluded
    ]
    said += shared_roles(plan.roles)
    said += [f"amended {one.at} by {one.by}: {one.why}" for one in plan.amendment]
    said += [
        f"the amendment of {one.at} replaces {one.replaces[:12]}..., a state that this ledger does not know"
        for one in plan.amendment
        if one.replaces not in states
    ]
    outside = sorted({one.run for one in runs if one.number is None and one.digest not in states})
    if outside:
        said.append(
            f"{len(outside)} runs were begun without this plan and count as well: {', '.join(outside)}"
        )
    return said
