"""What is asked of each operation, on each kind of evidence, and what the counted cuts show of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.row import Row
from harness.qualify.counted import Campaign
from harness.qualify.plan import Bound, Plan
from harness.search.bounds import budget_for, upper_bound


@dataclass
class Cell:
    """One goal: an operation, from one version if it is an update, on one kind of evidence.

    :ivar carried: why it is not run again; None if it is run.
    """

    operation: str
    from_version: str | None
    kind: str
    goal: Bound
    campaigns: list[Campaign] = field(default_factory=list)
    carried: str | None = None

    @property
    def name(self) -> str:
        """E.g. update.install from 1.7.1."""
        return f"{self.operation} from {self.from_version}" if self.from_version else self.operation

    @property
    def is_model(self) -> bool:
        return self.kind == "twin"

    @property
    def cuts(self) -> int:
        return sum(one.cuts for one in self.campaigns)

    @property
    def exhaustive(self) -> bool:
        """Was every modelled flash operation cut in every modelled phase, in one run?"""
        return self.is_model and any(one.exhaustive for one in self.campaigns)

    @property
    def keys(self) -> list[str]:
        return sorted({one.of.key for one in self.campaigns if one.covering})

    @property
    def nights(self) -> list[str]:
        return sorted({one.of.night for one in self.campaigns if one.covering})

    def counts(self, key: str | None = None, home: str | None = None) -> tuple[int, int]:
        """Return (covering cuts, those that violate), of one key or one home if it is named.

        A model's cut counts once: the same seed makes the same cut again, which proves nothing more.
        """
        chosen = [one for one in self.campaigns if key in (None, one.of.key)]
        if home is not None:
            pairs = [one.homes.get(home, [0, 0]) for one in chosen]
            return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        if self.is_model:
            ids: dict[str, bool] = {}
            for one in chosen:
                ids |= {at: bad or ids.get(at, False) for at, bad in one.ids.items()}
            return len(ids), sum(ids.values())
        return sum(one.covering for one in chosen), sum(one.bad for one in chosen)

    def below(self, key: str | None = None) -> float | None:
        """Return the bound of all keys together, or of one.

        None after an exhaustive walk, without a cut, and for a sample of a model, which bounds nothing.
        """
        cuts, bad = self.counts(key)
        sampled = self.is_model and self.goal.models == "sample"
        return (
            None if self.exhaustive or sampled or not cuts else upper_bound(bad, cuts, self.goal.confidence)
        )

    @property
    def window_ms(self) -> float | None:
        """The narrowest window that one campaign would have found; None if none says it."""
        return min((one.window_ms for one in self.campaigns if one.window_ms is not None), default=None)

    def missing(self) -> list[str]:
        """Say what the goal still lacks, in sentences; empty if it is reached."""
        if self.carried is not None:
            return []
        said = self._proof_lacks()
        if not self.is_model:
            goal = self.goal
            if len(self.keys) < goal.min_keys:
                said.append(f"{len(self.keys)} of {goal.min_keys} keys")
            if goal.max_window_ms is not None and (self.window_ms or 1e12) > goal.max_window_ms:
                seen = "no window is known" if self.window_ms is None else f"{self.window_ms:g} ms"
                said.append(f"windows wider than {goal.max_window_ms:g} ms may have been missed ({seen})")
        if len(self.nights) < self.goal.min_nights:
            said.append(f"{len(self.nights)} of {self.goal.min_nights} nights")
        return said

    def _proof_lacks(self) -> list[str]:
        goal = self.goal
        if self.is_model and goal.models == "exhaustive":
            return [] if self.exhaustive else ["no exhaustive walk"]
        if self.is_model and goal.models == "sample":
            wanted = goal.cuts or 1
            return [] if self.cuts >= wanted else [f"{self.cuts} of {wanted} cuts"]
        below = self.below()
        if self.exhaustive or (below is not None and below <= goal.below + 1e-12):
            return []
        return [f"{self.counts()[0]} of {self.wanted()} evenly spread cuts"]

    def wanted(self) -> int:
        """Number of covering cuts with which the goal is reached, if no more of them violate."""
        cuts, bad = self.counts()
        wanted = max(budget_for(self.goal.confidence, self.goal.below), 1)
        while bad and upper_bound(min(bad, wanted), wanted, self.goal.confidence) > self.goal.below:
            wanted = wanted + max(1, wanted // 20)
        return max(wanted, cuts if not bad else 0)

    def left(self) -> int:
        """Number of cuts that are still to be made, as far as it is known; 0 if the goal's proof is reached."""
        if self.carried is not None or not self._proof_lacks():
            return 0
        if self.is_model and self.goal.models == "exhaustive":
            return 0
        if self.is_model and self.goal.models == "sample":
            return max(0, (self.goal.cuts or 1) - self.cuts)
        return max(0, self.wanted() - self.counts()[0])

    def table(self) -> Row:
        """As JSON-able fields."""
        cuts, bad = self.counts()
        homes = sorted({home for one in self.campaigns for home in one.homes})
        return {
            "operation": self.operation,
            "from_version": self.from_version,
            "kind": self.kind,
            "carried": self.carried,
            "cuts": self.cuts,
            "covering_cuts": cuts,
            "violating_covering_cuts": bad,
            "violations": sum(one.violations for one in self.campaigns),
            "exhaustive": self.exhaustive,
            "confidence": self.goal.confidence,
            "below": self.below(),
            "goal_below": self.goal.below,
            "window_ms": self.window_ms,
            "keys": [self._of_key(key) for key in self.keys],
            "combined_assumes": None if len(self.keys) < 2 else "the keys are taken as alike",
            "homes": {home: list(self.counts(home=home)) for home in homes},
            "nights": self.nights,
            "runs": sorted({one.of.run for one in self.campaigns}),
            "missing": self.missing(),
        }

    def _of_key(self, key: str) -> Row:
        cuts, bad = self.counts(key)
        return {"key": key, "covering_cuts": cuts, "violating": bad, "below": self.below(key)}


def cells_of(
    plan: Plan,
    offered: Sequence[tuple[str, Sequence[str]]],
    updates: Iterable[str],
    campaigns: Sequence[Campaign],
) -> list[Cell]:
    """Return the cells of a plan with the campaigns that count for each, in the plan's order.

    :param offered: (kind of evidence, operations that its rigs offer) of each bench.
    :param updates: the operations that install a firmware: asked from each of `firmware.from_versions`.
    """
    installs = set(updates)
    carried = {one.operation: one for one in plan.firmware.carried}
    cells: dict[tuple[str, str | None, str], Cell] = {}
    for kind, operations in offered:
        for name in operations:
            if plan.goal.operations and name not in plan.goal.operations:
                continue
            starts: list[str | None] = [*plan.firmware.from_versions] if name in installs else []
            for start in starts or [None]:
                why = carried.get(name)
                said = f"from {why.plan}: {why.reason} ({why.by})" if why else None
                cell = Cell(name, start.removeprefix("v") if start else None, kind, plan.goal_of(name))
                cell.carried = said
                cells.setdefault((cell.operation, cell.from_version, kind), cell)
    for one in campaigns:
        if (found := cells.get(one.cell)) is not None:
            found.campaigns.append(one)
    return list(cells.values())


def weakest(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with the weakest proof first."""

    def rank(cell: Cell) -> tuple[Any, ...]:
        if cell.carried is not None:
            return (3, 0.0, cell.name)
        below = cell.below()
        return (2 if cell.exhaustive else 0 if below is None else 1, -(below or 0.0), cell.name)

    return sorted(cells, key=rank)
