"""How a run ended, in words: its verdict, kind of evidence and findings, with the command that repeats each."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import PurePath

from harness.report import vocabulary
from harness.report.findings import campaign_findings
from harness.report.proof import proof_words
from harness.report.switches import switch_words
from harness.report.text import Paint, Row, operation_name, plain, several_rigs
from harness.report.verdict import (
    FAIL,
    INCONCLUSIVE,
    INTERRUPTED,
    NOTHING_TESTED,
    PASS,
    USAGE_EXIT_CODE,
    is_usage,
)
from harness.report.vocabulary import counted, number

DEVIATIONS_MAX = 10
"""Groups of deviations that a terminal shows."""

LABELS = {
    PASS: ("PASS", "good"),
    FAIL: ("FAIL", "bad"),
    INTERRUPTED: ("INTERRUPTED", "warn"),
    INCONCLUSIVE: ("INCONCLUSIVE", "warn"),
    NOTHING_TESTED: ("NOTHING TESTED", "warn"),
}


def verdict_block(
    summary: Row,
    bench: str | None = None,
    report: str | None = None,
    *,
    width: int = 120,
    paint: Paint = plain,
) -> list[str]:
    """Say the verdict, the kind of evidence, the reasons and findings, and where the report is.

    :param bench: path of the bench file, as a user types it; None means the one in the summary.
    :param report: path of the report's page, shown last.
    """
    label, (word, tone) = verdict_label(summary), LABELS[summary["verdict"]]
    title = vocabulary.evidence_sentence(summary["evidence_kind"], summary["rigs"])
    if summary["verdict"] == FAIL and not summary["complete"]:
        title += " · cut short"
    indent = " " * (6 + len(word) + 3)
    lines = _wrapped(title, f"      {label}   ", indent, width)
    lines[0] = lines[0].replace(label, paint(label, tone), 1)
    proved = [line for said in proofs(summary) for line in _wrapped(said, indent, indent, width)]
    reasons = [line for why in summary["reasons"] for line in _wrapped(why, indent, indent + "  ", width)]
    findings = _finding_block(summary, bench or summary["bench"], width, paint)
    # Of a failed run the findings come first.
    lines += [*findings, *reasons, *proved] if summary["verdict"] == FAIL else [*proved, *reasons, *findings]
    for said in [*_deviation_lines(summary), *(summary.get("notes") or [])]:
        lines += _wrapped(said, indent, indent + "  ", width)
    if report:
        lines.append(f"      report {report}")
    if report and not summary["complete"]:
        lines.append(f"      resume {resume_command(str(summary['run']), report)}")
    return lines


def resume_command(run: str, report: str | None) -> str:
    """Return the command that continues a run.

    :param report: path of the run's page; None if it has none.
    """
    reports = str(PurePath(report).parent.parent) if report else "reports"
    where = "" if reports == "reports" else f" --reports {shlex.quote(reports)}"
    return f"keyharness run --resume {run}{where}"


def verdict_label(summary: Row) -> str:
    """Return the verdict in capitals; that of a pass says what was proved: PASS (exhaustive).

    Where the exit code is that of wrong usage, and not the verdict's, it says so.
    A switch that is not to be believed stands there with every verdict.
    """
    word, _ = LABELS[summary["verdict"]]
    switches = {rig["name"]: rig["switch"] for rig in summary["rigs"] if rig.get("switch")}
    proved = proof_words(summary["operations"]) if summary["verdict"] == PASS else ""
    usage = f"usage: exit code {USAGE_EXIT_CODE}" if is_usage(summary) else ""
    said = "; ".join(words for words in (usage, proved, switch_words(switches)) if words)
    return f"{word} ({said})" if said else word


def _deviation_lines(summary: Row) -> list[str]:
    """Say what deviates without failing the run: one line for each clause and function."""
    groups = summary.get("deviations") or []
    lines = []
    for group in groups[:DEVIATIONS_MAX]:
        word = (
            "deviates from a recommendation" if group["kind"] == "recommendation" else "deviates, as accepted"
        )
        where = f" ({group['clause']})" if group["clause"] else ""
        many = f", {counted(group['count'], 'case')}" if group["count"] > 1 else ""
        lines.append(f"{word}{where}: {group['cases'][0]}{many}: {group['text']}")
    left = sum(group["count"] for group in groups[DEVIATIONS_MAX:])
    return [*lines, f"{counted(left, 'more deviation')}: the report lists them"] if left else lines


def replay_command(replay_id: str, bench: str | None) -> str:
    """Return the command that repeats one cut."""
    return f"keyharness replay {replay_id}" + (f" --bench {shlex.quote(bench)}" if bench else "")


def failure_text(operation: Row, bench: str | None) -> str:
    """Say why the test case of a campaign failed.

    :param operation: its line in operations.jsonl, findings included.
    """
    about = {"operations": [operation], "rigs": [], "violations": campaign_findings(dict(operation))}
    block = _finding_block(about, bench, 100)
    return "\n".join([f"{operation['operation']} on {operation['rig']}:", *block])


def finding_lines(violation: Row, operation: Row | None, *, several: bool = False) -> list[str]:
    """Describe a violation: what, how often, and what was observed.

    :param several: the run has several rigs, so the rig is named.
    """
    first, *rest = str(violation["text"]).split("\n")
    name = operation_name(violation["rig"], violation["operation"], several)
    return [f"{name}: {first}", _how_often(violation, operation or {}), *rest]


def _how_often(violation: Row, operation: Row) -> str:
    count, covering, of = violation["count"] or 0, violation["covering_count"], violation["of"]
    if ":uncut:" in str(violation["first"]):
        return "no power was cut: the operation does it whenever it runs"
    if covering is None or not of:
        return counted(count, "cut")
    among = (
        f"in the walk of {vocabulary.EVERY_OPERATION}"
        if operation.get("exhaustive")
        else "evenly spread ones"
    )
    if not covering and count == 1 and ":end:" in str(violation["first"]):
        return "lost at a clean restart, some time after the answer: no power was cut"
    aimed = "were aimed at the fault or made again"
    rest = (
        "are cuts into the boot after it, from other homes, or before an owner's action"
        if operation.get("exhaustive")
        else aimed
    )
    text = f"{counted(count, 'cut')}, {number(covering)} of {number(of)} {among}"
    return f"{text}; the rest {rest}" if count > covering else text


def _finding_block(summary: Row, bench: str | None, width: int, paint: Paint = plain) -> list[str]:
    operations = {(op["rig"], op["operation"]): op for op in summary["operations"]}
    ordered = sorted(summary["violations"], key=lambda v: (v["severity"], v["rig"], v["operation"]))
    column = 8 + max((len(f"{v['severity']} {v['blame']}") for v in ordered), default=0) + 3
    lines: list[str] = []
    for found in ordered:
        start = f"        {found['severity']} {found['blame']}".ljust(column)
        operation = operations.get((found["rig"], found["operation"]))
        first, *rest = finding_lines(found, operation, several=several_rigs(summary))
        opening, *more = _wrapped(first, start, " " * (column + 2), width)
        tone = "warn" if found["severity"] == "S3" else "bad"
        lines += [opening.replace(start, paint(start, tone), 1), *more]
        for sentence in rest:
            lines += _wrapped(sentence, " " * column, " " * (column + 2), width)
        if found["first"]:
            # Never wrapped, so that it can be copied.
            lines.append(" " * column + replay_command(found["first"], bench))
    return lines


def _wrapped(text: str, start: str, then: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(then) + 30),
        initial_indent=start,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]


def proofs(summary: Row) -> list[str]:
    """Say what the cuts prove and what they cost, one sentence each."""
    return [*_proved(summary), *_spent(summary)]


def _proved(summary: Row) -> list[str]:
    """Say what the cuts prove: all exhaustive operations together, and the least proved of the others."""
    operations = summary["operations"]
    if not operations:
        passed = sum(suite["passed"] for suite in summary["suites"].values())
        return [f"{counted(passed, 'case')} passed; no power was cut"] if passed else []
    bad = sum(op["violations"] for op in operations)
    distinct = summary["distinct_states"]
    said = [
        f"{counted(bad, 'violation')} in {counted(summary['cuts'], 'judged cut')}"
        + (f", {counted(distinct, 'distinct state')}" if distinct else "")
    ]
    walked = sum(1 for op in operations if op["exhaustive"])
    if walked == len(operations):
        said.append(f"{'all ' if walked > 1 else ''}{counted(walked, 'operation')}: {vocabulary.EVERY_PHASE}")
    elif walked:
        said.append(f"{walked} of {counted(len(operations), 'operation')}: {vocabulary.EVERY_PHASE}")
    least = vocabulary.weakest(op for op in operations if not op["violations"])
    if least:
        proved = vocabulary.bound_sentence(least) or f"{vocabulary.sampled(least)}, which bounds nothing"
        said.append(f"{least['operation']}: {proved}")
    return said


def _spent(summary: Row) -> list[str]:
    if not summary["operations"]:
        return []
    planned = summary["cuts"] + summary["missed_cuts"] + (summary.get("unresolved_cuts") or 0)
    parts = [
        f"missed cuts {number(summary['missed_cuts'])} of {number(planned)}",
        f"rig faults {number(summary['rig_faults'])}",
    ]
    if unresolved := summary.get("unresolved_cuts"):
        parts.insert(1, f"unresolved cuts {number(unresolved)}")
    hot = vocabulary.hottest(summary["wear"])
    if hot and hot["limit"]:
        spent = f"{number(hot['used'])} of {number(hot['limit'])} erases on its hottest page"
        keys = -(-hot["used"] // hot["limit"])
        many = (
            f": more than a page is specified for, so {number(keys)} keys would share them"
            if keys > 1
            else ""
        )
        parts.append(
            f"a real key would have spent {spent} (estimated){many}"
            if hot["estimated"]
            else f"the key spent {spent}{': more than a page is specified for' if keys > 1 else ''}"
        )
    plugs = sum(row["plugs"] for row in summary.get("plugs") or [])
    errors = sum(sum(row["errors"].values()) for row in summary.get("plugs") or [])
    if errors:
        # One enumeration may fail in several lines, so this is a ratio and not a share.
        share = f"{1000 * errors / max(1, plugs):.1f} per 1,000"
        parts.append(f"{number(errors)} errors -71 or -110 in {number(plugs)} plugs ({share})")
    return [" · ".join(parts)]
