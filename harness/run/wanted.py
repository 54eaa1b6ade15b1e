"""What a run was asked for: its options, and the seed of a run that names none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.search.stopping import Goal


@dataclass(frozen=True)
class Wanted:
    """The options of a run; an empty selection means everything.

    :ivar cuts: number of cuts over all operations; None means every modelled cut.
    :ivar budget_us: time over all operations; None means no limit.
    :ivar goal: the goal of each operation.
    :ivar search: how instants are chosen: a strategy of `harness.search.search`, or "time", which is the hybrid. None
        walks a twin flash operation by flash operation.
    :ivar quick: cases that wait for long are left out.
    :ivar require: the proof that a pass needs (`harness.report.proof.REQUIRABLE`); None needs none.
    :ivar homes: from which operations are cut; the first one is the main one. Empty: what the bench says.
    :ivar absent: rigs that were not there when the run was started; workers cannot look for each other's rigs.
    """

    bench: Path | None = None
    rigs: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    seed: int | None = None
    cuts: int | None = None
    workers: int = 1
    budget_us: int | None = None
    goal: Goal | None = None
    search: str | None = None
    require: str | None = None
    quick: bool = False
    absent: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing limits what is cut."""
        limits = (self.cuts, self.budget_us, self.goal, self.search)
        return not (self.rigs or self.operations or self.homes) and all(one is None for one in limits)


def default_seed() -> int:
    """Return today's date in UTC as a number, e.g. 20261120."""
    return int(f"{datetime.now(UTC):%Y%m%d}")
