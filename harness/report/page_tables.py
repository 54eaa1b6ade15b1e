"""The tables of our own page: suites, operations, rigs, wear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from harness.report import vocabulary
from harness.report.files import Row
from harness.report.text import operation_name, several_rigs
from harness.report.vocabulary import CLASSES, is_violation, number, percent


def suite_table(summary: Row) -> str:
    """Show how many cases of each suite passed, failed or were not run."""
    if not summary["suites"]:
        return ""
    rows = [
        [
            text_cell(name),
            number_cell(suite["passed"]),
            number_cell(suite["failed"], bad=True),
            number_cell(suite["error"], bad=True),
            number_cell(suite.get("deviation", 0)),
            number_cell(suite["not_offered"]),
            number_cell(suite["skipped"]),
        ]
        for name, suite in summary["suites"].items()
    ]
    return "<h2>Suites</h2>\n" + table(
        ["suite", "#passed", "#failed", "#broken", "#deviations", "#not offered", "#not run"], rows
    )


def operation_table(summary: Row) -> str:
    """Show cuts, outcomes and proof of each operation."""
    operations: Sequence[Row] = summary["operations"]
    if not operations:
        return ""
    several = several_rigs(summary)
    rows = [
        [
            text_cell(operation_name(op["rig"], op["operation"], several)),
            number_cell(op["cuts"]),
            number_cell(op["distinct_states"]),
            f"<td>{_share_bar(op['outcomes'] or {})}"
            f'<span class="said">{outcome_shares(op["outcomes"] or {})}</span></td>',
            number_cell(op["violations"], bad=True),
            text_cell(vocabulary.proof(op)),
        ]
        for op in operations
    ]
    columns = ["operation", "#cuts", "#states", "what came of them", "#violations", "proof"]
    return "<h2>Operations</h2>\n" + table(columns, rows)


def _share_bar(outcomes: Mapping[str, int]) -> str:
    whole = sum(outcomes.values()) or 1
    parts = "".join(
        f'<span style="width:{100 * count / whole:.2f}%;background:{CLASSES[name].colour}" '
        f'title="{CLASSES[name].word}: {number(count)}, {percent(count, whole)}"></span>'
        for name, count in vocabulary.in_order(outcomes)
    )
    return f'<div class="share">{parts}</div>'


def outcome_shares(outcomes: Mapping[str, int]) -> str:
    """Say which share of the cuts had which outcome; violations in bold."""
    shown = zip(vocabulary.in_order(outcomes), vocabulary.shares(outcomes))
    return " · ".join(
        f"<b>{escape(said)}</b>" if is_violation(name) else escape(said) for (name, _), said in shown
    )


def rig_table(summary: Row) -> str:
    """Show each rig with its key."""
    if not summary["rigs"]:
        return ""
    columns = ["name", "key", "firmware", "personality", "transport", "expendable"]
    yes = {True: "yes", False: "no", None: ""}
    rows = [
        [
            text_cell(yes.get(rig[column], rig[column]) if column == "expendable" else rig[column])
            for column in columns
        ]
        for rig in summary["rigs"]
    ]
    return "<h2>Rigs</h2>\n" + table(columns, rows)


def wear_table(summary: Row) -> str:
    """Show what of each key's endurance was spent."""
    if not summary["wear"]:
        return ""
    rows = [
        [
            text_cell(part["rig"]),
            text_cell(part["what"]),
            number_cell(part["used"]),
            number_cell(part["limit"]),
            text_cell(percent(part["used"], part["limit"]) if part["limit"] else ""),
            text_cell("estimated: what a real key would have spent" if part["estimated"] else "counted"),
        ]
        for part in summary["wear"]
    ]
    return "<h2>Wear</h2>\n" + table(["rig", "what", "#used", "#limit", "share", ""], rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table.

    :param columns: titles; one that begins with # heads a column of numbers.
    :param rows: cells as <td> elements.
    """
    head = "".join(
        f'<th class="n">{c[1:]}</th>' if c.startswith("#") else f"<th>{escape(c)}</th>" for c in columns
    )
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}</table></div>'


def text_cell(value: Any) -> str:
    return f"<td>{escape('' if value is None else str(value))}</td>"


def number_cell(value: float | None, *, bad: bool = False) -> str:
    if value is None:
        return '<td class="n">–</td>'
    return f'<td class="n{" bad" if bad and value else ""}">{number(value)}</td>'
