"""An operation of a twin, run once and recorded: what every cut into it is computed from."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.base.errors import HarnessFault, KeyFault
from harness.campaign.cut_images import worn
from harness.campaign.home import Home, require_expendable, seeded
from harness.campaign.observe import observe
from harness.campaign.result import CutJudge, fingerprint
from harness.model.judge import matches
from harness.model.key import Item, Memory, Operation, Outcome
from harness.model.rig import Rig
from harness.model.row import replay_id
from harness.twin.glass_box import require_glass_box
from harness.twin.trace import Trace

UNCUT = "uncut"
"""The cut in a replay id of what goes wrong before the first one."""


class UncutFault(KeyFault):
    """The key is not as it must be before anything was cut.

    :ivar replay: the id that shows it again.
    """

    replay = ""


class RecordedOperation:
    """One operation of the key on one rig, as it runs uncut.

    :param home: the state to start from (see `go_home`).
    """

    def __init__(self, rig: Rig, operation: Operation, home: Home):
        require_expendable(rig)
        if home.state is None:
            raise HarnessFault("this campaign needs a home state to come back to")
        self.rig, self.operation, self.home = rig, operation, home
        self.glass = require_glass_box(rig)
        self.items: tuple[Item, ...] = home.watched(rig.key, operation)
        self._check = fingerprint(rig)

    def prepare(self) -> Trace:
        """Arrange, record the operation, and look at the key before it."""
        glass, rig, operation = self.glass, self.rig, self.operation
        assert self.home.state is not None
        glass.restore(self.home.state)
        self.memory = self.home.memory.copy()
        rig.power.on()
        rig.wait_until_up()
        try:
            with seeded(rig, "arrange", operation.name):
                operation.arrange(rig, self.memory)
        except KeyFault as fault:
            raise self._uncut(fault.what, fault.found, fault.expected) from fault
        rig.power.off()
        self.start = glass.snapshot()
        self.promise = self.memory.copy()
        self.trace = self._recorded(operation, self.promise)
        self.worlds = list(operation.worlds(self.memory, self.promise))
        reference_us = self._reference_us()
        glass.restore(self.trace.base)
        with seeded(rig, "before", operation.name):
            self.before = observe(rig, self.items, self.memory, self.promise)
        self.question = CutJudge(
            operation, self.items, self.before.values, self.memory, self.promise, reference_us
        )
        self._wear_of_look = worn(self.trace.base, glass.snapshot())
        self._check_before()
        return self.trace

    def _check_before(self) -> None:
        """Before the first cut the key must be in the operation's own old world, or nothing can be judged."""
        if self.before.stuck:
            raise self._uncut(self.before.stuck)
        for world in self.worlds:
            if world.outcome is Outcome.OLD and (wrong := matches(world, self.before.values)):
                raise self._uncut(
                    "the key is not as it must be",
                    {name: self.before.values.get(name) for name in wrong},
                    {name: world.values[name] for name in wrong},
                )

    def _uncut(self, why: str, found: object = None, expected: object = None) -> UncutFault:
        again = replay_id(self.rig.name, self.operation.name, self.rig.seed, UNCUT, self._check)
        fault = UncutFault(
            f"{self.operation.name}: {why}, before anything was cut",
            found=found,
            expected=expected,
            mend="an acknowledged write did not outlive a clean power-off, or the key does without a cut what it "
            f"never may; `keyharness replay {again}` shows it again",
        )
        fault.replay = again
        return fault

    def _recorded(self, operation: Operation, promise: Memory) -> Trace:
        self.glass.restore(self.start)
        if operation.powered:
            self.rig.power.on()
            self.rig.wait_until_up()
        trace = self.glass.record(lambda: operation.act(self.rig, promise))
        self.rig.power.off()
        return trace

    def _reference_us(self) -> int | None:
        """When, after its request, the reference operation is acknowledged (invariant P1)."""
        if self.operation.reference_operation is None:
            return None
        reference = self.rig.key.operations[self.operation.reference_operation]
        trace = self._recorded(reference, self.memory.copy())
        if trace.acknowledged_us is None:
            return None
        return trace.acknowledged_us - trace.requested_us

    def estimated_wear(self, cuts: int) -> list[dict[str, Any]]:
        """What a real key would have spent: each cut arranges, acts and observes once."""
        if not hasattr(self, "trace") or self.home.state is None:
            return []
        once = Counter(self.trace.wear())
        once.update(worn(self.home.state, self.start))
        once.update(getattr(self, "_wear_of_look", Counter()))
        parts = self.trace.parts
        return [
            {
                "what": f"{chip} page {page}",
                "used": count * cuts,
                "limit": parts[chip].endurance,
                "estimated": True,
            }
            for (chip, page), count in sorted(once.items())
            if count
        ]
