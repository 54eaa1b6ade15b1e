"""How long a campaign goes on: so many cuts, so long, or until a goal is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.base.clock import Clock, MonotonicClock
from harness.search.bounds import CONFIDENCE, budget_for

WASTE = 8
"""A goal is given up after so many times the cuts that it takes, whatever they were spent on."""


@dataclass(frozen=True)
class Goal:
    """With this confidence, fewer than so many of all instants do harm."""

    confidence: float
    below: float

    @property
    def cuts(self) -> int:
        """So many clean covering cuts reach it."""
        return budget_for(self.confidence, self.below)


USUAL = Goal(CONFIDENCE, 0.05)
"""What a campaign that is asked for nothing goes for, on keys whose inside nobody sees: 59 covering cuts."""


@dataclass(frozen=True)
class Allowance:
    """What one campaign may spend. Whichever ends first ends it; without anything it goes for `USUAL`.

    :ivar cuts: at most so many cuts are planned; what is abnormal is repeated besides.
    :ivar until_us: no cut is begun after this instant of `clock`.
    :ivar goal: reached, it is enough.
    """

    cuts: int | None = None
    until_us: int | None = None
    goal: Goal | None = None
    clock: Clock = field(default_factory=MonotonicClock)

    @property
    def aim(self) -> Goal:
        return self.goal or USUAL

    @property
    def bounded(self) -> bool:
        """Does anything but a goal end it?"""
        return self.cuts is not None or self.until_us is not None

    def goes_on(self, planned: int, covering: int) -> bool:
        """May one more cut be planned after so many, of which so many covered and took effect?"""
        if self.until_us is not None and self.clock.now_us >= self.until_us:
            return False
        if self.cuts is not None and planned >= self.cuts:
            return False
        if self.goal is None and self.bounded:
            return True
        return covering < self.aim.cuts and planned < WASTE * self.aim.cuts

    def estimate(self, planned: int, covering: int) -> int:
        """So many cuts it will be, for a display."""
        if self.cuts is not None and self.goal is None:
            return self.cuts
        share = covering / planned if planned > 20 and covering else 0.55
        wanted = round(max(planned, planned + (self.aim.cuts - covering) / share))
        return min(wanted, self.cuts) if self.cuts is not None else wanted
