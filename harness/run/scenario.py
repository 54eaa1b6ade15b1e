"""Replay a scenario on the rigs of a session: how often it shows again, at which instants, and whether it stays.

On a twin every modelled cut into an operation is walked first: that says which instants do it. Then cuts at instants
that are drawn at random, each followed by the disturbances of the schedule, say how often. On an emulator or a real key
there are only the drawn ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.base.errors import CallerError, one_of
from harness.base.seeds import Stream
from harness.campaign.common import Beside, CampaignTerms
from harness.campaign.cut_images import CutImage, Inspection
from harness.campaign.home import Home
from harness.campaign.live_cut import LiveCuts
from harness.campaign.next_action import NextActionObserver, action_called
from harness.campaign.rows import campaign_row
from harness.campaign.timed_twin import TimedCampaign, recorded_profile
from harness.campaign.walk import Campaign
from harness.campaign.worker_pool import Died
from harness.evidence.abnormal import Abnormal
from harness.evidence.rundir import RunDir
from harness.field.scenario_file import Replay, Scenario, StepRow
from harness.model.outcome import Outcome, Value
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.run.glitches import beyond_a_switch, disturbances, draw
from harness.run.session import Session
from harness.safety.pins import handed_out
from harness.search.bounds import CONFIDENCE, reproduction
from harness.search.plan import Plan
from harness.search.stopping import Allowance
from harness.twin.glass_box import glass_box
from harness.twin.trace import twin_trace

TRIALS_TWIN, TRIALS_LIVE = 100, 20
"""Cuts at random instants into each operation, unless the caller says how many."""
AFTER_MAX = 3
"""After so many cuts that show it, the owner's next actions are tried."""

Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Instant:
    """A modelled cut that shows it.

    :ivar where: in words. :ivar replay: its replay id.
    """

    label: str
    where: str
    replay: str


@dataclass
class Tried:
    """What cuts into one operation of one rig showed.

    :ivar walked: modelled cuts that were made, 0 where there is no model; `whole`: whether these are all of them.
    :ivar trials: cuts at random instants. :ivar shown: those of them that show it.
    :ivar left_out: drawn cuts that did not surely go inside the operation.
    :ivar instants: the modelled cuts that show it, in order.
    :ivar after: the owner's action -> (still shown, of how many), or why it was not tried.
    :ivar lacking: why nothing was cut; None if something was.
    """

    rig: str
    operation: str
    firmware: str
    evidence: str
    walked: int = 0
    whole: bool = False
    trials: int = 0
    shown: int = 0
    left_out: int = 0
    instants: list[Instant] = field(default_factory=list)
    after: dict[str, tuple[int, int] | str] = field(default_factory=dict)
    lacking: str | None = None

    @property
    def reproduced(self) -> bool:
        return bool(self.instants) or self.shown > 0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Between which shares the chance of one cut at a random instant is, with 95 %; None without a trial."""
        return reproduction(self.shown, self.trials) if self.trials else None

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        interval = self.interval
        return {
            **{name: getattr(self, name) for name in ("rig", "operation", "firmware", "evidence", "lacking")},
            **{name: getattr(self, name) for name in ("walked", "whole", "trials", "shown", "left_out")},
            "reproduced": self.reproduced,
            "interval": list(interval) if interval else None,
            "confidence": CONFIDENCE,
            "instants": [vars(one) for one in self.instants],
            "after": {
                name: said if isinstance(said, str) else {"still": said[0], "of": said[1]}
                for name, said in self.after.items()
            },
        }


def shows(replay: Replay, before: Mapping[str, Any], row: Row) -> bool:
    """Tell whether a cut shows what the owner saw.

    :param before: the items before the operation. :param row: the evidence of the cut.
    """
    if row["outcome"] == Outcome.MISSED:
        return False
    if not replay.sees:
        return Outcome(row["outcome"]).is_violation
    if row["outcome"] == Outcome.STUCK:
        return False
    seen = {**before, **{name: pair[1] for name, pair in row["changed"].items()}}
    return all(one.fits(seen) for one in replay.sees)


class ScenarioPlayer:
    """Replays one scenario on the rigs of a session, and writes the evidence.

    :param run: the folder of the run; it has been started.
    :param trials: cuts at random instants into each operation; None is the usual number.
    :param walk: most modelled cuts into each operation, evenly spread; None is all.
    """

    def __init__(
        self,
        session: Session,
        scenario: Scenario,
        run: RunDir,
        *,
        trials: int | None = None,
        walk: int | None = None,
        progress: Progress | None = None,
    ):
        assert scenario.replay is not None, "a scenario that can be replayed"
        self._session, self._run, self._progress = session, run, progress
        self._replay, self._steps = scenario.replay, scenario.step
        self._trials, self._walk = trials, walk

    def play(self, rig_name: str) -> list[Tried]:
        """Try every operation of the scenario on a rig.

        :raises KeyharnessError: the rig or its key fails before anything is cut.
        """
        rig, home = self._session.rig(rig_name), self._session.homes.home(rig_name)
        found = []
        for name in self._replay.operations:
            tried = Tried(rig_name, name, rig.info().firmware, rig.evidence_kind)
            found.append(tried)
            tried.lacking = self._session.homes.missing(rig_name, name)
            if tried.lacking is None and glass_box(rig) is None:
                tried.lacking = beyond_a_switch(self._steps)
            if tried.lacking is None:
                self._try(tried, rig, home)
        return found

    def _try(self, tried: Tried, rig: Rig, home: Home) -> None:
        abnormal = Abnormal(self._run.path, handed_out)
        with self._run.journal(rig.name, tried.operation) as journal:
            keeping = abnormal.keeping(journal.keep, lambda _: {})
            before: dict[str, Value] = {}
            changed: set[str] = set()

            def keep(judged: Sequence[Judged]) -> None:
                """Keep all rows, and the states of those cuts that show it."""
                changed.update(name for one in judged for name in one.row["changed"])
                keeping(
                    [
                        one if shows(self._replay, before, one.row) else replace(one, files=None)
                        for one in judged
                    ]
                )

            def show(done: int, total: int) -> None:
                if self._progress is not None:
                    self._progress(rig.name, tried.operation, done, total)

            terms = CampaignTerms(
                Allowance(cuts=self._walk),
                self._session.processes(),
                on_progress=show,
                on_judged=keep,
                beside=Beside(second=False),
            )
            if glass_box(rig) is None:
                self._try_live(tried, rig, home, keep, before)
            else:
                self._try_twin(tried, rig, home, terms, before)
            self._require_items(before.keys() | changed)

    def _require_items(self, seen: Collection[str]) -> None:
        """What nobody observes cannot show: that would be no answer."""
        for one in self._replay.sees:
            if one.item not in seen:
                raise CallerError(
                    "scenario · replay.sees",
                    found=one.item,
                    expected=f"an item that this key shows here: {one_of(one.item, sorted(seen))}",
                    mend="`keyharness list` shows the items of each key",
                )

    def _try_twin(
        self, tried: Tried, rig: Rig, home: Home, terms: CampaignTerms, before: dict[str, Value]
    ) -> None:
        """:param before: takes what is seen of the key before the operation."""
        operation = rig.key.operations[tried.operation]
        walk = Campaign(rig, operation, home, terms)
        before.update(walk.prepare().judge.before)
        result = walk.run()
        tried.walked, tried.whole = len(result.rows), result.exhaustive
        trace = twin_trace(walk.prepared.trace)
        shown = [row["id"] for row in result.rows if shows(self._replay, before, row)]
        for replay_id in shown:
            label = replay_id.split(":")[3]
            cut = trace.cut_at(label, walk.glass.torn_phases)
            tried.instants.append(Instant(label, walk.where(cut), replay_id))
        self._run.note_campaign(rig.name, tried.operation, campaign_row(result))
        by_time = TimedCampaign(rig, operation, home, terms)
        timed = twin_trace(by_time.prepare().trace)
        length_us = timed.end_us - timed.start_us
        boot_us = recorded_profile(timed, None, by_time.boot_us()).boot_us
        plans = [
            self._drawn(rig, tried, number, length_us, boot_us) for number in range(self._of(TRIALS_TWIN))
        ]
        rows = by_time.make(plans)
        tried.trials = len(rows)
        tried.shown = sum(shows(self._replay, before, row) for row in rows)
        self._go_on(tried, rig, walk)

    def _drawn(self, rig: Rig, tried: Tried, number: int, length_us: int, boot_us: int) -> Plan:
        stream = Stream(rig.seed, "scenario", rig.name, tried.operation, number)
        return draw(self._steps, length_us, boot_us, stream)

    def _of(self, usual: int) -> int:
        return usual if self._trials is None else self._trials

    def _go_on(self, tried: Tried, rig: Rig, walk: Campaign) -> None:
        """Let the owner go on after some of the cuts that show it: does it stay?"""
        offered = (
            {action.name for action in self._session.homes.next_actions(rig.name)}
            if self._replay.then
            else set()
        )
        trace = walk.prepared.trace
        for name in self._replay.then:
            if not tried.instants:
                tried.after[name] = "no cut showed it"
                continue
            if name not in offered:
                tried.after[name] = "not offered by this key"
                continue
            images = []
            for instant in tried.instants[:AFTER_MAX]:
                ((cut, state),) = trace.images([trace.cut_at(instant.label, walk.glass.torn_phases)])
                images.append(CutImage(cut, state, instant.label))
            observer = NextActionObserver(walk, action_called(rig, name))
            tried.after[name] = self._still(observer, images), len(images)

    def _still(self, observer: NextActionObserver, images: Sequence[CutImage]) -> int:
        """Count the images in which it is still seen after the owner's action."""
        kept: list[bool] = []

        def arrived(_: int, found: Inspection | Died) -> None:
            after = found.after if isinstance(found, Inspection) else None
            kept.append(
                after is not None
                and after.refused is None
                and all(one.fits(after.seen.values) for one in self._replay.sees)
            )

        observer.pool(lambda index: observer.inspect(images[index]), self._session.processes()).run(
            len(images), arrived
        )
        return sum(kept)

    def _try_live(
        self,
        tried: Tried,
        rig: Rig,
        home: Home,
        keep: Callable[[Sequence[Judged]], None],
        before: dict[str, Value],
    ) -> None:
        """:param before: takes what is seen of the key before the operation."""
        cuts = LiveCuts(rig, rig.key.operations[tried.operation], home, rechecks=0)
        profile = cuts.prepare().profile
        before.update(cuts.prepared.before)
        for name in self._replay.then:
            tried.after[name] = "tried on twins only"
        count = self._of(TRIALS_LIVE)
        for number in range(count):
            plan = self._drawn(rig, tried, number, profile.length_us, profile.boot_us)
            judged = cuts.make(plan)
            keep([judged])
            if judged.row["landed"] is not True:
                tried.left_out += 1
            else:
                tried.trials += 1
                tried.shown += shows(self._replay, before, judged.row)
            if self._progress is not None:
                self._progress(rig.name, tried.operation, number + 1, count)


def first_gone(versions: Sequence[str], shown: Callable[[str], bool]) -> tuple[str | None, list[str]]:
    """Find the first version that no longer shows it, by halving.

    It is taken for granted that no version without it is followed by one that has it again.

    :param versions: in order; the first one is tried first, then the last one.
    :param shown: tries a version; called at most once for each.
    :returns: (the first version without it, None if the first or the last one contradicts; the versions tried).
    """
    tried: dict[str, bool] = {}

    def ask(at: int) -> bool:
        version = versions[at]
        if version not in tried:
            tried[version] = shown(version)
        return tried[version]

    if not ask(0) or ask(len(versions) - 1):
        return None, list(tried)
    low, high = 0, len(versions) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if ask(middle) else (low, middle)
    return versions[high], list(tried)


def disturbed(steps: Sequence[StepRow]) -> str:
    """Say in words what follows the cut."""
    acts = [one.act if one.times == 1 else f"{one.times} x {one.act}" for one in disturbances(steps)]
    return ", ".join(acts) or "nothing more"
