"""Plan the checks after an abnormal outcome: is it reproduced, and what is the shortest history that does it?

A pure planner: `action` says what is to be done next, `tell` what came of it. First the key itself is looked
at, before anything changes it: read again (a metastable cell reads differently), power-cycled and read (it
may settle). Then the cut is repeated at the same instant, from the same start. If it comes back, its history
is shortened while it still does.

    plan = RecheckPlan("torn", history=[...])
    while (action := plan.action) is not None:
        plan.tell(do(action))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from harness.model.outcome import Outcome
from harness.search.bounds import reproduction

NORMAL = frozenset({Outcome.OLD, Outcome.NEW, Outcome.BOOTLOADER, Outcome.MISSED})
READS, CYCLES, REPEATS = 3, 2, 5
SHRINKS = 100
"""Limit of runs that are spent on a shorter history."""
MISSES = 5
"""This many missed repetitions in a row end a step: the rig no longer reaches the instant."""

C = TypeVar("C")

StepName = Literal["read", "cycle", "repeat", "shrink"]


@dataclass(frozen=True)
class RecheckStep(Generic[C]):
    """One thing to do.

    :ivar step: read: observe the key as it is. cycle: power-cycle it and observe. repeat: arrange, do the
        history, cut at the same instant, observe. shrink: the same with a shorter history.
    :ivar history: what to do before the cut, of what was done before it when it first happened.
    """

    step: StepName
    history: tuple[C, ...] = ()


@dataclass(frozen=True)
class RecheckFindings(Generic[C]):
    """What is known of one abnormal outcome.

    :ivar reads: what the readings in the same boot were. :ivar cycles: those after power cycles.
    :ivar reproduced: number of repetitions with the same outcome, of `repeats`.
    :ivar history: the shortest history that reproduced it; None if it was not reproduced.
    """

    outcome: str
    reads: tuple[str, ...]
    cycles: tuple[str, ...]
    reproduced: int
    repeats: int
    history: tuple[C, ...] | None

    @property
    def metastable(self) -> bool:
        """Does the key read differently without anything being done to it?"""
        return len({self.outcome, *self.reads, *self.cycles}) > 1

    @property
    def interval(self) -> tuple[float, float] | None:
        """How often it comes back, with 95 % confidence; None if it was never repeated."""
        return reproduction(self.reproduced, self.repeats) if self.repeats else None


def is_abnormal(outcome: str) -> bool:
    """Is this an outcome that is checked again?"""
    return outcome not in NORMAL


class RecheckPlan(Generic[C]):
    """The plan for one abnormal outcome.

    :param outcome: the class it led to.
    :param history: what was done to the key before the cut, since it was last known to be sound; e.g. earlier
        cuts. Empty where every cut starts from a restored key: then there is nothing to shorten.
    """

    def __init__(
        self,
        outcome: str,
        history: Sequence[C] = (),
        *,
        reads: int = READS,
        cycles: int = CYCLES,
        repeats: int = REPEATS,
        shrinks: int = SHRINKS,
    ):
        if min(reads, cycles) < 0 or repeats < 1:
            raise ValueError(f"reads {reads}, cycles {cycles}, repeats {repeats}")
        self.outcome = str(outcome)
        self._limits = {"read": reads, "cycle": cycles}
        self._seen: dict[str, list[str]] = {"read": [], "cycle": []}
        self._history = tuple(history)
        self._repeats, self._results = repeats, list[bool]()
        self._misses = 0
        self._parts = 2
        self._part = 0
        self._tries = self._shrinks = 0
        self._limit = shrinks
        self._done = False

    @property
    def action(self) -> RecheckStep[C] | None:
        """The next step; None when the plan is finished."""
        for step in ("read", "cycle"):
            if len(self._seen[step]) < self._limits[step]:
                return RecheckStep("read" if step == "read" else "cycle")
        if self._done:
            return None
        if len(self._results) < self._repeats:
            return RecheckStep("repeat", self._history)
        shorter = self._shorter()
        return None if shorter is None else RecheckStep("shrink", shorter)

    def tell(self, outcome: str) -> None:
        """Tell the outcome of the step in `action`.

        :raises ValueError: there was none.
        """
        action = self.action
        if action is None:
            raise ValueError("there is nothing left to do")
        if action.step in self._seen:
            self._seen[action.step].append(str(outcome))
            return
        if outcome == Outcome.MISSED:
            self._misses += 1
            self._done = self._misses >= MISSES
            return
        self._misses = 0
        same = str(outcome) == self.outcome
        if action.step == "repeat":
            self._results.append(same)
            if len(self._results) == self._repeats:
                self._done = not any(self._results) or not self._history
        else:
            self._shrink(action.history, same)

    @property
    def findings(self) -> RecheckFindings[C]:
        """What the steps have shown so far."""
        came_back = any(self._results)
        return RecheckFindings(
            self.outcome,
            tuple(self._seen["read"]),
            tuple(self._seen["cycle"]),
            sum(self._results),
            len(self._results),
            self._history if came_back else None,
        )

    # Shortening, by Zeller's delta debugging: leave out a half, a quarter, ... as long as it still happens.

    def _shorter(self) -> tuple[C, ...] | None:
        if not self._history or self._shrinks >= self._limit:
            return None
        first, last = self._bounds(self._part)
        return self._history[:first] + self._history[last:]

    def _bounds(self, part: int) -> tuple[int, int]:
        length, parts = len(self._history), min(self._parts, len(self._history))
        return part * length // parts, (part + 1) * length // parts

    def _shrink(self, shorter: tuple[C, ...], same: bool) -> None:
        self._shrinks += 1
        if same:
            self._history = shorter
            self._parts, self._part, self._tries = max(2, self._parts - 1), 0, 0
            self._done = not shorter
            return
        self._tries += 1
        # What does not come back always is given as many tries as it took to see it before.
        if self._tries < self._needed:
            return
        self._tries = 0
        self._part += 1
        if self._part >= min(self._parts, len(self._history)):
            self._done = self._parts >= len(self._history)
            self._parts, self._part = min(2 * self._parts, len(self._history)), 0

    @property
    def _needed(self) -> int:
        """Tries until its absence is believed: a finding that came back r of n times is missed 5 % of the time."""
        rate = sum(self._results) / len(self._results)
        tries, missed = 1, 1 - rate
        while missed > 0.05:
            tries, missed = tries + 1, missed * (1 - rate)
        return tries
