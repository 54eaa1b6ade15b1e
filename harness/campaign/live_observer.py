"""Observe and judge a live key: before the first cut, and after each cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

from harness.base.errors import KeyFault, RigError
from harness.campaign.home import FORGETFUL, Home, require_expendable
from harness.campaign.judging import CutJudge, evidence, fingerprint, noted, with_deaths, within
from harness.campaign.observe import NO_ANSWER, Seen, complete, observe
from harness.campaign.operation_runner import Attempt, OperationRunner
from harness.campaign.switch_watch import SwitchWatch
from harness.campaign.unwritten import Unwritten
from harness.host.cutter import lateness_us
from harness.model.instant import CutInstant
from harness.model.judge import Judgement, find_world, matches
from harness.model.key import Item, Memory, Observation, Operation, Outcome
from harness.model.power_loss import PowerLoss
from harness.model.rig import LiveCutter, Rig
from harness.model.row import Judged
from harness.search.plan import END, Plan
from harness.search.timing_profile import TimingProfile, UncutRun, measured_profile

UNCUT_RUNS = 3
SLACK_US = 2_000
"""Tolerance when an instant of one run is compared with an instant of another run."""
SIGMAS = 3
"""Standard deviations on each side within which an instant is taken to lie."""


@dataclass(frozen=True)
class UncutLook:
    """An uncut run, and what was observed after it and a restart.

    :ivar completed: observed after the world's completing act, where it has one.
    :ivar memory: what the host knew before this run: on a key whose state nothing puts back each run begins anew.
    """

    run: UncutRun
    seen: Seen
    completed: Seen | None
    memory: Memory


@dataclass(frozen=True)
class LivePrepared:
    """What is known of a live key's operation before its first cut.

    :ivar items: what is observed after each cut. An item whose observation hangs or crashes the key before any
        cut is left out: there is nothing to compare it with. The crash is a finding of its own
        (`Rig.take_deaths`).
    :ivar before: these items, observed before the operation.
    :ivar promise: what the host knows after an uncut run.
    :ivar profile: how long the operation takes and what is seen on its transport.
    :ivar realtime: whether the cutter is scheduled so that no other process interrupts it.
    :ivar uncut: an uncut run and a clean restart; None in a resumed campaign, which has judged it before.
    :ivar at_once: an uncut run whose power went right after the answer; None as `uncut`.
    """

    items: tuple[Item, ...]
    before: Observation
    promise: Memory
    profile: TimingProfile
    realtime: bool
    uncut: UncutLook | None
    at_once: UncutLook | None = None


class LiveObserver:
    """Runs one operation on one rig, observes the key after it, and judges what it sees.

    :param home: the state to start from (see `go_home`).
    :raises CallerError: the key is not expendable.
    :raises RigError: the rig cannot cut, or its key does not keep its state.
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home):
        require_expendable(rig)
        if rig.cutter is None:
            raise RigError(f'rig "{rig.name}" cannot cut while an operation runs')
        if not home.lasting:
            raise RigError(
                f'rig "{rig.name}": {FORGETFUL}',
                found="a blank key after a clean restart",
                expected="a key that keeps what it acknowledged: otherwise no cut says anything",
                mend="start the emulator so that it keeps its state",
            )
        self.rig, self.operation = rig, operation
        self.cutter: LiveCutter = rig.cutter
        self.runner = OperationRunner(rig, self.cutter, operation, home)
        self.switch = SwitchWatch(rig)
        self._watched = home.watched(rig.key, operation)
        self._check = fingerprint(rig)
        self._late_us: list[int] = []
        self._prepared: LivePrepared | None = None

    @property
    def prepared(self) -> LivePrepared:
        """What `prepare` found; it must have been called."""
        assert self._prepared is not None, "the campaign has not been prepared"
        return self._prepared

    def prepare(self, profile: TimingProfile | None = None) -> LivePrepared:
        """Arrange, run the operation uncut, and observe the key before and after it.

        :param profile: what was measured before, of a resumed campaign.
        :raises KeyFault: the key is not as it must be before anything was cut.
        """
        rig, runner = self.rig, self.runner
        realtime = self.cutter.realtime
        runner.arrange()
        rig.take_deaths()
        runs = [runner.run_uncut(self.operation)]
        promise = runs[0].memory
        # Before the uncut run that is observed: where no state is put back, counters go on from run to run.
        runner.begin()
        before = observe(rig, self._watched, runner.memory, promise, exact=False)
        rig.power.off()
        uncut: UncutLook | None = None
        at_once: UncutLook | None = None
        if profile is None:
            at_once, uncut = self._uncut(settled=False), self._uncut(settled=True)
            runs += [at_once.run, uncut.run]
            profile = self._measured(runs)
        answered = tuple(item for item in self._watched if before.values.get(item.name) != NO_ANSWER)
        values = {name: value for name, value in before.values.items() if value != NO_ANSWER}
        self._check_before(before, answered, promise)
        self._prepared = LivePrepared(answered, values, promise, profile, realtime, uncut, at_once)
        return self._prepared

    def _uncut(self, *, settled: bool) -> UncutLook:
        run = self.runner.run_uncut(self.operation, settled=settled)
        seen, completed = self._observe(self._watched, run.memory, exact=True)
        return UncutLook(run, seen, completed, self.runner.memory)

    def _measured(self, runs: list[UncutRun]) -> TimingProfile:
        delay = self.switch.delay
        return measured_profile(
            runs,
            boot_us=self.runner.boot_us,
            reference_us=self._reference_us(),
            late_us=lateness_us(),
            release_us=(delay.least_us, delay.least_us if delay.most_us is None else delay.most_us),
            lead_us=delay.lead_us,
            powered=self.operation.powered,
        )

    def _reference_us(self) -> int | None:
        """How long after its request the reference operation is acknowledged, at the latest (invariant P1)."""
        if self.operation.reference_operation is None:
            return None
        reference = self.rig.key.operations[self.operation.reference_operation]
        spans = []
        for _ in range(UNCUT_RUNS):
            run = self.runner.run_uncut(reference)
            if run.last is None:
                return None
            request = [name for name in run.marks if name.startswith("request-sent")][-1]
            spans.append(run.marks[run.last] - run.marks[request])
        spread = max(spans) - min(spans)
        return round(max(spans) + spread) + SLACK_US

    def _check_before(self, before: Seen, items: tuple[Item, ...], promise: Memory) -> None:
        """:raises KeyFault: the key is not in the operation's own old world, so that no cut can be judged."""
        if before.stuck:
            raise KeyFault(f"{self.operation.name}: {before.stuck}, before anything was cut")
        for world in within(self.operation.worlds(self.runner.memory, promise), items):
            if world.outcome is Outcome.OLD and (wrong := matches(world, before.values)):
                raise KeyFault(
                    f"{self.operation.name}: the key is not as it must be before anything was cut",
                    found={name: before.values.get(name) for name in wrong},
                    expected={name: world.values[name] for name in wrong},
                    mend="an acknowledged write did not outlive a clean power-off; or the plugin is wrong",
                )

    def _observe_once(self, items: tuple[Item, ...], promise: Memory, *, exact: bool) -> Seen:
        return observe(self.rig, items, self.runner.memory, promise, exact=exact)

    def _observe(self, items: tuple[Item, ...], promise: Memory, *, exact: bool) -> tuple[Seen, Seen | None]:
        """Observe the key, and again after the world's completing act if it has one."""
        rig, memory = self.rig, self.runner.memory
        seen = self._observe_once(items, promise, exact=exact)
        worlds = self.operation.worlds(memory, promise)
        world = None if seen.stuck else find_world(worlds, seen.values, False)
        if world is None or world.complete is None:
            return seen, None
        completed = memory.copy()
        if (why := complete(rig, world, completed)) is not None:
            return seen, Seen(stuck=why)
        return seen, observe(rig, items, memory, completed)

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

    def _judge_look(self, uncut: UncutLook) -> Judgement:
        """Judge an uncut run: everything that was acknowledged must be there after the restart."""
        judge = replace(self._judge_of(uncut.run.memory, uncut.seen), memory=uncut.memory)
        return judge.verdict(
            uncut.seen, uncut.completed, acknowledged=uncut.run.last is not None, since_request_us=None
        )

    def _judge_uncut(self) -> Judged:
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
        self.switch.note(judged, loss)
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
        )
        row["death"] = "; ".join(deaths) or None
        row["acted_us"] = instant.acted_us if instant else None
        row["lost"] = [loss.earliest_us, loss.latest_us] if loss else None
        if verdict.outcome is Outcome.MISSED:
            row["blame"] = "rig"
        return Judged(row, noted(verdict.breaches))
