"""What is done about the abnormal outcomes of a live campaign, each kind of them once.

The key is first looked at as it is: read again in the same boot, then after power cycles, because a cell that
is neither 0 nor 1 reads differently each time. Then its cut is made again, and shortened (harness.search.recheck_plan).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from harness.model.judge import Judgement
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.search.plan import END, Plan
from harness.search.recheck_plan import RecheckFindings, RecheckPlan, is_abnormal

READS, CYCLES = 3, 2
KINDS = 8
"""So many kinds of abnormal outcomes of one operation are looked into."""


class LiveRecheck:
    """Which kinds have been looked into.

    :param history: the cuts that were made before on the same key, where its state cannot be put back.
    :param limit: so many kinds are.
    """

    def __init__(self, history: Sequence[Plan] = (), limit: int = KINDS):
        self._history, self._limit = history, limit
        self._known: set[tuple[str, ...]] = set()

    def wants(self, plan: Plan, verdict: Judgement) -> bool:
        """Is this the first of its kind?"""
        kind = (verdict.outcome.value, *(breach.item for breach in verdict.breaches[:1]))
        return self._wanted(plan, kind)

    def _wanted(self, plan: Plan, kind: tuple[str, ...]) -> bool:
        if plan.stream == "replay" or plan.marker == END or not is_abnormal(kind[0]):
            return False
        return kind not in self._known and len(self._known) < self._limit

    def looks(self, rig: Rig, look: Callable[[], str], *, stuck: bool) -> Row:
        """Read the key again as it is and after power cycles: the outcome of each, for the line of evidence.

        :param look: observes and judges the key, in the boot that it is in.
        :param stuck: it did not come up: then there is nothing to read in this boot.
        """
        reads = [] if stuck else [str(look()) for _ in range(READS)]
        cycles = []
        for _ in range(CYCLES):
            rig.power.cycle() if rig.power.is_on else rig.power.off()
            cycles.append(str(look()))
        return {"read": reads, "cycle": cycles}

    def case(self, plan: Plan, judged: Judged) -> RecheckPlan[Plan] | None:
        """What is to be done about a cut that has been judged; None if nothing is."""
        breaches = judged.note.get("breaches", ())
        kind = (str(judged.row["outcome"]), *(breach[0] for breach in breaches[:1]))
        if not self._wanted(plan, kind):
            return None
        self._known.add(kind)
        again = judged.row.get("again") or {"read": [], "cycle": []}
        case: RecheckPlan[Plan] = RecheckPlan(
            kind[0],
            [replace(one, stream="replay") for one in self._history],
            reads=len(again["read"]),
            cycles=len(again["cycle"]),
        )
        for outcome in (*again["read"], *again["cycle"]):
            case.tell(outcome)
        return case


def recheck_row(found: RecheckFindings[Plan]) -> dict[str, Any]:
    """What is known of an abnormal outcome, for a campaign's line: JSON-able.

    `reproduced` r of n with its interval (95 %), what readings and power cycles showed, and the labels of the
    shortest history; null where it did not come back.
    """
    interval = found.interval
    return {
        "outcome": found.outcome,
        "reproduced": [found.reproduced, found.repeats],
        "interval": [round(share, 4) for share in interval] if interval else None,
        "read": list(found.reads),
        "cycle": list(found.cycles),
        "metastable": found.metastable,
        "history": [plan.label for plan in found.history] if found.history is not None else None,
    }
