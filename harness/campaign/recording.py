"""Record an operation of a key uncut: every cut into it is computed from that recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.base.errors import CallerError, HarnessFault, KeyFault, NoRoom, Refused
from harness.campaign.home import Home, require_expendable, seeded
from harness.campaign.judging import UNCUT, CutJudge, fingerprint
from harness.campaign.observe import Seen, observe
from harness.campaign.space import FREE_BLOCKS, least_room
from harness.campaign.uncut_laws import every_page_took, silence_breach, wear_breach, written
from harness.campaign.wear_baseline import baseline
from harness.campaign.worker_pool import WorkerPool
from harness.model.judge import Breach, matches, unsound
from harness.model.key import client_logs
from harness.model.memory import Memory
from harness.model.operation import FRESH, Item, Operation, World
from harness.model.outcome import Outcome, Severity
from harness.model.rig import Rig
from harness.model.row import replay_id
from harness.twin.glass_box import glass_box
from harness.twin.recorder import require_recorder
from harness.twin.rig import TwinRig
from harness.twin.trace import Recording, State, Trace

T = TypeVar("T")

VARIES = "its writes differ from run to run: each image is one of its own recording"
"""The remark about a firmware that draws random numbers, or writes the time."""


class UncutFault(KeyFault):
    """The key is not as it must be, before anything was cut.

    :ivar replay: the replay id that shows it again.
    """

    replay = ""


@dataclass(frozen=True)
class Prepared:
    """A recorded operation: all that its cuts are computed from and judged by.

    :ivar start: the key without power, in the state in which the operation starts.
    :ivar trace: the recording of the uncut run.
    :ivar judge: judges a cut: knows the key before the operation, and the worlds that it may leave.
    :ivar look_wear: page erases that one observation of the key costs, by (chip, page).
    :ivar logs: what the clients' libraries logged in the uncut run: file name -> text.
    :ivar breaches: what the uncut run itself violates, without anything that was lost.
    :ivar memory: what the host knows in `start`; the judge's memory has also what the home does in the boot.
    """

    start: State
    trace: Recording[State]
    judge: CutJudge
    look_wear: Counter[tuple[str, int]]
    logs: Mapping[str, bytes]
    memory: Memory
    breaches: tuple[Breach, ...] = ()


class RecordedOperation:
    """Records one operation of the key on one rig.

    :param home: the state to start from (see `go_home`).
    :raises CallerError: the key is not expendable, or the operation is not asked in this home.
    :raises HarnessFault: nothing records the key on this rig, or it has no home state.
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home):
        require_expendable(rig)
        if home.state is None:
            raise HarnessFault("this campaign needs a home state to come back to")
        adapted = home.adapted(operation)
        if adapted is None:
            raise CallerError(
                f"{operation.name} from the home {home.name}",
                found="an operation that is not asked there",
                expected="another operation, or another home",
            )
        self.rig, self.operation, self.home = rig, adapted, home
        self.glass = require_recorder(rig)
        seen_inside = (FREE_BLOCKS,) if glass_box(rig) else ()
        self.items: tuple[Item, ...] = (*home.watched(rig.key, adapted), *seen_inside)
        self._check = fingerprint(rig, home.name)
        self._prepared: Prepared | None = None

    @property
    def prepared(self) -> Prepared:
        """The recording; `prepare` must have been called."""
        assert self._prepared is not None, "the campaign has not been prepared"
        return self._prepared

    def pool(self, work: Callable[[int], T], processes: int) -> WorkerPool[T]:
        """Processes that work on images of the key side by side."""
        self.glass.give_way()
        most = self.glass.most_processes
        return WorkerPool(work, processes if most is None else min(processes, most), self.glass.look_limit_s)

    def prepare(self) -> Prepared:
        """Arrange the key, record the operation, and observe the key as it was before.

        :raises UncutFault: the key is not as it must be before anything was cut.
        """
        glass, rig, operation = self.glass, self.rig, self.operation
        known = self._arrange()
        start = glass.snapshot()
        memory = known.copy()
        self._bring_to(start, operation, memory)
        promise = memory.copy()
        try:
            trace = self._recorded(operation, promise)
        except UncutFault:
            raise
        except KeyFault as fault:
            raise self._uncut(fault.what, fault.found, fault.expected) from fault
        # Now: looking at the key uses the libraries again.
        logs = client_logs(rig.key)
        if glass.may_vary:
            self._compare_again(start, known, trace)
        if trace.remark not in rig.remark:
            rig.remark = "; ".join(filter(None, (rig.remark, trace.remark)))
        worlds = list(operation.worlds(memory, promise))
        reference = self._reference(start, known)
        glass.restore(trace.base)
        with seeded(rig, "before", operation.name):
            before = observe(rig, self.items, memory, promise)
        look_wear = glass.worn(trace.base, glass.snapshot())
        self._check_before(before, worlds, memory)
        least: Mapping[str, tuple[int, ...]] = {}
        if FREE_BLOCKS in self.items:
            glass.restore(trace.final)
            with seeded(rig, "after", operation.name):
                least = least_room(self.items, before, observe(rig, self.items, memory, promise))
        judge = CutJudge(
            operation,
            self.items,
            before.values,
            memory,
            promise,
            # Two runs of a process in real time do not take the same time: then only what they write is compared.
            answer_us(reference) if reference and not glass.may_vary else None,
            divergence_us(trace, reference) if reference and glass.repeats else None,
            least,
        )
        self._prepared = Prepared(
            start, trace, judge, look_wear, logs, known, tuple(self._uncut_breaches(trace))
        )
        return self._prepared

    def replay_id(self, label: str) -> str:
        """The replay id of one cut into this operation."""
        return replay_id(
            self.rig.name, self.operation.name, self.rig.seed, label, self._check, self.home.name
        )

    def _arrange(self) -> Memory:
        """Bring the key from home to where the operation starts, off; what the host knows then."""
        rig, operation = self.rig, self.operation
        self.glass.restore(self.home.state)
        memory = self.home.memory.copy()
        rig.power.on()
        rig.wait_until_up()
        try:
            with seeded(rig, "arrange", operation.name), self._refused_uncut():
                operation.arrange(rig, memory)
                self.home.settle(rig, memory)
        except UncutFault:
            raise
        except KeyFault as fault:
            raise self._uncut(fault.what, fault.found, fault.expected) from fault
        except Exception as error:
            refused = rig.key.fault(error)
            # Only a bench that fills the key to the end excuses the key for having no room.
            if refused is None or (rig.fill >= 1 and isinstance(refused, NoRoom)):
                raise
            # What has to be there before the operation begins is refused: nothing was cut.
            said = refused.value if isinstance(refused, Refused) else refused.what
            raise self._uncut("the key refuses what comes before", said, "what a sound key does") from error
        rig.settle()
        rig.power.off()
        return memory

    def _check_before(self, before: Seen, worlds: Sequence[World], memory: Memory) -> None:
        """Check that the key is in the operation's own old world, and shows what its home has laid down.

        :raises UncutFault: it is not, so that no cut can be judged.
        """
        if before.stuck:
            raise self._uncut(before.stuck)
        at_home = self.home.values(memory)
        if wrong := [name for name, value in at_home.items() if before.values.get(name) != value]:
            raise self._uncut(
                f"the home {self.home.name} is not as it was laid down",
                {name: before.values.get(name) for name in wrong},
                {name: at_home[name] for name in wrong},
            )
        named = {name for world in worlds if world.outcome is Outcome.OLD for name in world.values}
        for breach in unsound(self.items, named, memory, before.values):
            raise self._uncut(f"{breach.item} {breach.outcome}: {breach.text}")
        for world in worlds:
            if world.outcome is Outcome.OLD and (wrong := matches(world, before.values)):
                raise self._uncut(
                    "the key is not as it must be",
                    {name: before.values.get(name) for name in wrong},
                    {name: world.values[name] for name in wrong},
                )

    def _uncut_breaches(self, trace: Recording[State]) -> Iterator[Breach]:
        """The laws of an operation that nobody cuts: silence and wear. They are of twins, whose time is their own."""
        if not isinstance(trace, Trace):
            return
        rig, name = self.rig, self.operation.name
        application = next(app for app in rig.key.applications if app.name == self.operation.application)
        stands_us = max(part.erase_us for part in trace.parts.values())
        if application.keepalive_us is not None and (
            breach := silence_breach(trace.marks, application.keepalive_us, stands_us, Severity.S2)
        ):
            yield breach
        is_comparable = self.home.name == FRESH and every_page_took(trace)
        base = baseline(rig, name) if isinstance(rig, TwinRig) and is_comparable else None
        if base is not None and (breach := wear_breach(written(trace), base)):
            yield breach

    @property
    def uncut_id(self) -> str:
        """The replay id of what is wrong without a cut."""
        return self.replay_id(UNCUT)

    def _uncut(self, why: str, found: object = None, expected: object = None) -> UncutFault:
        again = self.uncut_id
        fault = UncutFault(
            f"{self.operation.name}: {why}, before anything was cut",
            found=found,
            expected=expected,
            mend="an acknowledged write did not outlive a clean power-off, or the key does without a cut what it "
            f"never may; `keyharness replay {again}` shows it again",
        )
        fault.replay = again
        return fault

    def begin(self) -> None:
        """Bring the key to the instant before the recorded operation."""
        self._bring_to(self.prepared.start, self.operation, self.prepared.memory.copy())

    def _bring_to(self, start: State, operation: Operation, memory: Memory) -> None:
        """Bring the key to the instant before the operation; updates the memory by what the home does in this boot.

        :raises UncutFault: the key refuses what the home does.
        """
        self.glass.restore(start)
        self.glass.ready_to_record()
        if not operation.powered:
            return
        self.rig.power.on()
        self.rig.wait_until_up()
        if self.home.name != FRESH:
            with self._refused_uncut(), seeded(self.rig, "in boot", operation.name):
                self.home.in_boot(self.rig, memory)

    @contextmanager
    def _refused_uncut(self) -> Iterator[None]:
        """While entered, what the key refuses in a named home is a fault of the key: nothing was cut."""
        try:
            yield
        except Exception as error:
            fault = None if isinstance(error, UncutFault) else self.rig.key.fault(error)
            if fault is None or self.home.name == FRESH:
                raise
            said = fault.value if isinstance(fault, Refused) else fault.what
            why = f"the key does not do in the home {self.home.name} what it must do there"
            raise self._uncut(why, said, "what a sound key does") from error

    def _recorded(self, operation: Operation, promise: Memory) -> Recording[State]:
        """Run an operation uncut; the key is off afterwards."""
        with self._refused_uncut():
            trace = self.glass.record(lambda: operation.act(self.rig, promise))
        self.rig.power.off()
        return trace

    def varies(self) -> bool:
        """Record the operation once more: whether the key writes something else than it did.

        Two recordings may be equal by luck: what a firmware draws may depend on how often it was asked before, which a
        busy host decides.
        """
        if self.glass.may_vary and self.glass.repeats:
            self._compare_again(self.prepared.start, self.prepared.memory, self.prepared.trace)
        return not self.glass.repeats

    def _compare_again(self, start: State, known: Memory, trace: Recording[State]) -> None:
        again = known.copy()
        self.glass.before_repeat()
        self._bring_to(start, self.operation, again)
        self.glass.compare(self._recorded(self.operation, again), trace)
        if not self.glass.repeats and VARIES not in self.rig.remark:
            self.rig.remark = "; ".join(filter(None, (VARIES, self.rig.remark)))

    def _reference(self, start: State, known: Memory) -> Recording[State] | None:
        """The reference operation, run uncut from the same state (docs/invariants.md, P1)."""
        if self.operation.reference_operation is None:
            return None
        reference = self.rig.key.operations[self.operation.reference_operation]
        memory = known.copy()
        self._bring_to(start, reference, memory)
        return self._recorded(reference, memory)

    def estimated_wear(self, cuts: int) -> list[dict[str, Any]]:
        """Page erases that a real key would have spent: each cut arranges, acts and observes once.

        :returns: rows with "what", "used", "limit" and "estimated"; empty if nothing was recorded.
        """
        if self._prepared is None:
            return []
        trace = self._prepared.trace
        once = Counter(trace.wear())
        once.update(self.glass.worn(self.home.state, self._prepared.start))
        once.update(self._prepared.look_wear)
        return [
            {
                "what": f"{chip} page {page}",
                "used": count * cuts,
                "limit": trace.endurance(chip),
                "estimated": True,
            }
            for (chip, page), count in sorted(once.items())
            if count
        ]


def answer_us(reference: Recording[State]) -> int | None:
    """How long after its request an operation is acknowledged; None if it has no response."""
    if reference.acknowledged_us is None:
        return None
    span: int = reference.acknowledged_us - reference.requested_us
    return span


def divergence_us(trace: Recording[State], reference: Recording[State]) -> int | None:
    """How long after its request a run has done all that it has in common with the reference operation.

    From then on what the key writes depends on the PIN, so that it has compared it. None if all its writes are those
    of the reference.
    """
    common = 0
    for one, other in zip(trace.ops, reference.ops):
        if not one.same_as(other):
            break
        common += 1
    if common == len(trace.ops):
        return None
    last_us: int = trace.ops[common - 1].end_us if common else trace.requested_us
    return max(0, last_us - trace.requested_us)
