"""The findings of a run: its violations as a summary lists them."""

from __future__ import annotations

from harness.base.errors import Blame
from harness.report.files import Row
from harness.report.load import RunFiles, Tally
from harness.report.sentences import finding_sentence
from harness.report.vocabulary import counted


def findings_of(run: RunFiles) -> list[Row]:
    """Return the findings of a run as rows of a summary, worst first.

    A campaign that was interrupted wrote no findings: one is made from its evidence for each class of violation.
    """
    found, named = [], set()
    for row in run.operations:
        found += campaign_findings(row)
        named |= {
            (row["rig"], row["operation"], finding.get("outcome")) for finding in row.get("findings") or []
        }
    for (rig, operation), tally in run.tallies.items():
        unnamed = [bad for bad in tally.first_bad if (rig, operation, bad) not in named]
        found += [_without_summary(rig, operation, tally, bad) for bad in unnamed]
    order = ("severity", "rig", "operation", "item", "first")
    return sorted(found, key=lambda violation: [str(violation[key]) for key in order])


def campaign_findings(row: Row) -> list[Row]:
    """Return the findings of one campaign as rows of a summary.

    :param row: its line in operations.jsonl.
    """
    return [_finding(row, finding) for finding in row.get("findings") or []]


def _finding(row: Row, finding: Row) -> Row:
    narrowest = (finding.get("narrowest") or {}).get("text")
    where = finding.get("where")
    text = [
        f'item "{finding.get("item")}" {str(finding.get("outcome")).replace("-", " ")}',
        f"narrowest: {narrowest}" if narrowest else f"first: {where}" if where else "",
        str(finding.get("text") or ""),
        _repeatability(finding.get("again")),
    ]
    return {
        "severity": finding.get("severity") or "S1",
        "blame": finding.get("blame") or Blame.KEY.value,
        "rig": row["rig"],
        "operation": row["operation"],
        **{key: finding.get(key) for key in ("item", "law", "count", "covering_count", "of", "first")},
        "sentence": finding_sentence(finding, row),
        "text": "\n".join(line for line in text if line),
    }


def _repeatability(again: Row | None) -> str:
    """Say how often an abnormal outcome came back, and which earlier cuts it needs."""
    if not again:
        return ""
    came_back, tries = again["reproduced"]
    said = f"came back {came_back} of {tries} times at the same instant" if tries else "was not made again"
    if again.get("interval"):
        low, high = (f"{100 * share:.0f}" for share in again["interval"])
        said += f" ({low} to {high} %, with 95 %)"
    looks = [*again["read"], *again["cycle"]]
    if again.get("metastable"):
        seen = ", ".join(word.replace("-", " ") for word in looks)
        said += f"; it changes without being cut: read again and after power cycles it was {seen}"
    elif looks:
        said += "; the same when read again and after power cycles"
    if again.get("history"):
        said += (
            f"; not without {counted(len(again['history']), 'cut')} before it: {', '.join(again['history'])}"
        )
    return said


def _without_summary(rig: str, operation: str, tally: Tally, outcome: str) -> Row:
    """Sum up the violations of an interrupted campaign. They count as severe, because nothing graded them."""
    row = tally.first_bad[outcome]
    return {
        "severity": "S1",
        "blame": row.get("blame") or Blame.KEY.value,
        "rig": rig,
        "operation": operation,
        "item": None,
        "law": None,
        "count": tally.outcomes[outcome],
        "covering_count": tally.covering_bad[outcome],
        "of": tally.covering,
        "first": row.get("id"),
        "sentence": finding_sentence({"outcome": outcome, "item": None}, {"operation": operation}),
        "text": f"{outcome.replace('-', ' ')}, and no campaign was left to say which item: replay the cut",
    }
