"""Run an operation on a rig, uncut or with a cut. What comes of it is judged elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

from harness.base.errors import (
    HarnessFault,
    HostLate,
    KeyFault,
    KeyharnessError,
    Refused,
    RigError,
    refuse_host_error,
)
from harness.campaign.home import Home, go_home
from harness.campaign.set_up import TRIES, bring_up, settle, tried_again
from harness.model.instant import CutInstant
from harness.model.memory import Memory
from harness.model.operation import Operation
from harness.model.power_loss import PowerLoss
from harness.model.rig import KeyGone, Rig
from harness.model.rig_parts import LiveCutter
from harness.model.tap import Mark
from harness.search.plan import END, START, Plan
from harness.search.timing_profile import UncutRun

T = TypeVar("T")


@dataclass
class Attempt:
    """One run of the operation with a cut in it. Instants are on the rig's clock.

    :ivar promise: what the host knows if the operation was acknowledged.
    :ivar ended_us: when the operation returned or failed.
    :ivar returned: whether it returned, without an error.
    :ivar cut: the instants of its cut; None if no cut was armed, because the marker was never seen.
    :ivar deaths: how the key ended by itself, in words.
    :ivar boot_cuts: the cuts into the boots that followed.
    """

    promise: Memory
    start_us: int
    marks: tuple[Mark, ...]
    ended_us: int
    returned: bool
    cut: CutInstant | None
    deaths: list[str]
    boot_cuts: tuple[CutInstant, ...] = ()

    def at_us(self, name: str) -> int | None:
        """When a marker was seen; None if it was not."""
        if name == START:
            return self.start_us
        return next((mark.at_us for mark in self.marks if mark.name == name), None)

    @property
    def first_byte_us(self) -> int | None:
        """When the first byte was sent to the key; None if none was."""
        return self.marks[0].at_us if self.marks else None

    @property
    def waited_us(self) -> int:
        """How long the operation had been over when the cutter acted."""
        if self.cut is None or self.cut.fired_us is None:
            return 0
        return max(0, self.cut.fired_us - self.ended_us)

    def since_request_us(self, requests: int, loss: PowerLoss | None) -> int | None:
        """How long after the last of `requests` requests the power lasted at least; None if not all had been sent."""
        sent = [mark.at_us for mark in self.marks if mark.name.startswith("request-sent")]
        if loss is None or not sent or len(sent) < requests:
            return None
        return loss.earliest_us - sent[-1]


class OperationRunner:
    """Runs one operation on one rig.

    :param home: the state to start from.
    :ivar memory: what the host knows when the operation starts.
    :ivar boot_us: duration of the slowest boot so far.
    """

    def __init__(self, rig: Rig, cutter: LiveCutter, operation: Operation, home: Home):
        self.rig, self.cutter, self.operation, self.home = rig, cutter, operation, home
        self.memory = home.memory.copy()
        self.boot_us = 0
        self._start: object = None
        """The state in which the operation starts, where a state can be copied."""

    def arrange(self) -> None:
        """Bring the key to where the operation starts, and keep a copy of that state where the rig can copy it.

        Errors: `harness.campaign.set_up.tried_again`.
        """
        vault = self.rig.vault
        if vault is None:
            return

        def arrange() -> None:
            vault.restore(self.home.state)
            self._arrange()

        tried_again(self.rig, f"{self.operation.name} could not be arranged", arrange, lambda: None)
        self._start = vault.snapshot()

    def _arrange(self) -> None:
        self.memory = self.home.memory.copy()
        self._up()
        self.operation.arrange(self.rig, self.memory)
        self.home.settle(self.rig, self.memory)
        self.rig.power.off()

    def begin(self) -> None:
        """Bring the key into the state in which the operation starts; it is off afterwards."""
        rig = self.rig
        if rig.vault is not None:
            rig.vault.restore(self._start)
            return

        def arrange() -> None:
            self.home = go_home(rig, self.home.memory)
            self._arrange()

        tried_again(rig, f"{self.operation.name} could not be arranged", arrange, lambda: None)

    def _up(self) -> None:
        began_us = self.rig.clock.now_us
        bring_up(self.rig)
        self.boot_us = max(self.boot_us, self.rig.clock.now_us - began_us)
        # Now, so that it takes no time of the operation.
        self.rig.transports.prove()

    def run_uncut(self, operation: Operation, *, settled: bool = False) -> UncutRun:
        """Run an operation to its end; the key is off afterwards.

        :param settled: wait before the power goes, as an owner does; else it goes right after the answer.
        :raises KeyFault: the key crashed, hung, refused or failed without a cut.
        :raises HostLate: this host was too slow, again and again.
        """
        return self._in_time(lambda: self._run_uncut(operation, settled))

    def _in_time(self, act: Callable[[], T]) -> T:
        """Do something again for which this host came too late."""
        for _ in range(TRIES - 1):
            try:
                return act()
            except HostLate:
                self.rig.power.off()
        return act()

    def _run_uncut(self, operation: Operation, settled: bool) -> UncutRun:
        rig = self.rig
        self.begin()
        if rig.losses is not None:
            rig.losses.begin()
        if self.operation.powered:
            self._up()
        memory = self.memory.copy()
        rig.tap.clear()
        start_us = rig.clock.now_us
        try:
            operation.act(rig, memory)
        except (KeyGone, OSError) as error:
            refuse_host_error(error)
            rig.power.off()
            how = "; ".join(rig.take_deaths()) or str(error)
            if rig.losses is not None and (why := rig.losses.explained(start_us, stuck=False)):
                rig.losses.uncontrolled(why, {})
                raise RigError(
                    f'rig "{rig.name}": {why}', found=how, expected="power for all rigs"
                ) from error
            raise KeyFault(
                f"{operation.name}: the key failed in an operation that nobody cut",
                found=how,
                expected="an answer, as the operation's own run before the first cut must have one",
            ) from error
        except Exception as error:
            if (fault := rig.key.fault(error)) is None:
                raise
            raise _failed_uncut(operation, fault) from error
        start_us = self._began_us(start_us)
        marks = {mark.name: mark.at_us - start_us for mark in rig.tap.marks}
        marks[END] = rig.clock.now_us - start_us
        last = rig.tap.last("response")
        if settled:
            settle(rig)
        off_us = rig.clock.now_us - start_us
        rig.power.off()
        return UncutRun(marks, memory, last.status if last else None, off_us)

    def attempt(self, cut: Plan, lead_us: int = 0) -> Attempt:
        """Run the operation and cut it; the key is off afterwards.

        :param cut: where to cut, and what follows. :param lead_us: how long the switch takes.
        :raises HostLate: this host was too slow, again and again.
        """
        return self._in_time(lambda: self._attempt(cut, lead_us))

    def _attempt(self, cut: Plan, lead_us: int) -> Attempt:
        rig = self.rig
        self.begin()
        if self.operation.powered:
            self._up()
            self.cutter.prepare()
        promise = self.memory.copy()
        rig.take_deaths()
        rig.tap.clear()
        armed = False

        def arm(mark: Mark | None) -> None:
            nonlocal armed
            if not armed and (mark.name if mark else START) == cut.marker and rig.power.is_on:
                armed = True
                self.cutter.arm((mark.at_us if mark else start_us) + cut.offset_us, lead_us)

        rig.tap.on_mark = arm
        returned = False
        made: CutInstant | None = None
        start_us = rig.clock.now_us
        try:
            if cut.marker == START and rig.power.is_on:
                arm(None)
            elif cut.marker == START:
                armed = self.cutter.arm_boot(cut.offset_us, lead_us)
            self.operation.act(rig, promise)
            returned = True
        except (KeyGone, OSError) as error:
            refuse_host_error(error)
        except Exception as error:
            # After a cut: whatever a client library makes of a connection that broke. Before it: a fault.
            fault = rig.key.fault(error)
            if isinstance(error, KeyharnessError) and fault is None:
                raise
            if not armed and fault is not None:
                raise _failed_uncut(self.operation, fault) from error
            if not armed:
                raise HarnessFault(
                    f"{self.operation.name} could not be run", found=f"{type(error).__name__}: {error}"
                ) from error
        finally:
            rig.tap.on_mark = None
            ended_us = rig.clock.now_us
            if armed:
                made = self.cutter.collect()
        start_us = self._began_us(start_us)
        rig.power.off()
        tried = Attempt(promise, start_us, tuple(rig.tap.marks), ended_us, returned, made, rig.take_deaths())
        if cut.boots:
            tried.boot_cuts = self._cut_boots(cut, lead_us)
            tried.deaths += rig.take_deaths()
        if cut.off_us:
            rig.clock.wait_us(cut.off_us)
        return tried

    def _began_us(self, start_us: int) -> int:
        """When the operation began: one that starts without power begins when the power comes."""
        came_us = self.rig.came_us
        if self.operation.powered or came_us is None:
            return start_us
        return max(start_us, came_us)

    def _cut_boots(self, cut: Plan, lead_us: int) -> tuple[CutInstant, ...]:
        """Cut the boots that follow: power on, and off after each offset; the instants of these cuts."""
        rig, made = self.rig, []
        for offset_us, gap_us in zip_longest(cut.boots, cut.gaps, fillvalue=0):
            if gap_us:
                rig.clock.wait_us(gap_us)
            began_us = rig.clock.now_us
            armed = self.cutter.arm_boot(offset_us, lead_us)
            rig.power.on()
            if not armed:
                # Without a signal that the power has come, the offset counts from when it was asked for.
                self.cutter.arm(max(began_us + offset_us, rig.clock.now_us), lead_us)
            made.append(self.cutter.collect())
            rig.power.off()
        return tuple(made)


def _failed_uncut(operation: Operation, fault: KeyFault) -> KeyFault:
    """The error for a key that refuses, or answers wrongly, before anything was cut."""
    what = "refused" if isinstance(fault, Refused) else "failed in"
    return KeyFault(
        f"{operation.name}: the key {what} an operation that nobody cut",
        found=f"{fault.what} ({fault.shown_status})" if isinstance(fault, Refused) else fault.what,
        expected="that it does what it says it offers",
    )
