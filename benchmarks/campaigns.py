"""Campaigns on the twin, beside the client alone and beside cutting live each time."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.alone import ListRig, Packet, Recorder
from benchmarks.timing import Beside, beside, cpu_seconds_each, seconds_each
from harness.campaign.common import CampaignTerms
from harness.campaign.home import seeded
from harness.campaign.observe import observe
from harness.campaign.walk import Campaign
from harness.campaign.worker_pool import Died, WorkerPool
from harness.run.session import Session
from harness.twin.glass_box import require_glass_box
from harness.twin.image import BoardState
from harness.twin.trace import Cut, images
from harness_transports.client_random import client_random

T = TypeVar("T")

LOOKS = 20
LIVE_CUTS = 20


@dataclass(frozen=True)
class Speed:
    """One exhaustive campaign, on all cores.

    :ivar duration_s: median over the repeats, with arranging, recording and judging.
    :ivar states_per_s_and_core: distinct states that were booted and observed, over the time that took.
    """

    operation: str
    cuts: int
    distinct_states: int
    processes: int
    duration_s: float
    cuts_per_s: float
    states_per_s_and_core: float
    repeats: int


def some(things: list[T], count: int) -> list[T]:
    """About `count` of them, evenly spread."""
    return things[:: max(1, len(things) // count)]


class Bench:
    """One operation of the key on one rig."""

    def __init__(self, session: Session, rig: str, operation: str):
        self.session, self.rig = session, session.rig(rig)
        self.operation = self.rig.key.operations[operation]

    def campaign(self, processes: int) -> Campaign:
        return Campaign(
            self.rig,
            self.operation,
            self.session.homes.home(self.rig.name),
            CampaignTerms(processes=processes),
        )

    def speed(self, repeats: int) -> Speed:
        processes = len(os.sched_getaffinity(0))
        results = [self.campaign(processes).run() for _ in range(repeats)]
        first = results[0]
        duration = statistics.median(result.duration_s for result in results)
        observing = statistics.median(result.observe_s for result in results)
        return Speed(
            operation=self.operation.name,
            cuts=len(first.rows),
            distinct_states=first.distinct_states,
            processes=processes,
            duration_s=duration,
            cuts_per_s=len(first.rows) / duration,
            states_per_s_and_core=first.distinct_states / observing / processes,
            repeats=repeats,
        )

    def beside_the_client_alone(self, repeats: int) -> Beside:
        """One look at the key after a cut; CPU seconds for one, over looks at states of the whole operation."""
        campaign = self.campaign(1)
        heard = [(state, self._recorded(campaign, state)) for state in self._states(campaign)]
        return beside(
            f"a look, {self.operation.name}",
            "the twin on its flash",
            lambda: cpu_seconds_each(lambda one: self._look(campaign, one[0]), heard),
            "the client alone, answered from a list",
            lambda: cpu_seconds_each(lambda one: self._listen(campaign, *one), heard),
            repeats,
        )

    def beside_another_key(self, title: str, other: Bench, other_title: str, repeats: int) -> Beside:
        """The same look at two keys; CPU seconds for one."""
        pair = [(bench, campaign, bench._states(campaign)) for bench, campaign in self._prepared(other)]

        def looks(at: int) -> float:
            bench, campaign, states = pair[at]
            return cpu_seconds_each(lambda state: bench._look(campaign, state), states)

        name = f"a look, {self.operation.name}, {title}"
        return beside(name, title, lambda: looks(0), other_title, lambda: looks(1), repeats)

    def _prepared(self, other: Bench) -> list[tuple[Bench, Campaign]]:
        found = [(bench, bench.campaign(1)) for bench in (self, other)]
        for _, campaign in found:
            campaign.prepare()
        return found

    def _states(self, campaign: Campaign) -> list[BoardState]:
        """States after cuts of the whole operation, no two the same; the campaign is prepared."""
        trace = campaign.prepare().trace
        states = [state for _, state in images(trace, campaign.plan()[0])]
        return some(list({state.digest(): state for state in states}.values()), LOOKS)

    def _look(self, campaign: Campaign, state: BoardState) -> None:
        require_glass_box(self.rig).restore(state)
        self.rig.power.on()
        with seeded(self.rig, "look", state.digest().hex()):
            judge = campaign.prepared.judge
            observe(self.rig, campaign.items, judge.memory, judge.promise)

    def _recorded(self, campaign: Campaign, state: BoardState) -> list[Packet]:
        packets: list[Packet] = []
        before, self.rig.transports = self.rig.transports, Recorder(self.rig, packets)
        try:
            self._look(campaign, state)
        finally:
            self.rig.transports = before
        return packets

    def _listen(self, campaign: Campaign, state: BoardState, packets: list[Packet]) -> None:
        rig = ListRig(self.rig.name, self.rig.key, self.rig.seed, packets)
        with client_random(require_glass_box(self.rig).seeded("look", state.digest().hex())):
            judge = campaign.prepared.judge
            observe(rig, campaign.items, judge.memory, judge.promise)

    def beside_cutting_live(self, repeats: int) -> Beside:
        """One judged cut on one core; seconds for one."""
        campaign = self.campaign(1)
        campaign.prepare()
        cuts = [cut for cut in campaign.plan()[0] if cut.phase != "end"]
        chosen = some(cuts, LIVE_CUTS)

        def recorded() -> float:
            result = self.campaign(1).run()
            return result.duration_s / len(result.rows)

        return beside(
            f"a cut, {self.operation.name}",
            "recorded once, images computed, equal ones observed once",
            recorded,
            "the operation run and cut live each time, in a process of its own",
            lambda: seconds_each(lambda cut: self._cut_live(campaign, cut), chosen),
            repeats,
        )

    def _cut_live(self, campaign: Campaign, cut: Cut) -> None:
        def live(_: int) -> None:
            rig, glass = self.rig, require_glass_box(self.rig)
            glass.restore(campaign.prepared.start)
            if self.operation.powered:
                rig.power.on()
            memory = campaign.prepared.judge.memory.copy()
            glass.cut_live(lambda: self.operation.act(rig, memory), cut.flash_op, cut.phi)
            # A store that C code was cut in is not used again: what is observed is booted from its image.
            self._look(campaign, glass.snapshot())

        def done(_: int, got: Died | None) -> None:
            if isinstance(got, Died):
                raise RuntimeError(f"cut live at {cut.label}: the twin {got.how}")

        WorkerPool(live, 1).run(1, done)
