"""A key whose inside nobody sees, looked at: what it is before the first cut, and what one cut made of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from harness.base.errors import KeyFault, RigError
from harness.bench.calibration import calibration_of
from harness.campaign.home import FORGETFUL, Home, require_expendable
from harness.campaign.observe import NO_ANSWER, Seen, observe
from harness.campaign.operation_runner import Attempt, OperationRunner
from harness.campaign.result import CutJudge, evidence, fingerprint, noted, with_deaths, within
from harness.host.cutter import lateness_us
from harness.model.judge import Judgement, find_world, matches
from harness.model.key import Item, Memory, Operation, Outcome
from harness.model.rig import LiveCutter, Rig
from harness.model.row import Judged
from harness.search.plan import END, Plan
from harness.search.timing_profile import TimingProfile, measured_profile

UNCUT_RUNS = 3
SLACK_US = 2_000
"""An instant that was measured in one run and is compared with another may be off by so much."""
STRAYS = 3
"""An instant lies within so many times what it strays."""


class LiveObserver:
    """Runs one operation of the key on one rig, looks at what came of it, and judges that.

    :param home: the state to start from (see `go_home`).
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
        self.stage = OperationRunner(rig, self.cutter, operation, home)
        self.items: tuple[Item, ...] = home.watched(rig.key, operation)
        self._check = fingerprint(rig)
        self._late_us: list[float] = []

    def prepare(self, known: TimingProfile | None = None) -> None:
        """Arrange, run the operation uncut, and look at the key before and after it.

        :param known: what had been measured, of a campaign that is taken up again.
        :raises KeyFault: the key is not as it must be before anything was cut.
        """
        rig, stage = self.rig, self.stage
        self.realtime = self.cutter.realtime
        stage.arrange()
        rig.take_deaths()
        runs = [stage.whole(self.operation)]
        self.promise = runs[0].memory
        # Before the run that is looked at: where no state is put back, counters go on from run to run.
        stage.begin()
        before = observe(rig, self.items, stage.memory, self.promise, exact=False)
        self.before = before.values
        rig.power.off()
        if known is None:
            runs += [stage.whole(self.operation) for _ in range(UNCUT_RUNS - 1)]
            self._last_run = runs[-1], *self._look(runs[-1].memory, exact=True)
            measured = calibration_of(rig)
            known = measured_profile(
                runs,
                boot_us=stage.boot_us,
                reference_us=self._reference_us(),
                late_us=lateness_us(),
                switch_jitter_us=1000 * (measured.cut_jitter_ms or 0) if measured else 0.0,
                lead_us=round(1000 * (measured.cut_ms or 0)) if measured else 0,
            )
        self.known = known
        self._leave_out([name for name, value in before.values.items() if value == NO_ANSWER])
        self._check_before(before)

    def _reference_us(self) -> int | None:
        """How long after its request the reference operation is acknowledged, at the latest (invariant P1)."""
        if self.operation.reference_operation is None:
            return None
        reference = self.rig.key.operations[self.operation.reference_operation]
        spans = []
        for _ in range(UNCUT_RUNS):
            run = self.stage.whole(reference)
            if run.last is None:
                return None
            request = [name for name in run.marks if name.startswith("request-sent")][-1]
            spans.append(run.marks[run.last] - run.marks[request])
        stray = max(spans) - min(spans)
        return round(max(spans) + stray) + SLACK_US

    def _leave_out(self, dying: Sequence[str]) -> None:
        """What the key dies of when it is asked for it, before anything was cut, can be compared with nothing.

        That it dies is a finding of its own: see `Rig.take_deaths`.
        """
        self.items = tuple(item for item in self.items if item.name not in dying)
        self.before = {name: value for name, value in self.before.items() if name not in dying}

    def _check_before(self, before: Seen) -> None:
        """Before the first cut the key must be in the operation's own old world, or nothing can be judged."""
        if before.stuck:
            raise KeyFault(f"{self.operation.name}: {before.stuck}, before anything was cut")
        for world in within(self.operation.worlds(self.stage.memory, self.promise), self.items):
            if world.outcome is Outcome.OLD and (wrong := matches(world, before.values)):
                raise KeyFault(
                    f"{self.operation.name}: the key is not as it must be before anything was cut",
                    found={name: before.values.get(name) for name in wrong},
                    expected={name: world.values[name] for name in wrong},
                    mend="an acknowledged write did not outlive a clean power-off; or the plugin is wrong",
                )

    def _seen(self, promise: Memory, *, exact: bool) -> Seen:
        return observe(self.rig, self.items, self.stage.memory, promise, exact=exact)

    def _look(self, promise: Memory, *, exact: bool) -> tuple[Seen, Seen | None]:
        """Observe the key, and again after the world's completing act if it has one."""
        rig, before = self.rig, self.stage.memory
        seen = self._seen(promise, exact=exact)
        worlds = self.operation.worlds(before, promise)
        world = None if seen.stuck else find_world(worlds, seen.values, False)
        if world is None or world.complete is None:
            return seen, None
        rig.power.cycle()
        memory = before.copy()
        world.complete(rig, memory)
        rig.power.off()
        return seen, observe(rig, self.items, before, memory)

    def _question(self, promise: Memory, seen: Seen) -> CutJudge:
        # What it gave no answer to is not wrong for that: see with_deaths.
        items = tuple(item for item in self.items if seen.values.get(item.name) != NO_ANSWER)
        before = self.stage.memory
        return CutJudge(self.operation, items, self.before, before, promise, self.known.reference_us)

    def _acknowledged(self, tried: Attempt) -> bool:
        """Was the last response delivered whole, as the tap saw it?"""
        last = self.known.last
        if last is None:
            return False
        if not self.known.steady:
            # How often the client asks differs from run to run: only its return tells the last answer.
            return tried.returned
        mark = next((mark for mark in tried.marks if mark.name == last), None)
        return mark is not None and mark.status == self.known.status

    def _landed(self, plan: Plan, tried: Attempt) -> bool:
        """Did the power go while the operation ran, or in the declared time after it?

        The next run may be over sooner than those that were measured, by as much as they differ.
        """
        cut, known = tried.cut, self.known
        if cut is None or cut.landed_us is None:
            return False
        slack_us = SLACK_US + STRAYS * hypot(known.sigma_us, known.drift * plan.offset_us)
        return cut.landed_us <= tried.ended_us + known.tail_us + slack_us

    def _judge_uncut(self) -> Judged:
        """The run that nobody cut, and a clean restart: everything acknowledged must be there."""
        run, seen, completed = self._last_run
        verdict = self._question(run.memory, seen).verdict(
            seen, completed, acknowledged=run.last is not None, since_request_us=None
        )
        length_us = self.known.length_us
        tried = Attempt(run.memory, 0, (), length_us, True, None, self.rig.take_deaths())
        plan = Plan(END, 0, length_us)
        judged = self._judged(plan, tried, verdict, seen, acknowledged=True, landed=True)
        judged.row["fired_us"] = length_us
        judged.note["known"] = self.known.row()
        return judged

    def _judged(
        self, plan: Plan, tried: Attempt, verdict: Judgement, seen: Seen, *, acknowledged: bool, landed: bool
    ) -> Judged:
        deaths = list(dict.fromkeys([*tried.deaths, *self.rig.take_deaths()]))
        unanswered = [name for name, value in seen.values.items() if value == NO_ANSWER]
        verdict = with_deaths(verdict, deaths, unanswered)
        cut = tried.cut
        instant = cut.since(tried.start_us) if cut else None
        row = evidence(
            self.rig,
            self.operation,
            plan.label,
            self._check,
            verdict,
            stream=plan.stream,
            planned=plan.row,
            fired_us=instant.fired_us if instant else None,
            lost_us=instant.lost_us if instant else None,
            acknowledged=acknowledged,
            landed=landed,
            boots=seen.boots,
            death="; ".join(deaths) or None,
        )
        if verdict.outcome is Outcome.MISSED:
            row["blame"] = "rig"
        note = noted(verdict.breaches)
        if cut is not None:
            self._late_us.append(cut.late_us)
            anchor_us = tried.at_us(plan.marker)
            if landed and cut.landed_us is not None and anchor_us is not None:
                note["hit_us"] = plan.time_us - plan.offset_us + cut.landed_us - anchor_us
        return Judged(row, note)
