"""Split a rig's budget over its operations: equal shares first, the rest where outcomes are still new.

Each operation's campaign gets an equal share when its turn comes. When all campaigns have run, `rest` continues them
in rounds: each cut goes to the operation that is most likely to show an outcome that was not seen before. How long an
operation takes does not count, because a bound is of one operation, and the weakest one is quoted.
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
"""Part of a budget that is split equally."""


@dataclass
class Arm:
    """The cuts of one operation, and the classes of their outcomes."""

    cuts: int = 0
    classes: Counter[str] = field(default_factory=Counter)

    @property
    def singles(self) -> int:
        """Number of classes that were seen exactly once."""
        return sum(1 for count in self.classes.values() if count == 1)


class CutAllocation:
    """Chooses the operation of each cut. The same outcomes give the same choices.

    :param operations: in the order in which equal ones are served.
    :param budget: all cuts together.
    :param floor: number of cuts that each operation needs for its goal (`budget_for`). If that is more than its
        equal share, it gets that many first.
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
        """The operation of the next cut; None when the budget is spent."""
        open_ = [name for name in self._arms if name not in self._closed]
        if self.left <= 0 or not open_:
            return None
        poorest = min(open_, key=lambda name: self._given[name])
        name = poorest if self._given[poorest] < self.share else max(open_, key=self.novelty)
        self._given[name] += 1
        return name

    def begin(self, operation: str, cuts: int) -> None:
        """Count cuts that an operation has already been given."""
        self._given[operation] += cuts

    def close(self, operation: str, unspent: int = 0) -> None:
        """Note that an operation has no cuts left to make; `unspent` of its cuts go to the others."""
        self._closed.add(operation)
        self._given[operation] -= unspent

    def tell(self, operation: str, outcome: str) -> None:
        """Count the class of outcome of one cut."""
        arm = self._arms[operation]
        arm.cuts += 1
        arm.classes[outcome] += 1

    def novelty(self, operation: str) -> float:
        """Upper confidence score f1/n + sqrt(2 ln N / n): how likely a new class is, and how little was tried."""
        # Cuts that were given but not told of count as made, or one operation would get all of them.
        cuts = max(self._given[operation], self._arms[operation].cuts)
        total = max(self._given.total(), 1)
        if cuts == 0:
            return float("inf")
        return self._arms[operation].singles / cuts + sqrt(2 * log(total) / cuts)

    def given(self) -> Mapping[str, int]:
        """Number of cuts that each operation was given."""
        return {name: self._given[name] for name in self._arms}


ROUNDS = 4
"""Number of rounds in which the rest of a budget in cuts is given; each round learns from the earlier ones."""
SLICES, SLICE_US_MIN = 8, 1_000_000
"""The rest of a budget in time is given in slices: this fraction of what is left, and at least this long."""


class Continuable(Protocol):
    """A campaign that can be continued."""

    result: Result

    @property
    def planned(self) -> int:
        """Number of cuts that were planned so far."""

    def more(self, allowance: Allowance) -> Result:
        """Go on until the whole allowance is spent, or until there is nothing left to cut."""


GoOn = Callable[[str, Callable[[], Result]], None]


def class_of(row: Row) -> str:
    """The class of a cut: its outcome, with the items that changed."""
    return " ".join([row["outcome"], *sorted(row["changed"])])


@dataclass
class BudgetSplit:
    """The budget of one rig.

    :ivar operations: the selected ones, in order. The share of one that the key does not offer goes to the rest.
    :ivar cuts: budget in cuts. :ivar us: budget in time in microseconds, counted from the first campaign.
    :ivar goal: for each operation. Without a budget only the goal ends a campaign.
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
        """Does a part of the budget go where outcomes are new?"""
        return self.limited and len(self.operations) > 1

    def begin(self, spent_s: Callable[[], float]) -> None:
        """Start the clock of a budget in time, unless it runs already.

        :param spent_s: called for the seconds that were spent before the run was interrupted.
        """
        if self.us is not None and self._began_us is None:
            self._began_us = self.clock.now_us - round(spent_s() * 1e6)

    def first(self, operation: str) -> Allowance:
        """An operation's equal share."""
        return Allowance(self.first_cuts, self._until_us(operation), self.goal, self.clock)

    def forecast(self, most: Mapping[str, int]) -> tuple[dict[str, int], int]:
        """Tell for a plan how a budget in cuts is spent: (cuts of each operation's first share, cuts of the rest).

        Which operations get the rest depends on their outcomes.

        :param most: the operations that the key offers, with the number of cuts that can be made into each.
        """
        assert self.cuts is not None
        assert self.first_cuts is not None
        first = {name: min(self.first_cuts, can) for name, can in most.items()}
        left = max(0, self.cuts - sum(first.values())) if self.leaves_rest else 0
        return first, min(left, sum(most.values()) - sum(first.values()))

    @property
    def first_cuts(self) -> int | None:
        """Number of cuts of an equal share; None without a budget in cuts."""
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
        # Time that earlier operations did not need is left for later ones.
        share_us = (self._began_us + equally * self.us - now_us) / left
        return now_us + round(max(0.0, share_us))

    def rest(self, campaigns: Mapping[str, Continuable], go_on: GoOn) -> None:
        """Spend what is left on campaigns that have had their first share.

        :param go_on: called with an operation and a function that continues its campaign; it must call that function.
        """
        allocation = CutAllocation(campaigns, 1 << 40 if self.cuts is None else self.cuts, equally=0)
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
        # What an operation could not spend in the last round goes to the others, in one more.
        while allocation.left > 0 and self._time_left():
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
            rounds = max(1, rounds - 1)

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
