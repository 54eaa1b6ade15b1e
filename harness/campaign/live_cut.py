"""Make one cut into an operation of a live key, and judge it: one line of evidence."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from math import hypot

from harness.campaign.home import Home
from harness.campaign.judging import CutJudge, breaches_of, evidence, fingerprint, noted, with_deaths
from harness.campaign.kept_state import Remains
from harness.campaign.live_observer import SLACK_US, LiveObserver, UncutLook
from harness.campaign.observe import NO_ANSWER, Seen
from harness.campaign.operation_runner import Attempt
from harness.campaign.recheck import KINDS, LiveRecheck
from harness.campaign.unwritten import Unwritten
from harness.model.instant import CutInstant
from harness.model.judge import Judgement
from harness.model.memory import Memory
from harness.model.operation import Operation
from harness.model.outcome import Outcome
from harness.model.power_loss import PowerLoss
from harness.model.rig import Rig
from harness.model.row import Judged, Row
from harness.search.plan import END, Plan

SIGMAS = 3
"""Standard deviations on each side within which an instant is taken to lie."""
HISTORY = 8
"""On a key whose state cannot be put back, number of earlier cuts that may be a cause of an outcome."""


class LiveCuts(LiveObserver):
    """Makes and judges single cuts of one operation on one rig.

    :param rechecks: number of kinds of abnormal outcomes that are checked again (`harness.campaign.recheck`).
    :ivar previous: the last cuts that were made on this key, in order; who makes cuts adds them.
    :raises CallerError, RigError: as `LiveObserver`.
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home, rechecks: int = KINDS):
        super().__init__(rig, operation, home)
        self._check = fingerprint(rig, home.name)
        self._late_us: list[int] = []
        self._own_ms: list[float] = []
        self._whole_ms: list[float] = []
        self.previous: deque[Plan] = deque(maxlen=HISTORY)
        # Where the state is put back before each cut, earlier cuts are no cause of an outcome.
        self._recheck = LiveRecheck(self.previous if rig.vault is None else (), rechecks)

    def make(self, plan: Plan) -> Judged:
        """Make one cut: run, cut, boot, observe, judge. Observe the key again if the outcome is abnormal.

        A busy host holds a firmware up that runs as a process, and then a right PIN would take as long, too. So a guess
        that is found uncounted (invariant P1) is only believed if the same cut shows it three times, after the time
        of a right PIN has been measured anew.
        """
        judged = self._make(plan)
        for _ in range(2):
            if not self._rests_on_the_hosts_time(judged):
                break
            self._measure_reference_again()
            judged = self._make(plan)
        return judged

    def _rests_on_the_hosts_time(self, judged: Judged) -> bool:
        return (
            self.rig.evidence_kind == "emulator"
            and not judged.row["acknowledged"]
            and any(
                breach.item == self.operation.must_be_lowered and breach.outcome is Outcome.LOOSENED
                for breach in breaches_of(judged)
            )
        )

    def _make(self, plan: Plan) -> Judged:
        rig, prepared = self.rig, self.prepared
        if rig.losses is not None:
            rig.losses.begin()
        began_us, boot_us, talk_us = rig.clock.now_us, rig.boot_us, rig.talk_us
        attempt = self.runner.attempt(plan, prepared.profile.lead_us)
        remains = Remains.of(rig)
        acknowledged = self._acknowledged(attempt)
        loss = self.switch.loss(attempt)
        landed = self._landed(plan, attempt, loss)
        if landed and any(
            boot is None or boot.latest_us is None for boot in self.switch.boot_losses(attempt)
        ):
            # Whether the boots that followed were cut, and where, is not known.
            landed = None
        again: Row | None = None
        void: str | None = None
        if landed is False and not attempt.deaths:
            verdict, seen = Judgement(Outcome.MISSED, None), Seen()
        else:
            promise = attempt.promise if acknowledged else prepared.promise
            since_us = attempt.since_request_us(prepared.profile.requests, loss)

            def judge(seen: Seen, completed: Seen | None = None) -> Judgement:
                return self._judge_of(promise, seen).verdict(
                    seen, completed, acknowledged=acknowledged, since_request_us=since_us
                )

            def judge_again() -> str:
                return judge(self._observe_once(prepared.items, promise, exact=acknowledged)).outcome

            seen, completed = self._observe(prepared.items, promise, exact=acknowledged)
            verdict = judge(seen, completed)
            seen.boots += len(plan.boots)
            if void := self._void(began_us, attempt, seen):
                landed, verdict, seen = False, Judgement(Outcome.MISSED, None), Seen()
            elif completed is None and self._recheck.wants(plan, verdict):
                again = self._recheck.observe_again(rig, judge_again, stuck=bool(seen.stuck))
        if rig.transports.guard is not None:
            rig.transports.guard.looked_at()
        rig.power.off()
        if again is None and not plan.off_us and not plan.boots:
            spent_us = rig.boot_us - boot_us + rig.talk_us - talk_us + attempt.waited_us
            whole_us = rig.clock.now_us - began_us
            self._own_ms.append((whole_us - spent_us) / 1000)
            self._whole_ms.append(whole_us / 1000)
        judged = self._judge_attempt(
            plan, attempt, verdict, seen, loss, acknowledged=acknowledged, landed=landed
        )
        if again is not None:
            judged.row["again"] = again
        if void is not None:
            judged.row["death"] = void
        if not breaches_of(judged):
            return judged
        known = attempt.promise if acknowledged else prepared.promise
        return replace(judged, files=lambda: remains.files(self, known, seen, exact=acknowledged))

    def _void(self, began_us: int, attempt: Attempt, seen: Seen) -> str | None:
        """Describe the fault of a hub or a supply that makes this cut say nothing of the key; None if there is none."""
        losses = self.rig.losses
        if losses is None or not (attempt.deaths or seen.stuck):
            return None
        if (why := losses.explained(began_us, stuck=bool(seen.stuck))) is not None:
            # The key was observed before anything else was written to it.
            losses.uncontrolled(why, seen.values)
            attempt.deaths.clear()
            self.rig.take_deaths()
        return why

    def _judge_of(self, promise: Memory, seen: Seen) -> CutJudge:
        """What judges an observation; items that gave no answer are judged by `with_deaths` instead."""
        prepared = self.prepared
        items = tuple(item for item in prepared.items if seen.values.get(item.name) != NO_ANSWER)
        reference_us = prepared.profile.reference_us
        return CutJudge(self.operation, items, prepared.before, self.runner.memory, promise, reference_us)

    def _acknowledged(self, attempt: Attempt) -> bool:
        """Was the last response delivered whole, as the tap saw it?"""
        profile = self.prepared.profile
        if profile.last is None:
            return False
        if not profile.steady:
            # How often the client asks differs from run to run: only its return tells the last answer.
            return attempt.returned
        mark = next((mark for mark in attempt.marks if mark.name == profile.last), None)
        return mark is not None and mark.status == profile.status

    def _landed(self, plan: Plan, attempt: Attempt, loss: PowerLoss | None) -> bool | None:
        """Did the power go while the operation ran, or in the declared time after it? None: astride one of its ends.

        An operation begins with its first byte. A run may begin later and end earlier than the uncut runs did, by as
        much as these differ.
        """
        began_us = attempt.first_byte_us if self.operation.powered else attempt.start_us
        if loss is None or began_us is None:
            return False
        profile = self.prepared.profile
        slack_us = SLACK_US + SIGMAS * hypot(profile.sigma_us, profile.drift * plan.offset_us)
        # Instants after the answer are cut on purpose when the window of an unwritten answer is measured.
        tail_us = max(profile.tail_us, plan.offset_us if plan.marker == profile.last else 0)
        return loss.lies_within(round(began_us - slack_us), round(attempt.ended_us + tail_us + slack_us))

    def judge_uncut(self) -> Judged:
        """Judge the uncut run after a clean restart.

        If that lost nothing, and a loss of power right after the answer did, the note says so (`Unwritten`).
        """
        profile, prepared = self.prepared.profile, self.prepared
        assert prepared.uncut is not None, "a resumed campaign has judged its uncut run before"
        verdict = self._judge_look(prepared.uncut)
        plan = Plan(END, 0, profile.length_us)
        ended = CutInstant.planned(profile.length_us).fired(profile.length_us)
        judged = self._judged(
            plan,
            verdict,
            prepared.uncut.seen,
            ended,
            None,
            self.rig.take_deaths(),
            acknowledged=True,
            landed=True,
        )
        judged.note["known"] = profile.row()
        if prepared.at_once is not None and prepared.at_once.run.last and not verdict.breaches:
            lost = self._judge_look(prepared.at_once).breaches
            spans_us = prepared.at_once.run.lived_on_us, prepared.uncut.run.lived_on_us
            if lost:
                judged.note["unwritten"] = Unwritten(*spans_us, lost).row()
        return judged

    def _judge_look(self, uncut: UncutLook) -> Judgement:
        """Judge an uncut run: everything that was acknowledged must be there after the restart."""
        judge = replace(self._judge_of(uncut.run.memory, uncut.seen), memory=uncut.memory)
        return judge.verdict(
            uncut.seen, uncut.completed, acknowledged=uncut.run.last is not None, since_request_us=None
        )

    def _judge_attempt(
        self,
        plan: Plan,
        attempt: Attempt,
        verdict: Judgement,
        seen: Seen,
        loss: PowerLoss | None,
        *,
        acknowledged: bool,
        landed: bool | None,
    ) -> Judged:
        """The line of evidence of one cut, with where it landed in the operation's own time."""
        cut = attempt.cut
        judged = self._judged(
            plan,
            verdict,
            seen,
            cut.since(attempt.start_us) if cut else None,
            loss.since(attempt.start_us) if loss else None,
            [*attempt.deaths, *self.rig.take_deaths()],
            acknowledged=acknowledged,
            landed=landed,
        )
        if cut is not None:
            self._late_us.append(cut.late_us)
            anchor_us = attempt.at_us(plan.marker)
            if landed and loss is not None and loss.latest_us is not None and anchor_us is not None:
                start_us = anchor_us - (plan.time_us - plan.offset_us)
                judged.note["hit_us"] = [loss.earliest_us - start_us, loss.latest_us - start_us]
        self.switch.note(judged, [loss, *self.switch.boot_losses(attempt)])
        return judged

    def _judged(
        self,
        plan: Plan,
        verdict: Judgement,
        seen: Seen,
        instant: CutInstant | None,
        loss: PowerLoss | None,
        deaths: list[str],
        *,
        acknowledged: bool,
        landed: bool | None,
    ) -> Judged:
        deaths = list(dict.fromkeys(deaths))
        unanswered = [name for name, value in seen.values.items() if value == NO_ANSWER]
        verdict = with_deaths(verdict, deaths, unanswered)
        row = evidence(
            self.rig,
            self.operation,
            plan.label,
            self._check,
            verdict,
            stream=plan.stream,
            planned=plan.row,
            instant=instant,
            acknowledged=acknowledged,
            landed=landed,
            boots=seen.boots,
            home=self.home.name,
        )
        row["death"] = "; ".join(deaths) or None
        row["acted_us"] = instant.acted_us if instant else None
        row["lost"] = [loss.earliest_us, loss.latest_us] if loss else None
        if verdict.outcome is Outcome.MISSED:
            row["blame"] = "rig"
        return Judged(row, noted(verdict.breaches))
