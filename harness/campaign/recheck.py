"""Check abnormal outcomes again: is the finding reproduced, and does the key read the same each time?

Each kind of abnormal outcome of a campaign is checked once. First the key is observed again as it is: in the same
boot and after power cycles, because a flash cell that is neither 0 nor 1 reads differently each time. Then its cut
is repeated, and its history shortened (`harness.search.recheck_plan`).

`LiveRecheck` does that on emulators and real keys. `TwinRecheck` does it on twins with metastable cells; on other
twins the same state always reads the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.campaign.cut_images import CutImage
from harness.model.judge import Breach, Judgement
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.search.plan import END, Plan
from harness.search.recheck_plan import CYCLES, READS, REPEATS, RecheckFindings, RecheckPlan, is_abnormal
from harness.twin.trace import State

KINDS = 8
"""Limit of kinds of abnormal outcomes that are checked again for one operation."""
_TWIN_LOOKS = CYCLES + REPEATS


class LiveRecheck:
    """Checks the first cut of each kind of abnormal outcome again, on an emulator or a real key.

    :param history: cuts that were made before on the same key, where its state cannot be put back.
    :param limit: number of kinds that are checked.
    """

    def __init__(self, history: Sequence[Plan] = (), limit: int = KINDS):
        self._history, self._limit = history, limit
        self._known: set[tuple[str, ...]] = set()

    def wants(self, plan: Plan, verdict: Judgement) -> bool:
        """Is this cut the first one of its kind?"""
        kind = (verdict.outcome.value, *(breach.item for breach in verdict.breaches[:1]))
        return self._wanted(plan, kind)

    def _wanted(self, plan: Plan, kind: tuple[str, ...]) -> bool:
        if plan.stream == "replay" or plan.marker == END or not is_abnormal(kind[0]):
            return False
        return kind not in self._known and len(self._known) < self._limit

    def observe_again(self, rig: Rig, look: Callable[[], str], *, stuck: bool) -> Row:
        """Observe the key again as it is, then after power cycles.

        :param look: observes and judges the key in the boot that it is in, and returns the outcome.
        :param stuck: the key did not come up, so there is nothing to read in this boot.
        :returns: {"read": outcomes, "cycle": outcomes}, for the line of evidence.
        """
        reads = [] if stuck else [str(look()) for _ in range(READS)]
        cycles = []
        for _ in range(CYCLES):
            rig.power.cycle() if rig.power.is_on else rig.power.off()
            cycles.append(str(look()))
        return {"read": reads, "cycle": cycles}

    def plan(self, plan: Plan, judged: Judged) -> RecheckPlan[Plan] | None:
        """The plan for checking a judged cut again; None if it is not to be checked."""
        breaches = judged.note.get("breaches", ())
        kind = (str(judged.row["outcome"]), *(breach[0] for breach in breaches[:1]))
        if not self._wanted(plan, kind):
            return None
        self._known.add(kind)
        again = judged.row.get("again") or {"read": [], "cycle": []}
        recheck: RecheckPlan[Plan] = RecheckPlan(
            kind[0],
            [replace(one, stream="replay") for one in self._history],
            reads=len(again["read"]),
            cycles=len(again["cycle"]),
        )
        for outcome in (*again["read"], *again["cycle"]):
            recheck.tell(outcome)
        return recheck


class TwinRecheck:
    """Checks the first cut of each kind of abnormal outcome again, on a twin with metastable cells.

    The key is observed after power cycles, and in the state in which the same cut leaves it some boots later.
    """

    def __init__(self, later: Callable[[State, int], State]) -> None:
        """:param later: see `Recorder.at_boot`."""
        self._later = later
        self._known: set[tuple[str, ...]] = set()
        self._waiting: list[tuple[CutImage, str, Sequence[Breach]]] = []

    def note(self, image: CutImage, outcome: str, breaches: Sequence[Breach]) -> None:
        """Note a judged cut; it waits for its check if it is the first one of its kind."""
        # With all its items: a status that the next boot mends is another kind than the same status beside lost data.
        kind = (outcome, *sorted({breach.item for breach in breaches}))
        if breaches and is_abnormal(outcome) and kind not in self._known and len(self._known) < KINDS:
            self._known.add(kind)
            self._waiting.append((image, outcome, breaches))

    def due(self) -> list[tuple[CutImage, int]]:
        """All observations that are due, in order, as (image, number of power cycles before it)."""
        due = []
        for image, _, _ in self._waiting:
            due += [(image, cycles) for cycles in range(1, CYCLES + 1)]
            for number in range(1, REPEATS + 1):
                state = self._later(image.state, number)
                due.append((replace(image, state=state), 0))
        return due

    def results(self, outcomes: Sequence[str]) -> Iterator[tuple[Sequence[Breach], dict[str, Any]]]:
        """(breaches, `recheck_row`) of each cut that waited; none waits any more.

        :param outcomes: of the observations in `due`, in the same order.
        """
        waiting, self._waiting = self._waiting, []
        # Cuts that broke least come first: what they show again is of their items alone.
        for n, (_, outcome, breaches) in sorted(enumerate(waiting), key=lambda one: len(one[1][2])):
            recheck: RecheckPlan[Plan] = RecheckPlan(outcome, [], reads=0, cycles=CYCLES)
            for seen in outcomes[n * _TWIN_LOOKS : (n + 1) * _TWIN_LOOKS]:
                recheck.tell(seen)
            yield breaches, recheck_row(recheck.findings)


def recheck_row(found: RecheckFindings[Plan]) -> dict[str, Any]:
    """The result of a recheck as JSON, for the campaign's line.

    `reproduced` is [r, n]: r of n repetitions; `interval` its 95 % confidence interval; `read` and `cycle` the
    outcomes of further observations; `history` the labels of the shortest history that still reproduces the
    finding, null if none did.
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
