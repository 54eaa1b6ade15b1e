"""The verdict of a qualification, and its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from harness.qualify.cells import Cell
from harness.qualify.findings import Finding
from harness.qualify.plan import Plan

QUALIFIED, WAIVED, NOT_QUALIFIED, NOT_YET = "qualified", "qualified with waivers", "not qualified", "not yet"
EXIT_CODES = {QUALIFIED: 0, WAIVED: 0, NOT_QUALIFIED: 1, NOT_YET: 3}


@dataclass(frozen=True)
class Verdict:
    """:ivar reasons: sentences; empty if the firmware is qualified without more to say."""

    word: str
    reasons: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.word]


def rule(
    plan: Plan,
    cells: Sequence[Cell],
    findings: Sequence[Finding],
    failures: Sequence[str],
    doubts: Sequence[str],
    today: date,
) -> Verdict:
    """Return the verdict. A finding that no waiver covers decides, whatever else is still to be done.

    :param failures: failed cases that are the key's fault, in sentences.
    :param doubts: what keeps the evidence from being complete, in sentences.
    """
    against = [_said(one) for one in findings if one.state in ("new", "unexplained")]
    against += failures
    lacking = [f"{cell.name} ({cell.kind}): {'; '.join(cell.missing())}" for cell in cells if cell.missing()]
    if not cells:
        lacking.append("the plan asks for no operation")
    open_ = [*_missed(plan, cells), *lacking, *doubts]
    if plan.decision.stop is not None and today > plan.decision.stop and lacking:
        against.append(f"evidence was to be complete by {plan.decision.stop}: {lacking[0]}")
    if against:
        return Verdict(NOT_QUALIFIED, (*against, *open_))
    if open_:
        return Verdict(NOT_YET, tuple(open_))
    waived = sorted({one.waiver for one in findings if one.state == "waived" and one.waiver})
    if waived:
        return Verdict(WAIVED, tuple(f"waived: {name}" for name in waived))
    return Verdict(QUALIFIED, ())


def _said(one: Finding) -> str:
    k, n = one.hits
    models = f" ({'; '.join(sorted(one.models))})" if one.models else ""
    often = f"{k:,} of {n:,} cuts" if n else f"{one.seen:,} cuts"
    tail = "" if one.came_back else "; it did not come back, and stays open until it is explained"
    why = f"; {one.why}" if one.why else ""
    return f"{one.severity} {one.name}{models}: {often}{tail}{why}"


def _missed(plan: Plan, cells: Sequence[Cell]) -> list[str]:
    said = []
    for cell in cells:
        tried = sum(one.tried for one in cell.campaigns)
        missed = sum(one.missed + one.unresolved for one in cell.campaigns)
        if tried and missed / tried > plan.decision.missed_max:
            said.append(
                f"{cell.name} ({cell.kind}): {missed:,} of {tried:,} cuts were missed, "
                f"more than {100 * plan.decision.missed_max:g} %"
            )
    return said
