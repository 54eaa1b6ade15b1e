"""A campaign on a twin that chooses instants, as one on a real key has to: `--search time`.

The operation is recorded once, as for the walk of every flash operation; but where to cut is what the search
says, from the classes of outcomes alone. An instant of virtual time is a flash operation and how far it got,
or a moment between two. So the same search can be measured against what the walk knows to be there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness import interrupt
from harness.allowance import Allowance
from harness.campaign import Campaign
from harness.course import plan_of
from harness.evidence import Judged, Row, is_covering
from harness.home import Home
from harness.judge import Breach
from harness.key import VIOLATIONS, Operation, Outcome
from harness.places import Places
from harness.plans import END, START, Plan, planned
from harness.pool import Died, Pool
from harness.proof import bound, window_ms
from harness.rehearsal import Rehearsal
from harness.rig import Rig
from harness.search import Search, Strategy
from harness.seeds import child
from harness.targets import Look, Target
from harness.twin.record import Cut, Trace, images
from harness.verdicts import Result, breaches_of

AT_ONCE = 8
"""So many cuts are asked for before the first of them is told; the same on every machine."""


_NOWHERE = Plan(END, 0, 0)


@dataclass(frozen=True)
class TimedTarget(Target):
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


def rehearsal_of(trace: Trace, rival_us: int | None) -> Rehearsal:
    """What a recorded run says: instants are exact on a virtual clock."""
    markers = [(mark.name, mark.at_us - trace.start_us) for mark in trace.marks]
    responses = [mark for mark in trace.marks if mark.name.startswith("response")]
    return Rehearsal(
        markers=((START, 0), *markers),
        length_us=trace.end_us - trace.start_us,
        tail_us=0,
        sigma_us=0.0,
        drift=0.0,
        boot_us=0,
        rival_us=rival_us,
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
        self._covering = self._asked = 0
        self.places = Places()
        self._breaches: dict[int, list[Breach]] = {}

    def run(self) -> Result:
        with self._working():
            self._begin()
            self._go_on()
            self._check_live(self._sample())
        return self.result

    @property
    def planned(self) -> int:
        return self._asked

    def more(self, allowance: Allowance) -> Result:
        self.allowance = allowance
        with self._working():
            self._go_on()
        return self.result

    def _begin(self) -> None:
        self.result.trace = self.prepare()
        self.known = rehearsal_of(self.trace, self.question.rival_us)
        self.result.marks = list(self.known.markers)
        (end,) = self._make([Plan(END, 0, self.known.length_us)])
        settled = Outcome(end["outcome"]) not in VIOLATIONS
        self.search = Search(
            self._strategy,
            seed=child(self.rig.seed, "timed", self.rig.name, self.operation.name, *self._salt),
            length=self.known.length_us,
            sigma=0.0,
            markers=self.known.markers[1:],
            start=START,
            ends=(Outcome.OLD, end["outcome"]) if settled else None,
        )

    def _go_on(self) -> None:
        most = self.allowance.cuts
        while self._takes_up() or self.allowance.goes_on(self._asked, self._covering):
            interrupt.check()
            count = AT_ONCE if most is None else min(AT_ONCE, most - self._asked)
            wishes = [self.search.ask() for _ in range(count)]
            self._asked += count
            plans = [plan_of(wish) for wish in wishes]
            for wish, plan, row in zip(wishes, plans, self._make(plans)):
                self.search.tell(wish, row["outcome"], plan.time_us)
                self._covering += is_covering(row)
            self.result.planned = self.allowance.estimate(self._asked, self._covering) + 1
            self._on_progress(self._asked, self.result.planned - 1)

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
        targets: list[Target] = []
        for n, plan in enumerate(plans):
            cut = self._at_end if plan.marker == END else cut_at_us(self.trace, self._instant(plan.time_us))
            ((_, state),) = images(self.trace, [cut])
            targets.append(TimedTarget(cut, state, plan.label, None, self._numbered + n, plan))
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

    @property
    def _at_end(self) -> Cut:
        return Cut(len(self.trace.ops) + 1, END, 0.0, self.trace.end_us)

    def _planned(self, target: Target) -> Row:
        return _timed(target).plan.row

    def _judged(self, target: Target, look: Look | Died, stream: str) -> Judged:
        judged = super()._judged(target, look, _timed(target).plan.stream)
        self._breaches[target.number] = breaches_of(judged)
        return judged

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
        known = rehearsal_of(trace, None)
        plan = planned(label, dict(known.markers), known.length_us)
        cut = cut_at_us(trace, self._instant(plan.time_us))
        ((_, state),) = images(trace, [cut])
        target = TimedTarget(cut, state, label, None, 0, plan)
        found: list[Look | Died] = []
        Pool(lambda _: self._look(target), 1).run(1, lambda _, look: found.append(look))
        judged = self._judged(target, found[0], "replay")
        self.replayed_at = self.where(cut)
        if cut.phi:
            self._check_live([cut])
        return judged.row, [
            Breach(f.item, f.law, f.outcome, f.severity, f.text) for f in self.result.findings
        ]


def _timed(target: Target) -> TimedTarget:
    assert isinstance(target, TimedTarget)
    return target
