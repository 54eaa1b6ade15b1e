"""Estimate what the campaigns of a run cut and cost, before they are run."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Literal

from harness.bench.calibration import calibration_of
from harness.campaign.budget_split import BudgetSplit
from harness.campaign.common import CampaignTerms
from harness.campaign.nested import second_cuts
from harness.campaign.next_action import NEXT_STATES
from harness.campaign.walk import Campaign
from harness.model.operation import Operation
from harness.model.rig import Rig
from harness.run.run_campaigns import RunCampaigns
from harness.run.session import Session
from harness.search.stopping import WASTE, Allowance
from harness.twin.glass_box import glass_box
from harness.twin.recorder import recorder

WALK_CUTS_PER_S = 50
"""Cuts of a walk that one core judges in a second."""
BOOTS_PER_CUT = 3
"""One boot each to arrange, to cut and to observe."""
BACK_S = {"hardware": 1.0, "emulator": 0.15, "emulator-torn": 0.15}
OFF_S = {"hardware": 1.0, "emulator": 0.0, "emulator-torn": 0.0}
"""Seconds that a boot takes, and that the key is off before it, where neither was measured."""
COVERING = 0.5
"""Share of the cuts of a hybrid search that cover."""
UNCUT = 1
"""A search judges the operation once without a cut, too."""
UNLIMITED = sys.maxsize

Certainty = Literal["", "at most ", "about "]
CERTAINTIES: tuple[Certainty, ...] = ("", "at most ", "about ")
"""How sure a number is: exact, an upper bound, or an expectation, because it depends on what is seen."""


@dataclass
class Estimate:
    """Cost of the cuts into one operation on one rig, or of several of them together.

    :ivar most: no run makes more cuts than this; repetitions of abnormal cuts come on top.
    :ivar wear: erases by page; one entry for all pages where nobody sees them.
    :ivar seconds: time on this host or this rig.
    """

    cuts: int = 0
    most: float = 0
    touches: int = 0
    wear: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    certainty: Certainty = ""

    @property
    def erases(self) -> int:
        """Erases of the most-erased page."""
        return max(self.wear.values(), default=0)

    def add(self, other: Estimate) -> None:
        """Add the cost of another operation on the same rig."""
        self.cuts += other.cuts
        self.most += other.most
        self.touches += other.touches
        self.wear += other.wear
        self.seconds += other.seconds
        self.certainty = max(self.certainty, other.certainty, key=CERTAINTIES.index)


@dataclass(frozen=True)
class Each:
    """Cost of a single cut into one operation.

    :ivar can: number of cuts that can be made into the operation.
    :ivar uncut: judged runs without a cut that come on top.
    """

    operation: Operation
    can: int
    uncut: int
    wear: Counter[str]
    seconds: float

    def times(self, cuts: int, certainty: Certainty = "", most: float | None = None) -> Estimate:
        """Return the cost of a number of cuts."""
        judged = cuts + self.uncut
        wear = Counter({page: erases * judged for page, erases in self.wear.items()})
        touches = self.operation.cost.touches * judged
        most = cuts if most is None else most
        return Estimate(judged, most + self.uncut, touches, wear, self.seconds * judged, certainty)


def costs_of(session: Session, rig: Rig, operations: list[Operation]) -> tuple[list[Estimate], Estimate]:
    """Return the cost of each operation of a rig, and of what a budget in cuts leaves for any of them.

    The twin is brought to where each operation starts, and the operation is recorded; nothing else is written.

    :param operations: those that the key offers.
    """
    shares = session.shares(rig.name)
    if recorder(rig) is not None and session.wanted.search is None:
        return _of_walks(session, rig, operations)
    each = [_each_live(session, rig, operation) for operation in operations]
    if shares.cuts is not None and shares.us is None and shares.goal is None:
        return _of_budget(shares, each)
    return [_of_search(shares, one) for one in each], Estimate()


def _of_walks(session: Session, rig: Rig, operations: list[Operation]) -> tuple[list[Estimate], Estimate]:
    shares, found, each = session.shares(rig.name), [], []
    for operation in operations:
        campaign, wear = _recorded(session, rig, operation)
        cuts, _ = campaign.plan()
        one = Each(operation, len(cuts), 0, wear, 1 / WALK_CUTS_PER_S / session.processes())
        each.append(one)
        # A budget is spent on cuts into the operation alone.
        beside = RunCampaigns(session).beside(rig.name, operation.name)
        nested = beside.second and not shares.limited
        second = second_cuts(campaign, cuts, session.processes()) if nested else 0
        more = sum(most for home, most in beside.homes if most and home.adapted(operation) is not None)
        more += min(NEXT_STATES, len(cuts)) if beside.actions else 0
        found.append(one.times(len(cuts) + second + more, "at most " if shares.limited or more else ""))
    if shares.cuts is not None and shares.us is None:
        return _of_budget(shares, each)
    return found, Estimate()


def _recorded(session: Session, rig: Rig, operation: Operation) -> tuple[Campaign, Counter[str]]:
    """Record an operation of a twin; return its walk of every cut, and the erases of a single cut by page."""
    campaign = Campaign(rig, operation, session.homes.home(rig.name), CampaignTerms())
    campaign.prepare()
    return campaign, Counter({row["what"]: row["used"] for row in campaign.estimated_wear(1)})


def _of_budget(shares: BudgetSplit, each: list[Each]) -> tuple[list[Estimate], Estimate]:
    """Return the cost of each first share, and the most that the rest can cost, wherever it goes."""
    first, rest = shares.forecast({one.operation.name: one.can for one in each})
    costs = [one.times(first[one.operation.name]) for one in each]
    if not rest:
        return costs, Estimate()
    dearest: Counter[str] = Counter()
    for one in each:
        dearest |= one.wear
    left = Estimate(
        rest,
        rest,
        rest * max(one.operation.cost.touches for one in each),
        Counter({page: erases * rest for page, erases in dearest.items()}),
        rest * max(one.seconds for one in each),
    )
    return costs, left


def _of_search(shares: BudgetSplit, one: Each) -> Estimate:
    """Return the cost of a search that ends by its goal, or by a limit in time."""
    goal = Allowance(goal=shares.goal).aim
    limits: list[float] = []
    most: float = inf if shares.goal is None and shares.limited else WASTE * goal.cuts
    if shares.goal is not None or not shares.limited:
        limits.append(round(goal.cuts / COVERING))
    if (cuts := shares.first_cuts) is not None:
        limits.append(cuts)
        most = min(most, shares.cuts or 0)
    if shares.us is not None:
        limits.append(max(1, shares.us / 1e6 / len(shares.operations) // one.seconds))
    return one.times(round(min(limits)), "about ", most)


def _each_live(session: Session, rig: Rig, operation: Operation) -> Each:
    seconds = _seconds(rig, operation, session)
    if glass_box(rig) is not None:
        return Each(operation, UNLIMITED, UNCUT, _recorded(session, rig, operation)[1], seconds)
    grants = session.bench.settings(rig.name).budget
    erases = (operation.cost.erases or grants.erases_per_operation) + BOOTS_PER_CUT * grants.erases_per_boot
    return Each(operation, UNLIMITED, UNCUT, Counter({"flash": erases}), seconds)


def _seconds(rig: Rig, operation: Operation, session: Session) -> float:
    """Seconds that one cut takes, with its boots and waits."""
    if glass_box(rig) is not None:
        return 1 / WALK_CUTS_PER_S / session.processes()
    measured = calibration_of(rig)
    back_s, off_s = BACK_S[rig.evidence_kind], OFF_S[rig.evidence_kind]
    if measured is not None:
        back_s = measured.back_ms / 1000 if measured.back_ms is not None else back_s
        off_s = measured.off_s if measured.off_s is not None else off_s
    acts_s = operation.cost.seconds if rig.evidence_kind == "hardware" else min(operation.cost.seconds, 0.2)
    return acts_s + BOOTS_PER_CUT * (back_s + off_s)
