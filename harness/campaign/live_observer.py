"""Run an operation of a live key uncut, and observe the key: before the first cut, and after each cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.base.errors import CallerError, KeyFault, RigError
from harness.campaign.home import Home, require_expendable
from harness.campaign.judging import UNCUT, fingerprint, within
from harness.campaign.observe import NO_ANSWER, Seen, complete, observe
from harness.campaign.operation_runner import OperationRunner
from harness.campaign.restart import FORGETFUL
from harness.campaign.switch_watch import SwitchWatch
from harness.campaign.uncut_laws import silence_breach
from harness.host.cutter import lateness_us
from harness.model.judge import Breach, find_world, matches
from harness.model.memory import Memory
from harness.model.operation import Item, Operation
from harness.model.outcome import Observation, Outcome, Severity
from harness.model.rig import Rig
from harness.model.rig_parts import LiveCutter
from harness.model.row import replay_id
from harness.model.tap import Mark
from harness.search.timing_profile import TimingProfile, UncutRun, measured_profile

UNCUT_RUNS = 3
LONGEST_ERASE_US = 100_000
"""No page of the parts that keys have takes longer to erase (`harness.twin.parts`)."""
SLACK_US = 2_000
"""Tolerance when an instant of one run is compared with an instant of another run."""


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
    :ivar breaches: how long the key was silent while a request was pending, if that was too long.
    """

    items: tuple[Item, ...]
    before: Observation
    promise: Memory
    profile: TimingProfile
    realtime: bool
    uncut: UncutLook | None
    at_once: UncutLook | None = None
    breaches: tuple[Breach, ...] = ()


class LiveObserver:
    """Runs one operation on one rig, and observes the key after it.

    :param home: the state to start from (see `go_home`).
    :raises CallerError: the key is not expendable, or the operation is not asked in this home.
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
        if any(part.in_boot is not None for part in home.parts):
            raise CallerError(
                f'rig "{rig.name}" · home "{home.name}"',
                found="a home that is made in the boot of the operation",
                expected="a simulated key, whose operation is recorded once",
                mend="name another home",
            )
        adapted = home.adapted(operation)
        if adapted is None:
            raise CallerError(
                f"{operation.name} from the home {home.name}",
                found="an operation that is not asked there",
                expected="another operation, or another home",
            )
        self.rig, self.operation, self.home = rig, adapted, home
        self.cutter: LiveCutter = rig.cutter
        self.runner = OperationRunner(rig, self.cutter, adapted, home)
        self.switch = SwitchWatch(rig)
        self._watched = home.watched(rig.key, adapted)
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
        answered = tuple(item for item in self._watched if before.values.get(item.name) != NO_ANSWER)
        # Now: where no state is put back, the runs that follow begin with keys and files of their own.
        self._check_before(before, answered, promise)
        uncut: UncutLook | None = None
        at_once: UncutLook | None = None
        if profile is None:
            at_once, uncut = self._uncut(settled=False), self._uncut(settled=True)
            runs += [at_once.run, uncut.run]
            profile = self._measured(runs)
        values = {name: value for name, value in before.values.items() if value != NO_ANSWER}
        breaches = self._silent(profile)
        self._prepared = LivePrepared(answered, values, promise, profile, realtime, uncut, at_once, breaches)
        return self._prepared

    def _silent(self, profile: TimingProfile) -> tuple[Breach, ...]:
        """Judge how long a real key was silent in the median run; an emulator's time is that of its host."""
        name = self.operation.application
        application = next(app for app in self.rig.key.applications if app.name == name)
        if application.keepalive_us is None or self.rig.evidence_kind != "hardware":
            return ()
        marks = [Mark(marker, at_us) for marker, at_us in profile.markers]
        stands_us = LONGEST_ERASE_US + round(3 * profile.sigma_us)
        found = silence_breach(marks, application.keepalive_us, stands_us, Severity.S3)
        return (found,) if found else ()

    @property
    def uncut_id(self) -> str:
        """The replay id of what is wrong without a cut."""
        return replay_id(self.rig.name, self.operation.name, self.rig.seed, UNCUT, fingerprint(self.rig))

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

    def _measure_reference_again(self) -> None:
        """Take a longer time of the reference operation for its time, if this host is slower now."""
        profile = self.prepared.profile
        now_us = self._reference_us()
        if now_us is not None and profile.reference_us is not None and now_us > profile.reference_us:
            self._prepared = replace(self.prepared, profile=replace(profile, reference_us=now_us))

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
