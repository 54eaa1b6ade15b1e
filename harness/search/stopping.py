"""When a campaign ends: after a number of cuts, after a time, or when its goal is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.base.clock import Clock, MonotonicClock
from harness.search.bounds import CONFIDENCE, budget_for

WASTE = 8
"""A goal is given up after this many times the covering cuts that it needs, of all streams."""


@dataclass(frozen=True)
class Goal:
    """The claim to be proved: P(harm) < `below`, with this confidence."""

    confidence: float
    below: float

    @property
    def cuts(self) -> int:
        """Number of failure-free covering cuts that the goal needs."""
        return budget_for(self.confidence, self.below)


USUAL = Goal(CONFIDENCE, 0.05)
"""The goal of a campaign by time for which no limit was given: 59 covering cuts."""


@dataclass(frozen=True)
class Allowance:
    """Limits of one campaign; the first one reached ends it. Without any limit its goal is `USUAL`.

    :ivar cuts: limit of planned cuts; repetitions of abnormal cuts come on top.
    :ivar until_us: no cut is begun after this instant of `clock`.
    :ivar goal: the campaign ends when it is reached.
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
        """Does a limit in cuts or time end it?"""
        return self.cuts is not None or self.until_us is not None

    def goes_on(self, planned: int, covering: int) -> bool:
        """May one more cut be planned? `covering` of the `planned` cuts were covering cuts that took effect."""
        if self.until_us is not None and self.clock.now_us >= self.until_us:
            return False
        if self.cuts is not None and planned >= self.cuts:
            return False
        if self.goal is None and self.bounded:
            return True
        return covering < self.aim.cuts and planned < WASTE * self.aim.cuts

    def estimate(self, planned: int, covering: int) -> int:
        """Estimate of the number of cuts at the end, for a progress display."""
        if self.cuts is not None and self.goal is None:
            return self.cuts
        share = covering / planned if planned > 20 and covering else 0.55
        wanted = round(max(planned, planned + (self.aim.cuts - covering) / share))
        return min(wanted, self.cuts) if self.cuts is not None else wanted
