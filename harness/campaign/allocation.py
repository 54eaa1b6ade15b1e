"""Which operation the next cuts go to: equal shares first, the rest where outcomes are still new.

Never in proportion to how long an operation takes: a bound is of one operation, and the weakest is quoted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log, sqrt

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
