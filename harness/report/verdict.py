"""The one verdict of a run, with its reasons and its exit code (docs/reports.md).

Precedence: usage, fail, interrupted, inconclusive, nothing tested, pass. `usage` is only an exit code: the summary
keeps the verdict of what was done, so a wrong option never hides a violation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.base.errors import Blame
from harness.report.causes import failures_of
from harness.report.proof import unmet
from harness.report.switches import switch_doubts
from harness.report.vocabulary import counted, fraction, number

PASS, FAIL, INTERRUPTED = "pass", "fail", "interrupted"
INCONCLUSIVE, NOTHING_TESTED = "inconclusive", "nothing-tested"
EXIT_CODES = {PASS: 0, FAIL: 1, INTERRUPTED: 2, INCONCLUSIVE: 3, NOTHING_TESTED: 5}
USAGE_EXIT_CODE = 4
USAGE_REASON = "usage: "
"""How a reason begins that makes the exit code USAGE_EXIT_CODE, whatever the verdict is."""

MISSED_MAX = 0.02
"""Share of missed cuts in one section of an operation, above which the operation is inconclusive."""
NAMED_MAX = 10
"""Number of causes or operations that the reasons name; the others are counted."""

TESTED = ("passed", "failed", "error", "deviation")
"""Outcomes of cases that were asked of a key."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Ruling:
    """A verdict with its exit code and reasons."""

    verdict: str
    exit_code: int
    reasons: tuple[str, ...]


def verdict(
    *,
    violations: Sequence[Row] = (),
    cases: Sequence[Row] = (),
    operations: Sequence[Row] = (),
    judged_cuts: int = 0,
    cut_short: str | None = None,
    usage: Sequence[str] = (),
    faults: Sequence[str] = (),
    required: str | None = None,
) -> Ruling:
    """Decide the verdict of a run.

    :param violations: findings, with severity, blame, rig, operation, count.
    :param cases: finished test cases, as in results.jsonl.
    :param operations: finished campaigns, as in operations.jsonl.
    :param cut_short: why the run did not finish; None if it did.
    :param usage: what is wrong with the bench, the options or the input files, in sentences.
    :param faults: faults of rigs and of the harness outside of cases (damaged files, lost evidence).
    :param required: the proof that --require asks for (`harness.report.proof`).
    """
    bad_usage = [*usage, *_cases(cases, Blame.CALLER)]
    failures = [*_violations(violations), *_cases(cases, Blame.KEY)]
    doubts = [
        *faults,
        *_blamed_elsewhere(violations),
        *_cases(cases, Blame.RIG),
        *_cases(cases, Blame.HARNESS),
        *switch_doubts(operations),
        *_named([why for op in operations for why in unproven(op, cut_short)], "more operations"),
        *unmet(operations, required),
    ]
    reasons = [USAGE_REASON + sentence for sentence in bad_usage]
    if failures:
        name = FAIL
        reasons += failures
        reasons += [f"the run was also cut short: {cut_short}"] if cut_short else []
    elif cut_short:
        name = INTERRUPTED
        reasons.append(cut_short)
    elif doubts or bad_usage:
        name = INCONCLUSIVE
    elif not judged_cuts and not any(case["outcome"] in TESTED for case in cases):
        name = NOTHING_TESTED
        reasons.append(_nothing(cases))
    else:
        name = PASS
    reasons += doubts
    return Ruling(name, USAGE_EXIT_CODE if bad_usage else EXIT_CODES[name], tuple(reasons))


def exit_code_of(summary: Row) -> int:
    """Return the exit code of a run: that of its verdict, unless bench or options were wrong."""
    return USAGE_EXIT_CODE if is_usage(summary) else EXIT_CODES[str(summary["verdict"])]


def is_usage(summary: Row) -> bool:
    """Return whether the run found that its bench, its options or an input file is wrong."""
    return any(str(reason).startswith(USAGE_REASON) for reason in summary.get("reasons") or ())


def _violations(violations: Sequence[Row]) -> list[str]:
    """Sum up the findings that fail the run, in one sentence. Findings of severity S3 do not."""
    failing = [v for v in violations if v.get("severity") != "S3" and v.get("blame") == Blame.KEY]
    if not failing:
        return []
    worst = min(str(v.get("severity")) for v in failing)
    where = list(dict.fromkeys(str(v["operation"]) for v in failing))
    named = ", ".join(_named(where, "more"))
    return [f"{counted(len(failing), 'finding')} against the key, the worst of severity {worst}: {named}"]


def _blamed_elsewhere(violations: Sequence[Row]) -> list[str]:
    return [
        f"{v['operation']} on {v['rig']}: violations in {counted(v.get('count') or 1, 'cut')}, "
        f"blamed on the {v.get('blame')} and not on the key"
        for v in violations
        if v.get("blame") != Blame.KEY and v.get("severity") != "S3"
    ]


def _cases(cases: Sequence[Row], blame: Blame) -> list[str]:
    """Name the cases that failed, one sentence for each cause."""
    said = []
    for group in failures_of(cases):
        if group["blame"] != blame:
            continue
        fault = "failed" if blame is Blame.KEY else f"{blame} fault"
        first, why = group["cases"][0], group["text"]
        if group["count"] == 1:
            said.append(f"{fault}: {first}" + (f": {why}" if why else ""))
        else:
            said.append(
                f"{fault}: {counted(group['count'], 'case')}, the first {first}" + (f": {why}" if why else "")
            )
    return _named(said, "more causes blamed on the " + blame)


def unproven(op: Row, cut_short: str | None) -> Iterable[str]:
    """Say why an operation's cuts prove nothing.

    :param op: its line in operations.jsonl. :param cut_short: why the run did not finish; None if it did.
    """
    name = f"{op['operation']} on {op['rig']}"
    for section, (missed, of) in sorted((op.get("missed") or {}).items()):
        if of and missed / of > MISSED_MAX:
            yield (
                f"{name}: {number(missed)} of {number(of)} cuts missed in section {section} "
                f"({fraction(missed / of)}, and at most {fraction(MISSED_MAX)} may)"
            )
    if (unresolved := op.get("unresolved")) and not op.get("covering_cuts"):
        yield (
            f"{name}: {counted(unresolved, 'cut')}, and none is known to have gone inside the operation: "
            "the power went astride its end, or nobody saw when"
        )
    if not op.get("complete", True) and not cut_short:
        yield f"{name}: the campaign did not come to its end"
    goal, bound = op.get("goal"), op.get("bound") or {}
    reached = bound.get("below", 1) <= (goal or {}).get("below", 1)
    confident = bound.get("confidence", 0) >= (goal or {}).get("confidence", 0)
    if goal and not op.get("exhaustive") and not (reached and confident) and not op.get("violations"):
        yield (
            f"{name}: the goal of below {fraction(goal['below'])} ({fraction(goal['confidence'])}) was not "
            f"reached in {number(op.get('covering_cuts') or 0)} evenly spread cuts"
        )


def _named(sentences: list[str], rest: str) -> list[str]:
    if len(sentences) <= NAMED_MAX:
        return sentences
    return [*sentences[:NAMED_MAX], f"{len(sentences) - NAMED_MAX} {rest}"]


def _nothing(cases: Sequence[Row]) -> str:
    if not cases:
        return "no test case was selected and no power was cut"
    not_offered = sum(1 for case in cases if case["outcome"] == "not_offered")
    said = (
        f"nothing was tested: of {counted(len(cases), 'case')} {number(not_offered)} are not offered by this "
        f"key and {number(len(cases) - not_offered)} were skipped"
    )
    # Without a reason the reader would have to look for it in the cases.
    why = [
        reason for case in cases if case["outcome"] == "skipped" and (reason := str(case.get("reason") or ""))
    ]
    return ": ".join([said, *([Counter(why).most_common(1)[0][0]] if why else [])])
