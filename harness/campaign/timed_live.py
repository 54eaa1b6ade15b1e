"""A campaign on a key whose inside nobody sees: emulators and hardware.

The operation really runs for every cut. It is first run uncut a few times, which says how long it takes and
what is seen on its transport; then the search is asked where to cut. Each cut is anchored to a marker before
it, because the time since a marker strays less than the time since the start, and fired by the cutter
process while the operation runs. When it fired and when the key was lost is always recorded; a cut outside
of the operation is missed, never a pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

from harness.base import signals
from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.campaign.common import CampaignBase
from harness.campaign.home import Home
from harness.campaign.live_observer import LiveObserver
from harness.campaign.observe import Seen
from harness.campaign.proof import bound, window_ms
from harness.campaign.recheck import KINDS, LiveRecheck, recheck_row
from harness.campaign.result import Result, breaches_of
from harness.model.judge import Breach, Judgement
from harness.model.key import Operation, Outcome
from harness.model.rig import Rig
from harness.model.row import Judged, Row, is_covering, replay_id
from harness.search.localization import Localizer
from harness.search.plan import END, Plan, planned
from harness.search.recheck_plan import RecheckPlan
from harness.search.schedule import Schedule, search_for
from harness.search.search import Strategy
from harness.search.stopping import Allowance
from harness.search.timing_profile import TimingProfile

REPLAY_TRIES = 5
HISTORY = 8
"""On a key whose state cannot be put back, so many earlier cuts may have to do with what one leads to."""


class LiveCampaign(LiveObserver, CampaignBase):
    """Cut one operation of a real key, or of an emulator, while it runs.

    :param home: the state to start from (see `go_home`).
    :param strategy: of the search.
    :param care: so many kinds of abnormal outcomes are looked into (`harness.campaign.recheck`).
    :param terms: see `harness.campaign.common`; one key does one thing at a time, whatever `processes` says.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        home: Home,
        *,
        strategy: Strategy = "hybrid",
        care: int = KINDS,
        **terms: Any,
    ):
        LiveObserver.__init__(self, rig, operation, home)
        CampaignBase.__init__(self, rig, operation, **terms)
        self._strategy = strategy
        self._own_ms: list[float] = []
        self._whole_ms: list[float] = []
        self.places = Localizer()
        self._covering = 0
        self._before_this: deque[Plan] = deque(maxlen=HISTORY)
        # Where a state can be put back there is nothing before a cut that it could come from.
        self._care = LiveRecheck(self._before_this if rig.vault is None else (), care)

    def run(self) -> Result:
        """Cut and judge until the allowance is spent.

        On KeyboardInterrupt the evidence of what was done has been handed on and `self.result` holds it.
        """
        with self._working():
            self.prepare(TimingProfile.from_row(self._earlier[0].note["known"]) if self._earlier else None)
            first = self._made(Plan(END, 0, self.known.length_us))
            self._begin_course(first.row["outcome"])
            self._go_on()
        return self.result

    def more(self, allowance: Allowance) -> Result:
        """Go on after `run`, until so much is spent all in all."""
        self.allowance = allowance
        with self._working():
            self._go_on()
        return self.result

    @contextmanager
    def _working(self) -> Iterator[None]:
        with super()._working():
            try:
                yield
            finally:
                self.rig.power.off()

    def _begin_course(self, at_end: str) -> None:
        seed = child(self.rig.seed, "live", self.rig.name, self.operation.name)
        self.search = search_for(self._strategy, seed, self.known, at_end)
        self.course = Schedule(self.search, self.known, seed)

    def _go_on(self) -> None:
        """Cut for as long as it is allowed; what was judged before comes first and is not cut again."""
        course, allowance = self.course, self.allowance
        while self._takes_up() or allowance.goes_on(course.planned, self._covering):
            signals.check()
            plan = course.ask()
            judged = self._made(plan)
            course.tell(judged.row["outcome"], judged.note.get("hit_us"))
            if (case := self._care.case(plan, judged)) is not None:
                self._follow_up(plan, judged, case)
            self._before_this.append(plan)
            self.result.planned = allowance.estimate(course.planned, self._covering) + 1
            self._on_progress(course.planned, self.result.planned - 1)

    def _takes_up(self) -> bool:
        """What was judged under a budget in time is taken up whole, whatever time is left now."""
        return self.allowance.until_us is not None and bool(self._earlier)

    @property
    def planned(self) -> int:
        """So many cuts were planned so far."""
        return self.course.planned

    def _made(self, plan: Plan) -> Judged:
        """One cut, made now or before the campaign was taken up again; counted."""
        if self._earlier:
            judged = self._taken_up(plan, self._earlier.pop(0))
        else:
            judged = self._judge_uncut() if plan.marker == END else self._one(plan)
            self._hand_on([judged])
        self._count(plan, judged)
        return judged

    def _taken_up(self, plan: Plan, judged: Judged) -> Judged:
        """:raises CallerError: the journal does not hold this plan."""
        wanted = replay_id(self.rig.name, self.operation.name, self.rig.seed, plan.label, self._check)
        if judged.row["id"] != wanted:
            raise CallerError(
                f"the journal of {self.operation.name} on {self.rig.name}",
                found=judged.row["id"],
                expected=wanted,
                mend="take a run up again with the bench, the plugins and the version it was begun with",
            )
        return judged

    def _count(self, plan: Plan, judged: Judged) -> None:
        row, result = judged.row, self.result
        result.rows.append(row)
        self._covering += is_covering(row)
        found = breaches_of(judged)
        result.count(found, row, plan.where, covering=is_covering(row))
        section = result.missed.setdefault(plan.section, [0, 0])
        section[0] += row["outcome"] == Outcome.MISSED
        section[1] += 1
        if (hit_us := judged.note.get("hit_us")) is not None:
            self.places.add(hit_us, plan.stream, [(one.item, one.outcome) for one in found])

    def _follow_up(self, plan: Plan, judged: Judged, case: RecheckPlan[Plan]) -> None:
        """Make an abnormal cut again until it is known whether it comes back, and from how little."""
        while (action := case.action) is not None:
            signals.check()
            for earlier in action.history:
                self._made(earlier.again())
            case.tell(self._made(plan.again()).row["outcome"])
        for one in breaches_of(judged):
            if (finding := self.result.finding(one)) is not None:
                finding.again = recheck_row(case.findings)

    def _one(self, plan: Plan) -> Judged:
        """One cut: run, cut, boot, observe, judge; and look again at what is abnormal."""
        rig, known = self.rig, self.known
        began_us, boot_us, talk_us = rig.clock.now_us, rig.boot_us, rig.talk_us
        tried = self.stage.attempt(plan, known.lead_us)
        acknowledged = self._acknowledged(tried)
        landed = self._landed(plan, tried)
        again: Row | None = None
        if not landed and not tried.deaths:
            verdict, seen = Judgement(Outcome.MISSED, None), Seen()
        else:
            promise = tried.promise if acknowledged else self.promise
            since_us = tried.since_request_us(known.requests)

            def judge(seen: Seen, completed: Seen | None = None) -> Judgement:
                question = self._question(promise, seen)
                return question.verdict(seen, completed, acknowledged=acknowledged, since_request_us=since_us)

            seen, completed = self._look(promise, exact=acknowledged)
            verdict = judge(seen, completed)
            seen.boots += len(plan.boots)
            if completed is None and self._care.wants(plan, verdict):
                again = self._care.looks(
                    rig,
                    lambda: judge(self._seen(promise, exact=acknowledged)).outcome,
                    stuck=bool(seen.stuck),
                )
        rig.power.off()
        spent_us = rig.boot_us - boot_us + rig.talk_us - talk_us + tried.waited_us
        whole_us = rig.clock.now_us - began_us
        if again is None and not plan.off_us and not plan.boots:
            self._own_ms.append((whole_us - spent_us) / 1000)
            self._whole_ms.append(whole_us / 1000)
        judged = self._judged(plan, tried, verdict, seen, acknowledged=acknowledged, landed=landed)
        if again is not None:
            judged.row["again"] = again
        return judged

    def _conclude(self) -> None:
        """What the covering cuts prove, where what was found lies, and what it all took."""
        result = self.result
        result.distinct_states = len({str((row["world"], row["changed"])) for row in result.rows})
        result.goal = self.allowance.goal
        result.bound = bound(result.rows, self.allowance.aim.confidence)
        if not hasattr(self, "course"):
            return
        known = self.known
        result.marks = list(known.markers)
        result.window_ms = window_ms(self.places.covering, known.whole_us, self.search.sigma_at)
        for finding in result.findings:
            finding.narrowest = self.places.narrowest(finding.item, finding.outcome, known)
        result.timing = {
            "operation_ms": round(known.length_us / 1000, 3),
            "whole_ms": round(known.whole_us / 1000, 3),
            "jitter_ms": round(known.sigma_us / 1000, 3),
            "drift": known.drift,
            "boot_ms": round(known.boot_us / 1000, 3),
            "realtime": self.realtime,
            "late_us": _spread(self._late_us),
            "cut_ms": _spread(self._whole_ms),
            "own_ms": _spread(self._own_ms),
        }

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Do one cut again, up to five times until it violates something: no two runs take the same time.

        :raises CallerError: the label names no cut of this operation.
        """
        self.prepare()
        plan = planned(label, dict(self.known.markers), self.known.length_us)
        self._care = LiveRecheck(limit=0)
        tries = 0
        while True:
            tries += 1
            judged = self._judge_uncut() if plan.marker == END else self._one(plan)
            if breaches_of(judged) or plan.marker == END or tries == REPLAY_TRIES:
                break
        self.rig.power.off()
        self.replayed_at = plan.where + (f", cut {tries} times" if tries > 1 else "")
        return judged.row, breaches_of(judged)


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
    }
