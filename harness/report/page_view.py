"""What our page shows of a run, ready to be filled into its template: findings, operations, cases, wear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report import vocabulary
from harness.report.files import Row
from harness.report.page_pictures import Picture, anchor
from harness.report.proof import PROOFS
from harness.report.text import operation_name, several_rigs
from harness.report.verdict_text import finding_lines, replay_command
from harness.report.vocabulary import CLASSES, is_violation, percent

WORN_MAX = 5
"""Pages of flash that are shown of each rig; summary.json has all."""
NAMED_MAX = 8
"""Cases that a group names; results.jsonl has all."""

Pictures = Mapping[tuple[str, str], Sequence[Picture]]


@dataclass(frozen=True)
class Finding:
    """A finding: one sentence, what more is known of it, and the command that shows it again.

    :ivar picture: anchor of the operation's cut map; empty if there is none.
    """

    severity: str
    blame: str
    sentence: str
    lines: Sequence[str]
    replay: str
    picture: str


@dataclass(frozen=True)
class Share:
    """How many of an operation's cuts had one outcome."""

    said: str
    width: str
    colour: str
    bad: bool


@dataclass(frozen=True)
class OperationView:
    """A row of the table of operations.

    :ivar anchor: of its pictures; empty if there are none.
    """

    name: str
    title: str
    anchor: str
    cuts: int
    states: int | None
    missed: int
    shares: Sequence[Share]
    violations: int
    proof: str
    proof_kind: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Reason:
    """Why cases were not asked of the key, with their number and the first of them."""

    text: str
    count: int
    names: Sequence[str]
    more: int


def findings_view(summary: Row, pictures: Pictures) -> list[Finding]:
    """Return the findings, worst first."""
    operations = {(op["rig"], op["operation"]): op for op in summary["operations"]}
    several = several_rigs(summary)
    shown = []
    for found in summary["violations"]:
        names = found["rig"], found["operation"]
        first, *rest = finding_lines(found, operations.get(names), several=several)
        replay = replay_command(found["first"], summary["bench"]) if found["first"] else ""
        sentence = found.get("sentence")
        lines = [first, *rest] if sentence else rest
        at = anchor(*names) if pictures.get(names) else ""
        shown.append(Finding(found["severity"], found["blame"], sentence or first, lines, replay, at))
    return sorted(shown, key=lambda one: one.severity)


def operations_view(
    summary: Row, titles: Mapping[tuple[str, str], str], pictures: Pictures
) -> list[OperationView]:
    """Return the operations: those with violations first, then the weakest proof first."""
    several = several_rigs(summary)
    return [_operation(op, several, titles, pictures) for op in sorted(summary["operations"], key=_weakness)]


def _weakness(op: Row) -> tuple[bool, int, float, int, str, str]:
    """Sort as `vocabulary.weakest` does: the page names that operation above the table."""
    below = (op.get("bound") or {}).get("below", 1.0)
    covering = op.get("covering_cuts") or 0
    return not op["violations"], PROOFS.index(op["proof"]), -below, covering, op["operation"], op["rig"]


def _operation(
    op: Row, several: bool, titles: Mapping[tuple[str, str], str], pictures: Pictures
) -> OperationView:
    names = op["rig"], op["operation"]
    shown = pictures.get(names) or ()
    return OperationView(
        operation_name(*names, several),
        titles.get(names, ""),
        anchor(*names) if shown else "",
        op["cuts"],
        op["distinct_states"],
        sum(pair[0] for pair in (op["missed"] or {}).values()),
        shares_view(op["outcomes"] or {}),
        op["violations"],
        vocabulary.proof(op),
        op["proof"],
        shown,
    )


def shares_view(outcomes: Mapping[str, int]) -> list[Share]:
    """Return the share of each outcome that occurred."""
    whole = sum(outcomes.values()) or 1
    return [
        Share(said, f"{100 * count / whole:.2f}", CLASSES[name].colour, is_violation(name))
        for (name, count), said in zip(
            vocabulary.in_order(outcomes), vocabulary.shares(outcomes), strict=True
        )
    ]


def reasons_view(cases: Sequence[Row], outcome: str) -> list[Reason]:
    """Return why cases of one outcome were not asked of the key, the most frequent reason first."""
    groups: dict[str, list[Row]] = {}
    for case in cases:
        if case["outcome"] == outcome:
            text = str(case.get("reason") or "no reason given").removeprefix("not offered: ")
            groups.setdefault(" ".join(text.split()), []).append(case)
    shown = []
    for text, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        # A function with a hundred parameters is one name.
        names = list(dict.fromkeys(case["nodeid"].partition("[")[0] for case in group))
        if len(group) == 1:
            names = [group[0]["nodeid"]]
        shown.append(Reason(text, len(group), names[:NAMED_MAX], max(0, len(names) - NAMED_MAX)))
    return shown


@dataclass(frozen=True)
class Worn:
    """What was spent of one part of a key. `share` is in percent of the limit."""

    rig: str
    what: str
    used: int
    limit: int | None
    share: str
    how: str


def wear_view(summary: Row) -> tuple[list[Worn], int]:
    """Return what is worn most on each rig, and how many more parts there are."""
    by_rig: dict[str, list[Row]] = {}
    for part in summary["wear"]:
        by_rig.setdefault(part["rig"], []).append(part)
    shown = [
        part
        for parts in by_rig.values()
        for part in sorted(parts, key=lambda one: -one["used"] / (one["limit"] or 1))[:WORN_MAX]
    ]
    rows = [
        Worn(
            part["rig"],
            part["what"],
            part["used"],
            part["limit"],
            percent(part["used"], part["limit"]) if part["limit"] else "",
            "estimated" if part["estimated"] else "counted",
        )
        for part in shown
    ]
    return rows, len(summary["wear"]) - len(rows)
