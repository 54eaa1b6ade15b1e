"""A budget over the operations of one rig: equal shares first, the rest where outcomes are still new.

Each operation's campaign gets its equal share when its turn comes. When all had theirs, `rest` goes on with
them in rounds, each cut going to the operation that may still show something new (harness.campaign.budget_split).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log, sqrt
from typing import Protocol

from harness.base.clock import Clock, MonotonicClock
from harness.campaign.result import Result
from harness.model.row import Row
from harness.search.stopping import Allowance, Goal

EQUALLY = 0.7
"""So much of a budget every operation gets an equal share of."""


@dataclass
class Arm:
    """One operation: what its cuts led to."""

    cuts: int = 0
    classes: Counter[str] = field(default_factory=Counter)

    @property
    def singles(self) -> int:
        """Classes that were seen once."""
        return sum(1 for count in self.classes.values() if count == 1)


class CutAllocation:
    """Spreads a budget in cuts over operations; the same tellings give the same answer.

    :param operations: in the order in which equals are served.
    :param budget: all cuts together.
    :param floor: so many cuts each operation needs (`budget_for`); if that is more than its equal share, it
        is given first.
    """

    def __init__(self, operations: Iterable[str], budget: int, *, floor: int = 0, equally: float = EQUALLY):
        self._arms = {name: Arm() for name in operations}
        if not self._arms:
            raise ValueError("no operation to spread a budget over")
        if budget < 0 or not 0 <= equally <= 1:
            raise ValueError(f"budget {budget}, equally {equally}")
        self.budget = budget
        # A remainder that does not go round equally is given where outcomes are new.
        self.share = max(int(budget * equally) // len(self._arms), min(floor, budget // len(self._arms)))
        self._given: Counter[str] = Counter()
        self._closed: set[str] = set()

    @property
    def left(self) -> int:
        return self.budget - self._given.total()

    def next(self) -> str | None:
        """The operation that the next cut goes to; None once the budget is spent."""
        open_ = [name for name in self._arms if name not in self._closed]
        if self.left <= 0 or not open_:
            return None
        poorest = min(open_, key=lambda name: self._given[name])
        name = poorest if self._given[poorest] < self.share else max(open_, key=self.novelty)
        self._given[name] += 1
        return name

    def begin(self, operation: str, cuts: int) -> None:
        """So many cuts were given to an operation otherwise."""
        self._given[operation] += cuts

    def close(self, operation: str, unspent: int = 0) -> None:
        """An operation has no more to be cut; so many of its cuts are left for the others."""
        self._closed.add(operation)
        self._given[operation] -= unspent

    def tell(self, operation: str, outcome: str) -> None:
        """What a cut into an operation led to."""
        arm = self._arms[operation]
        arm.cuts += 1
        arm.classes[outcome] += 1

    def novelty(self, operation: str) -> float:
        """f1/n + sqrt(2 ln N / n): what is still new there, and how little has been tried."""
        # Cuts that were given but not told of count as made, or one operation would get all of them.
        cuts = max(self._given[operation], self._arms[operation].cuts)
        total = max(self._given.total(), 1)
        if cuts == 0:
            return float("inf")
        return self._arms[operation].singles / cuts + sqrt(2 * log(total) / cuts)

    def given(self) -> Mapping[str, int]:
        """So many cuts each operation was given."""
        return {name: self._given[name] for name in self._arms}


ROUNDS = 4
"""The rest of a budget in cuts is given in so many rounds, each of which learns of those before it."""
SLICES, SLICE_US_MIN = 8, 1_000_000
"""The rest of a budget in time is given in such parts of what is left."""


class Continuable(Protocol):
    """A campaign that can go on."""

    result: Result

    @property
    def planned(self) -> int:
        """So many cuts were planned so far."""

    def more(self, allowance: Allowance) -> Result:
        """Go on until so much is spent all in all; sooner if there is no more to be cut."""


GoOn = Callable[[str, Callable[[], Result]], None]


def class_of(row: Row) -> str:
    """What a campaign tells apart: an outcome, with the items that changed."""
    return " ".join([row["outcome"], *sorted(row["changed"])])


@dataclass
class BudgetSplit:
    """What may be spent on one rig.

    :ivar operations: all that were selected, in order; those that the key does not offer leave theirs over.
    :ivar cuts: budget in cuts. :ivar us: budget in time, from the first campaign on.
    :ivar goal: for each operation. Without a budget it is all that ends a campaign.
    """

    operations: Sequence[str]
    cuts: int | None = None
    us: int | None = None
    goal: Goal | None = None
    clock: Clock = field(default_factory=MonotonicClock)
    _began_us: int | None = None

    @property
    def limited(self) -> bool:
        return self.cuts is not None or self.us is not None

    @property
    def leaves_rest(self) -> bool:
        """Is there something to be given where outcomes are new?"""
        return self.limited and len(self.operations) > 1

    def begin(self, spent_s: Callable[[], float]) -> None:
        """The time of a budget in time runs from now on, unless it does already.

        :param spent_s: how much of it was spent before, by a run that is taken up.
        """
        if self.us is not None and self._began_us is None:
            self._began_us = self.clock.now_us - round(spent_s() * 1e6)

    def first(self, operation: str) -> Allowance:
        """An operation's equal share."""
        return Allowance(self.first_cuts, self._until_us(operation), self.goal, self.clock)

    def expected(self, operation: str) -> Allowance:
        """What an operation may be reckoned to get all in all: what is new cannot be known beforehand."""
        count = len(self.operations)
        cuts = ceil(self.cuts / count) if self.cuts is not None else None
        until_us = self.clock.now_us + self.us // count if self.us is not None else None
        return Allowance(cuts, until_us, self.goal, self.clock)

    @property
    def first_cuts(self) -> int | None:
        """So many cuts each operation gets at first; None if that is not what is limited."""
        if self.cuts is None:
            return None
        if len(self.operations) == 1:
            return self.cuts
        return CutAllocation(self.operations, self.cuts, floor=self.goal.cuts if self.goal else 0).share

    def _until_us(self, operation: str) -> int | None:
        if self.us is None:
            return None
        now_us = self.clock.now_us
        self.begin(lambda: 0.0)
        assert self._began_us is not None
        left = len(self.operations) - self.operations.index(operation)
        equally = 1.0 if len(self.operations) == 1 else EQUALLY
        # What those before did not need is left for those behind.
        share_us = (self._began_us + equally * self.us - now_us) / left
        return now_us + round(max(0.0, share_us))

    def rest(self, campaigns: Mapping[str, Continuable], go_on: GoOn) -> None:
        """Spend what is left on campaigns that had their first share.

        :param go_on: called with an operation and what makes its campaign go on, which it calls.
        """
        allocation = CutAllocation(campaigns, self.cuts or 1 << 40, equally=0)
        for name, campaign in campaigns.items():
            allocation.begin(name, campaign.planned)
            for row in campaign.result.rows:
                allocation.tell(name, class_of(row))
        if self.cuts is not None:
            self._rest_of_cuts(campaigns, allocation, go_on)
        elif self.us is not None:
            self._rest_of_time(campaigns, allocation, go_on)

    def _rest_of_cuts(
        self, campaigns: Mapping[str, Continuable], allocation: CutAllocation, go_on: GoOn
    ) -> None:
        rounds = ROUNDS
        while allocation.left > 0 and rounds:
            batch: Counter[str] = Counter()
            for _ in range(ceil(allocation.left / rounds)):
                name = allocation.next()
                if name is None:
                    return
                batch[name] += 1
            for name in campaigns:
                if batch[name] and self._time_left():
                    wanted = campaigns[name].planned + batch[name]
                    _spend(name, campaigns[name], allocation, go_on, Allowance(wanted))
                    if campaigns[name].planned < wanted:
                        allocation.close(name, wanted - campaigns[name].planned)
            rounds -= 1

    def _rest_of_time(
        self, campaigns: Mapping[str, Continuable], allocation: CutAllocation, go_on: GoOn
    ) -> None:
        while self._time_left() and (name := allocation.next()) is not None:
            assert self.us is not None
            assert self._began_us is not None
            now_us = self.clock.now_us
            end_us = self._began_us + self.us
            until_us = min(end_us, now_us + max(SLICE_US_MIN, (end_us - now_us) // SLICES))
            before = campaigns[name].planned
            allowance = Allowance(None, until_us, None, self.clock)
            _spend(name, campaigns[name], allocation, go_on, allowance)
            made = campaigns[name].planned - before
            if made:
                allocation.begin(name, made - 1)
            else:
                allocation.close(name, 1)

    def _time_left(self) -> bool:
        if self.us is None:
            return True
        return self._began_us is not None and self.clock.now_us < self._began_us + self.us


def _spend(
    name: str, campaign: Continuable, allocation: CutAllocation, go_on: GoOn, allowance: Allowance
) -> None:
    known = len(campaign.result.rows)
    go_on(name, lambda: campaign.more(allowance))
    for row in campaign.result.rows[known:]:
        allocation.tell(name, class_of(row))
