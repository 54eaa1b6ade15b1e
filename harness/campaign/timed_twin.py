"""Cut a twin by time, as a real key has to be cut: `--search time`.

The operation is recorded once, as for the walk of every flash operation, but the search chooses the instants, from
the outcomes alone. An instant of virtual time is a flash operation and how far it got, or a moment between two. The
boot after a cut is cut the same way. So the search can be measured against what the walk finds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.base import signals
from harness.base.seeds import child
from harness.campaign.common import CampaignTerms
from harness.campaign.cut_images import CutImage, Inspection
from harness.campaign.home import Home
from harness.campaign.image_observer import ImageObserver
from harness.campaign.judging import breaches_of
from harness.campaign.result import Result, bound, window_ms
from harness.campaign.walk import Campaign
from harness.campaign.worker_pool import Died
from harness.model.judge import Breach
from harness.model.operation import Operation
from harness.model.rig import Rig
from harness.model.row import Judged, Row, is_covering
from harness.search.localization import Localizer
from harness.search.plan import END, START, Plan, Stream, Unmade, planned
from harness.search.schedule import Schedule, search_for
from harness.search.search import Strategy
from harness.search.stopping import Allowance
from harness.search.timing_profile import TimingProfile
from harness.twin.trace import Cut, State, Trace, images, twin_trace

AT_ONCE = 8
"""Number of cuts that are asked for before the first of them is told; the same on every machine."""
STREAMS: tuple[Stream, ...] = ("nested", "burst")
"""Streams besides the search. A twin's flash loses nothing while it has no power, so long rests are left out."""

_NOWHERE = Plan(END, 0, 0)


@dataclass(frozen=True)
class TimedCutImage(CutImage):
    """An image with the planned instant that it belongs to."""

    plan: Plan = _NOWHERE


def cut_at_us(trace: Trace, at_us: float) -> Cut:
    """The flash operation that an instant of the recorded run falls into, and how far it is then."""
    number = bisect_right([op.start_us for op in trace.ops], at_us)
    if number and at_us < (op := trace.ops[number - 1]).end_us:
        phi = (at_us - op.start_us) / (op.end_us - op.start_us)
        return Cut(number, "torn1" if phi else "before", phi, round(at_us))
    # Between two operations; after the last one it is as at the end.
    return Cut(number + 1, "before" if number < len(trace.ops) else END, 0.0, round(at_us))


def recorded_profile(trace: Trace, reference_us: int | None, boot_us: int = 0) -> TimingProfile:
    """The timing profile of a recorded run: on a virtual clock all instants are exact."""
    markers = [(mark.name, mark.at_us - trace.start_us) for mark in trace.marks]
    responses = [mark for mark in trace.marks if mark.name.startswith("response")]
    return TimingProfile(
        markers=((START, 0), *markers),
        length_us=trace.end_us - trace.start_us,
        tail_us=0,
        sigma_us=0.0,
        drift=0.0,
        boot_us=boot_us,
        reference_us=reference_us,
        last=responses[-1].name if responses else None,
        status=responses[-1].status if responses else None,
        requests=sum(1 for name, _ in markers if name.startswith("request-sent")),
        steady=True,
    )


class TimedCampaign(Campaign):
    """Cuts one operation of a twin at instants that a search chooses; without a budget it goes for `USUAL`.

    :param strategy: of the search. :param salt: another number makes the search begin elsewhere.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        home: Home,
        terms: CampaignTerms | None = None,
        *,
        strategy: Strategy = "hybrid",
        salt: int = 0,
    ):
        super().__init__(rig, operation, home, terms)
        self._strategy = strategy
        self._salt = (salt,) if salt else ()
        self._schedule: Schedule | None = None
        self._covering = 0
        self._unmade = Unmade()
        self.localizer = Localizer()
        self._breaches: dict[int, list[Breach]] = {}

    def run(self) -> Result:
        with self._working():
            self._begin()
            self._go_on()
            self._check_live(self._sample())
            self._recheck_abnormal()
        return self.result

    @property
    def trace(self) -> Trace:
        """The recording; `prepare` must have been called."""
        return twin_trace(self.prepared.trace)

    @property
    def schedule(self) -> Schedule:
        """The order of the cuts; `run` must have made the first one."""
        assert self._schedule is not None, "the campaign has not begun"
        return self._schedule

    @property
    def planned(self) -> int:
        return self.schedule.planned

    def more(self, allowance: Allowance) -> Result:
        self.allowance = allowance
        with self._working():
            self._go_on()
            self._recheck_abnormal()
        return self.result

    def _begin(self) -> None:
        """Record the operation, judge its end, and set the search up."""
        prepared = self.prepare()
        self._note_uncut()
        profile = recorded_profile(self.trace, prepared.judge.reference_us, self.boot_us())
        self.result.trace = self.trace
        self.result.marks = list(profile.markers)
        (end,) = self._make([Plan(END, 0, profile.length_us)])
        seed = child(self.rig.seed, "timed", self.rig.name, self.operation.name, *self._salt)
        search = search_for(self._strategy, seed, profile, end["outcome"])
        self._schedule = Schedule(search, profile, seed, STREAMS)

    def boot_us(self) -> int:
        """Duration of the boot after the operation; 0 if the key does not come up."""

        def boot(_: int) -> int:
            self.glass.restore(self.trace.final)
            trace = self.glass.record(self.rig.power.on)
            return trace.end_us - trace.start_us

        taken: list[int | Died] = []
        self.pool(boot, 1).run(1, lambda _, us: taken.append(us))
        return taken[0] if isinstance(taken[0], int) else 0

    def _go_on(self) -> None:
        schedule, most = self.schedule, self.allowance.cuts
        while self._must_resume() or self.allowance.goes_on(schedule.planned, self._covering):
            signals.check()
            count = AT_ONCE if most is None else min(AT_ONCE, most - schedule.planned)
            plans = [self._unmade.instead_of(schedule.ask()) for _ in range(count)]
            for plan, row in zip(plans, self._make(plans)):
                schedule.tell(row["outcome"], plan.time_us)
                self._covering += is_covering(row)
            self.result.planned = self.allowance.estimate(schedule.planned, self._covering) + 1
            self._on_progress(schedule.planned, self.result.planned - 1)

    def make(self, plans: Sequence[Plan]) -> list[Row]:
        """Make the cuts of a caller instead of those of a search: their rows, in the same order."""
        with self._working():
            self.result.trace = self.prepare().trace
            return self._make(plans)

    def _must_resume(self) -> bool:
        return self.allowance.until_us is not None and self._numbered < len(self._earlier)

    def _instant(self, time_us: float) -> float:
        return self.trace.start_us + time_us

    def _sample(self) -> list[Cut]:
        """Covering cuts that tear a flash operation, to be cut live as well."""
        cuts = [cut_at_us(self.trace, self._instant(at)) for at, _ in sorted(self.localizer.covering)]
        return [cut for cut in cuts if cut.phi]

    def _make(self, plans: Sequence[Plan]) -> list[Row]:
        """Make cuts: their rows, in the same order."""
        targets: list[CutImage] = list(self._targets(plans))
        self._numbered += len(targets)
        first = len(self.result.rows)
        self._observe(targets, "timed")
        for number, plan in enumerate(plans, start=self._numbered - len(plans)):
            if plan.marker != END:
                resumed = number < len(self._earlier)
                found = breaches_of(self._earlier[number]) if resumed else self._breaches.pop(number)
                kinds = [(one.item, one.outcome) for one in found]
                self.localizer.add((plan.time_us, plan.time_us), plan.stream, kinds)
        return self.result.rows[first:]

    def _targets(self, plans: Sequence[Plan]) -> list[TimedCutImage]:
        targets = []
        for n, plan in enumerate(plans):
            cut = self._at_end if plan.marker == END else cut_at_us(self.trace, self._instant(plan.time_us))
            ((_, state),) = images(self.trace, [cut])
            targets.append(TimedCutImage(cut, state, plan.label, None, self._numbered + n, plan=plan))
        cut_again = [n for n, plan in enumerate(plans) if plan.boots]

        def boot(index: int) -> State:
            target = targets[cut_again[index]]
            return self._after_boots(target.state, target.plan.boots)

        def booted(index: int, state: State | Died) -> None:
            # A key that crashed in that boot will crash again while it is observed.
            if not isinstance(state, Died):
                n = cut_again[index]
                targets[n] = replace(targets[n], state=state)

        self.pool(boot, self._processes).run(len(cut_again), booted)
        return targets

    def _after_boots(self, state: State, boots: Sequence[int]) -> State:
        """The state that is left when each of the following boots is cut at its offset after the power came back."""
        for at_us in boots:
            self.glass.restore(state)
            boot = twin_trace(self.glass.record(self.rig.power.on))
            ((_, state),) = images(boot, [cut_at_us(boot, boot.start_us + at_us)])
        return state

    @property
    def _at_end(self) -> Cut:
        return Cut(len(self.trace.ops) + 1, END, 0.0, self.trace.end_us)

    def _planned(self, image: CutImage) -> Row:
        return _timed(image).plan.row

    def _judged(
        self, image: CutImage, seen: Inspection | Died, stream: str, observer: ImageObserver
    ) -> Judged:
        plan = _timed(image).plan
        judged = super()._judged(image, seen, plan.stream, observer)
        judged.row["boots"] += len(plan.boots)
        self._breaches[image.number] = breaches_of(judged)
        return judged

    def place(self, image: CutImage) -> str:
        return super().place(image) + _timed(image).plan.then

    def _conclude(self) -> None:
        super()._conclude()
        result = self.result
        result.bound = bound(result.rows, self.allowance.aim.confidence)
        if self._schedule is None:
            return
        profile, search = self._schedule.profile, self._schedule.search
        result.window_ms = window_ms(self.localizer.covering, profile.length_us, search.sigma_at)
        for finding in result.findings:
            finding.narrowest = self.localizer.narrowest(finding.item, finding.outcome, profile)

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        if label == END:
            return super().replay(label)
        profile = recorded_profile(twin_trace(self.prepare().trace), None)
        plan = planned(label, dict(profile.markers), profile.length_us)
        (image,) = self._targets([plan])
        row = self._judge_alone(image, self)
        self.replayed_at = self.place(image)
        if image.cut.phi and not plan.boots:
            self._check_live([image.cut])
        return row, self._breaches_found()


def _timed(target: CutImage) -> TimedCutImage:
    assert isinstance(target, TimedCutImage)
    return target
