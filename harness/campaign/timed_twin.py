"""A campaign on a twin that chooses instants, as one on a real key has to: `--search time`.

The operation is recorded once, as for the walk of every flash operation; but where to cut is what the search
says, from the classes of outcomes alone. An instant of virtual time is a flash operation and how far it got,
or a moment between two; the boot after it is cut the same way. So the same search can be measured against what
the walk knows to be there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.base import signals
from harness.base.seeds import child
from harness.campaign.cut_images import CutImage, Inspection
from harness.campaign.home import Home
from harness.campaign.proof import bound, window_ms
from harness.campaign.result import Result, breaches_of
from harness.campaign.walk import Campaign
from harness.campaign.worker_pool import Died, WorkerPool
from harness.model.judge import Breach
from harness.model.key import Operation
from harness.model.rig import Rig
from harness.model.row import Judged, Row, is_covering
from harness.search.localization import Localizer
from harness.search.plan import END, START, Plan, Stream, planned
from harness.search.schedule import Schedule, search_for
from harness.search.search import Strategy
from harness.search.stopping import Allowance
from harness.search.timing_profile import TimingProfile
from harness.twin.image import BoardState
from harness.twin.trace import Cut, Trace, images

AT_ONCE = 8
"""So many cuts are asked for before the first of them is told; the same on every machine."""
STREAMS: tuple[Stream, ...] = ("nested", "burst")
"""What there is besides the search. A twin's flash loses nothing by itself: a long rest would look for nothing."""

_NOWHERE = Plan(END, 0, 0)


@dataclass(frozen=True)
class TimedCutImage(CutImage):
    """An image with the instant that it belongs to."""

    plan: Plan = _NOWHERE


def cut_at_us(trace: Trace, at_us: float) -> Cut:
    """The flash operation that an instant of the recorded run falls into, and how far it is then."""
    number = bisect_right([op.start_us for op in trace.ops], at_us)
    if number and at_us < (op := trace.ops[number - 1]).end_us:
        phi = (at_us - op.start_us) / (op.end_us - op.start_us)
        return Cut(number, "torn1" if phi else "before", phi, round(at_us))
    # Between two operations; behind the last it is as at the end.
    return Cut(number + 1, "before" if number < len(trace.ops) else END, 0.0, round(at_us))


def recorded_profile(trace: Trace, reference_us: int | None, boot_us: int = 0) -> TimingProfile:
    """What a recorded run says: instants are exact on a virtual clock."""
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
    """Cut one operation of a twin at instants that a search chooses.

    The rest as for `Campaign`; without a budget it goes for `USUAL`.

    :param strategy: of the search. :param salt: another one searches elsewhere first.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        home: Home,
        *,
        strategy: Strategy = "hybrid",
        salt: int = 0,
        **more: Any,
    ):
        super().__init__(rig, operation, home, **more)
        self._strategy = strategy
        self._salt = (salt,) if salt else ()
        self._covering = 0
        self.places = Localizer()
        self._breaches: dict[int, list[Breach]] = {}

    def run(self) -> Result:
        with self._working():
            self._begin()
            self._go_on()
            self._check_live(self._sample())
            self._look_again()
        return self.result

    @property
    def planned(self) -> int:
        return self.course.planned

    def more(self, allowance: Allowance) -> Result:
        self.allowance = allowance
        with self._working():
            self._go_on()
            self._look_again()
        return self.result

    def _begin(self) -> None:
        self.result.trace = self.prepare()
        self.known = recorded_profile(self.trace, self.question.reference_us, self._boot_us())
        self.result.marks = list(self.known.markers)
        (end,) = self._make([Plan(END, 0, self.known.length_us)])
        seed = child(self.rig.seed, "timed", self.rig.name, self.operation.name, *self._salt)
        self.search = search_for(self._strategy, seed, self.known, end["outcome"])
        self.course = Schedule(self.search, self.known, seed, STREAMS)

    def _boot_us(self) -> int:
        """How long the key takes to come up after the operation; 0 if it does not."""

        def boot(_: int) -> int:
            self.glass.restore(self.trace.final)
            trace = self.glass.record(self.rig.power.on)
            return trace.end_us - trace.start_us

        taken: list[int | Died] = []
        WorkerPool(boot, 1).run(1, lambda _, us: taken.append(us))
        return taken[0] if isinstance(taken[0], int) else 0

    def _go_on(self) -> None:
        course, most = self.course, self.allowance.cuts
        while self._takes_up() or self.allowance.goes_on(course.planned, self._covering):
            signals.check()
            count = AT_ONCE if most is None else min(AT_ONCE, most - course.planned)
            plans = [course.ask() for _ in range(count)]
            for plan, row in zip(plans, self._make(plans)):
                course.tell(row["outcome"], plan.time_us)
                self._covering += is_covering(row)
            self.result.planned = self.allowance.estimate(course.planned, self._covering) + 1
            self._on_progress(course.planned, self.result.planned - 1)

    def _takes_up(self) -> bool:
        return self.allowance.until_us is not None and self._numbered < len(self._earlier)

    def _instant(self, time_us: float) -> float:
        return self.trace.start_us + time_us

    def _sample(self) -> list[Cut]:
        """Those that tear a flash operation, to be cut live as well."""
        cuts = [cut_at_us(self.trace, self._instant(at)) for at in sorted(self.places.covering)]
        return [cut for cut in cuts if cut.phi]

    def _make(self, plans: Sequence[Plan]) -> list[Row]:
        """Make cuts; their rows, in the same order."""
        targets: list[CutImage] = list(self._targets(plans))
        self._numbered += len(targets)
        first = len(self.result.rows)
        self._look_at(targets, "timed")
        for number, plan in enumerate(plans, start=self._numbered - len(plans)):
            if plan.marker != END:
                taken_up = number < len(self._earlier)
                found = breaches_of(self._earlier[number]) if taken_up else self._breaches.pop(number)
                kinds = [(one.item, one.outcome) for one in found]
                self.places.add(plan.time_us, plan.stream, kinds)
        return self.result.rows[first:]

    def _targets(self, plans: Sequence[Plan]) -> list[TimedCutImage]:
        targets = []
        for n, plan in enumerate(plans):
            cut = self._at_end if plan.marker == END else cut_at_us(self.trace, self._instant(plan.time_us))
            ((_, state),) = images(self.trace, [cut])
            targets.append(TimedCutImage(cut, state, plan.label, None, self._numbered + n, plan))
        cut_again = [n for n, plan in enumerate(plans) if plan.boots]

        def boot(index: int) -> BoardState:
            target = targets[cut_again[index]]
            return self._after_boots(target.state, target.plan.boots)

        def booted(index: int, state: BoardState | Died) -> None:
            # A key that died in that boot will do so again, while it is looked at.
            if isinstance(state, BoardState):
                n = cut_again[index]
                targets[n] = replace(targets[n], state=state)

        WorkerPool(boot, self._processes).run(len(cut_again), booted)
        return targets

    def _after_boots(self, state: BoardState, boots: Sequence[int]) -> BoardState:
        """What is left when each of the boots that follow is cut so long after the power came back."""
        for at_us in boots:
            self.glass.restore(state)
            boot = self.glass.record(self.rig.power.on)
            ((_, state),) = images(boot, [cut_at_us(boot, boot.start_us + at_us)])
        return state

    @property
    def _at_end(self) -> Cut:
        return Cut(len(self.trace.ops) + 1, END, 0.0, self.trace.end_us)

    def _planned(self, target: CutImage) -> Row:
        return _timed(target).plan.row

    def _judged(self, target: CutImage, look: Inspection | Died, stream: str) -> Judged:
        plan = _timed(target).plan
        judged = super()._judged(target, look, plan.stream)
        judged.row["boots"] += len(plan.boots)
        self._breaches[target.number] = breaches_of(judged)
        return judged

    def _place(self, target: CutImage) -> str:
        return super()._place(target) + _timed(target).plan.then

    def _conclude(self) -> None:
        super()._conclude()
        result = self.result
        result.bound = bound(result.rows, self.allowance.aim.confidence)
        if not hasattr(self, "search"):
            return
        result.window_ms = window_ms(self.places.covering, self.known.length_us, self.search.sigma_at)
        for finding in result.findings:
            finding.narrowest = self.places.narrowest(finding.item, finding.outcome, self.known)

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        if label == END:
            return super().replay(label)
        trace = self.prepare()
        known = recorded_profile(trace, None)
        plan = planned(label, dict(known.markers), known.length_us)
        (target,) = self._targets([plan])
        cut = target.cut
        found: list[Inspection | Died] = []
        WorkerPool(lambda _: self._look(target), 1).run(1, lambda _, look: found.append(look))
        judged = self._judged(target, found[0], "replay")
        self.replayed_at = self._place(target)
        if cut.phi and not plan.boots:
            self._check_live([cut])
        return judged.row, [
            Breach(f.item, f.law, f.outcome, f.severity, f.text) for f in self.result.findings
        ]


def _timed(target: CutImage) -> TimedCutImage:
    assert isinstance(target, TimedCutImage)
    return target
