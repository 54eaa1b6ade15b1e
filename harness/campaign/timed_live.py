"""Cut a key by time while its operation really runs: emulators and hardware.

First the operation runs uncut a few times; that shows how long it takes and what is seen on its transport. Then the
search chooses where to cut. Each cut is anchored to the last marker before it, because the time since a marker varies
less than the time since the start. The cutter's process makes the cut while the operation runs. When it acted and
when the key was lost is always recorded. A cut outside the operation is missed, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

from harness.base import signals
from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.campaign.common import CampaignBase, CampaignTerms
from harness.campaign.home import Home
from harness.campaign.judging import breaches_of
from harness.campaign.kept_state import look_again
from harness.campaign.live_cut import LiveCuts
from harness.campaign.recheck import KINDS, LiveRecheck, recheck_row
from harness.campaign.result import Result, bound, window_ms
from harness.campaign.unwritten import RIGHT_AFTER, Unwritten
from harness.model.judge import Breach
from harness.model.operation import Operation
from harness.model.outcome import Outcome
from harness.model.power_loss import can_prove
from harness.model.rig import Rig
from harness.model.row import Judged, Row, is_covering, is_judged, replay_id
from harness.safety.pins import handed_out
from harness.search.localization import Localizer, hit_of
from harness.search.plan import END, Plan, Unmade, planned
from harness.search.recheck_plan import RecheckPlan
from harness.search.schedule import Schedule, search_for
from harness.search.search import Strategy
from harness.search.stopping import Allowance
from harness.search.timing_profile import TimingProfile

REPLAY_TRIES = 5


class LiveCampaign(LiveCuts, CampaignBase):
    """Cuts one operation of a real key, or of an emulator, while it runs.

    :param home: the state to start from (see `go_home`).
    :param terms: one key does one thing at a time, whatever `processes` says.
    :param strategy: of the search.
    :param rechecks: number of kinds of abnormal outcomes that are checked again (`harness.campaign.recheck`).
    :ivar replayed_at: the place of the cut that `replay` made, in words.
    """

    def __init__(
        self,
        rig: Rig,
        operation: Operation,
        home: Home,
        terms: CampaignTerms | None = None,
        *,
        strategy: Strategy = "hybrid",
        rechecks: int = KINDS,
    ):
        LiveCuts.__init__(self, rig, operation, home, rechecks)
        CampaignBase.__init__(self, rig, operation, terms or CampaignTerms())
        self._strategy = strategy
        self._schedule: Schedule | None = None
        self.localizer = Localizer()
        self._covering = 0
        self._unmade = Unmade()
        self.replayed_at = ""

    def run(self) -> Result:
        """Cut and judge until the allowance is spent.

        On KeyboardInterrupt `self.result` holds what was done, and its evidence has been handed on.
        """
        with self._working():
            known = TimingProfile.from_row(self._earlier[0].note["known"]) if self._earlier else None
            profile = self.prepare(known).profile
            self.result.count(self.prepared.breaches, {"id": self.uncut_id}, "uncut", covering=False)
            first = self._made(Plan(END, 0, profile.length_us))
            if (row := first.note.get("unwritten")) is not None:
                self._measure_unwritten(Unwritten.from_row(row), first, profile)
            seed = child(self.rig.seed, "live", self.rig.name, self.operation.name)
            search = search_for(self._strategy, seed, profile, first.row["outcome"])
            self._schedule = Schedule(search, profile, seed)
            self._go_on()
        return self.result

    def _measure_unwritten(self, unwritten: Unwritten, end: Judged, profile: TimingProfile) -> None:
        """Measure how long after its answer the key still loses what it has acknowledged, and say it as a finding."""

        def loses(offset_us: int) -> bool | None:
            signals.check()
            judged = self._made(self._unmade.instead_of(Plan(marker, offset_us, at_us + offset_us, "refine")))
            if not is_judged(judged.row):
                return None
            return unwritten.is_shown_by(breaches_of(judged))

        window: tuple[int, int] | None = None
        if (marker := profile.last or "") and profile.steady:
            at_us = dict(profile.markers).get(marker, profile.length_us)
            window = unwritten.measure(loses)
        for breach in unwritten.breaches:
            if self.result.finding(breach) is None:
                self.result.count([breach], end.row, RIGHT_AFTER, covering=False)
            if (finding := self.result.finding(breach)) is not None:
                finding.text = unwritten.text(finding.text, window)

    def more(self, allowance: Allowance) -> Result:
        """Go on after `run` until the whole allowance is spent."""
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

    @property
    def schedule(self) -> Schedule:
        """The order of the cuts; `run` must have made the first one."""
        assert self._schedule is not None, "the campaign has not begun"
        return self._schedule

    def _go_on(self) -> None:
        """Cut until the allowance ends it. Cuts that were judged before the run was interrupted are counted first."""
        schedule, allowance = self.schedule, self.allowance
        while self._must_resume() or allowance.goes_on(schedule.planned, self._covering):
            signals.check()
            plan = self._unmade.instead_of(schedule.ask())
            judged = self._made(plan)
            hit = hit_of(judged.note)
            outcome = judged.row["outcome"] if is_judged(judged.row) else Outcome.MISSED
            schedule.tell(outcome, None if hit is None else sum(hit) / 2)
            if (recheck := self._recheck.plan(plan, judged)) is not None:
                self._follow_up(plan, judged, recheck)
            self.previous.append(plan)
            self.result.planned = allowance.estimate(schedule.planned, self._covering) + 1
            self._on_progress(schedule.planned, self.result.planned - 1)

    def _must_resume(self) -> bool:
        """Are there earlier cuts of a budget in time? They are all counted, whatever time is left."""
        return self.allowance.until_us is not None and bool(self._earlier)

    @property
    def planned(self) -> int:
        """Number of cuts that were planned so far."""
        return self.schedule.planned

    def _made(self, plan: Plan) -> Judged:
        """Make one cut, or take it from the journal of an interrupted run; count it."""
        if self._earlier:
            judged = self._resumed(plan, self._earlier.pop(0))
        else:
            judged = self.judge_uncut() if plan.marker == END else self.make(plan)
            self._hand_on([judged])
        self._count(plan, judged)
        return judged

    def _resumed(self, plan: Plan, judged: Judged) -> Judged:
        """:raises CallerError: the journal does not hold this plan."""
        wanted = replay_id(
            self.rig.name, self.operation.name, self.rig.seed, plan.label, self._check, self.home.name
        )
        if judged.row["id"] != wanted:
            raise CallerError(
                f"the journal of {self.operation.name} on {self.rig.name} is of another plan of cuts",
                found=judged.row["id"],
                expected=wanted,
                mend="resume a run with the bench, the plugins and the version that began it",
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
        self.switch.count(judged)
        if (hit := hit_of(judged.note)) is not None:
            self.localizer.add(hit, plan.stream, [(one.item, one.outcome) for one in found])

    def _follow_up(self, plan: Plan, judged: Judged, recheck: RecheckPlan[Plan]) -> None:
        """Repeat an abnormal cut until it is known whether the finding is reproduced, and from which history."""
        while (action := recheck.action) is not None:
            signals.check()
            for earlier in action.history:
                self._made(earlier.again())
            recheck.tell(self._made(plan.again()).row["outcome"])
        for one in breaches_of(judged):
            if (finding := self.result.finding(one)) is not None:
                finding.again = recheck_row(recheck.findings)

    def look_again(self, row: Row, files: Mapping[str, bytes]) -> tuple[Row, list[Breach]]:
        """See `harness.campaign.kept_state.look_again`."""
        self.prepare()
        return look_again(self, row, files, handed_out())

    def _conclude(self) -> None:
        """Add what the covering cuts prove, where findings lie in time, and how long things took."""
        result = self.result
        result.distinct_states = len({str((row["world"], row["changed"])) for row in result.rows})
        result.goal = self.allowance.goal
        result.switch = self.switch.row()
        proves = can_prove(result.switch)
        result.bound = bound(result.rows, self.allowance.aim.confidence) if proves else None
        if self._schedule is None:
            return
        known, search = self.prepared.profile, self._schedule.search
        result.marks = list(known.markers)
        if proves:
            begin_us = known.begin_us
            hits = [(earliest - begin_us, latest - begin_us) for earliest, latest in self.localizer.covering]
            result.window_ms = window_ms(hits, search.length, search.sigma_at)
        for finding in result.findings:
            finding.narrowest = self.localizer.narrowest(finding.item, finding.outcome, known)
        result.timing = {
            "operation_ms": round(known.length_us / 1000, 3),
            "whole_ms": round(known.whole_us / 1000, 3),
            "jitter_ms": round(known.sigma_us / 1000, 3),
            "drift": known.drift,
            "boot_ms": round(known.boot_us / 1000, 3),
            "realtime": self.prepared.realtime,
            "late_us": _spread(self._late_us),
            "cut_ms": _spread(self._whole_ms),
            "own_ms": _spread(self._own_ms),
        }

    def replay(self, label: str) -> tuple[Row, list[Breach]]:
        """Make one cut again, up to five times until it shows a violation: no two runs take exactly the same time.

        A try counts if the power is known to have gone inside the operation; up to five others are left out.

        :raises CallerError: the label names no cut of this operation.
        """
        profile = self.prepare().profile
        plan = planned(label, dict(profile.markers), profile.length_us)
        self._recheck = LiveRecheck(limit=0)
        landed = others = 0
        while True:
            judged = self.judge_uncut() if plan.marker == END else self.make(plan)
            landed += judged.row["landed"] is True
            others += judged.row["landed"] is not True
            if breaches_of(judged) or plan.marker == END or REPLAY_TRIES in (landed, others):
                break
        self.rig.power.off()
        self.replayed_at = plan.where + (f", cut {landed} times" if landed > 1 else "")
        if others:
            self.replayed_at += f"; {others} more did not surely go inside the operation"
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
