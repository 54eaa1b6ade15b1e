"""Custody of a rig: what is done once before a command touches it, and undone when it has finished.

In this order: is it in quarantine, is somebody else at it (lock), was its power left switched (power log), is
it the named key, is it retired, does it hold anything of somebody else's, what may be spent of it. A rig that
is private to this process (a twin, an emulator in a directory of its own) has no port and skips most of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.base.errors import CallerError, KeyharnessError, RigError
from harness.evidence.rundir import QUARANTINED
from harness.host.locks import InUse, Lock
from harness.model.key import Key, Memory, Operation
from harness.model.rig import PowerSwitch, Rig
from harness.safety import quarantine
from harness.safety.identity import bring_up, prove_identity, put_mark_back, refuse_foreign
from harness.safety.power_journal import LoggedSwitch, PowerLog

if TYPE_CHECKING:
    from harness.bench.bench import LoadedBench
    from harness.evidence.ledger import Ledger
    from harness.safety.budget import Budget, Grants


class RigQuarantined(RigError):
    """The rig is not to be used until somebody has looked at it."""


def port_of(rig: Rig) -> str | None:
    """What only one process may use at a time; None for a rig that is private to this one."""
    if rig.shared is None and rig.evidence_kind == "hardware":
        return f"rig {rig.name}"
    return rig.shared


class Custody:
    """The rigs that this process has taken.

    :param purpose: what for, as others who want the rig are told.
    """

    def __init__(self, bench: LoadedBench, purpose: str):
        self._bench, self.purpose = bench, purpose
        self._taken: dict[str, _Taken] = {}
        self._ledger: Ledger | None = None

    def take(self, rig: Rig, *, write: bool = True) -> None:
        """Take a rig, once.

        :param write: False if nothing will be written to the key: then it need not be expendable.
        :raises RigError: it is in use or in quarantine.
        :raises CallerError: another key is in it, it is retired, or it holds what is not ours.
        """
        if rig.name in self._taken or rig.evidence_kind == "twin":
            return
        taken = _Taken(rig)
        self._taken[rig.name] = taken
        try:
            self._take(taken, write)
        except BaseException:
            self._let_go(taken)
            del self._taken[rig.name]
            raise

    def _take(self, taken: _Taken, write: bool) -> None:
        rig, port = taken.rig, port_of(taken.rig)
        if port is not None:
            if write:
                refuse_quarantined(port)
            lock = Lock(port)
            lock.take(f"{self.purpose}, rig {rig.name}")
            taken.lock = lock
            if rig.evidence_kind == "hardware":
                log = PowerLog(port)
                taken.unfinished = log.take(rig)
                taken.log = log
        if not write:
            if port is not None and taken.log is not None:
                taken.power = rig.power
                budget_of = self._unproved(taken, port)
                rig.power = self._logged(rig.power, taken.log, budget_of)
            return
        was_on = rig.power.is_on
        if why := bring_up(rig):
            raise RigError(
                f'rig "{rig.name}": no key',
                found=why,
                expected="a key that comes up",
                mend=f"`keyharness recover {rig.name}`",
            )
        settings = self._bench.settings(rig.name)
        rig.identity = prove_identity(rig, settings.identity, unfinished=taken.unfinished)
        taken.seen = True
        if taken.log is not None:
            self._spend(taken, taken.log, settings.budget, booted=not was_on)
        if rig.expendable:
            refuse_foreign(rig)
        if not was_on:
            rig.power.off()

    def _spend(self, taken: _Taken, log: PowerLog, grants: Grants, *, booted: bool) -> None:
        """From now on everything that is spent of the key is reserved before.

        :param booted: it has just been given power, to be asked who it is.
        :raises CallerError: the key is retired.
        """
        rig = taken.rig
        assert rig.identity is not None
        ledger = self._open_ledger()
        if why := ledger.retired(rig.identity):
            raise CallerError(
                f'rig "{rig.name}": its key is retired', found=why, expected="another key in this rig"
            )
        from harness.safety.budget import Budget, PinTries

        with ledger.writing() as at:
            ledger.note_key(at, rig.identity, rig.evidence_kind, rig.key.name)
        budget = Budget(ledger, rig.identity, rig.evidence_kind, rig.name, grants)
        taken.budget = budget
        rig.pin_guard = PinTries(budget)
        taken.power = rig.power
        rig.power = self._logged(rig.power, log, lambda: budget)
        if booted:
            _boot(budget)
        taken.key, rig.key = rig.key, spending(rig.key, budget)

    def _unproved(self, taken: _Taken, port: str) -> Callable[[], Budget]:
        """Whose switching is paid where nobody has asked the key who it is: the key's that belongs there."""
        settings = self._bench.settings(taken.rig.name)

        def budget() -> Budget:
            if taken.budget is None:
                from harness.safety.budget import Budget

                key = settings.identity or f"port:{port.removeprefix('port ')}"
                kind, ledger = taken.rig.evidence_kind, self._open_ledger()
                with ledger.writing() as at:
                    ledger.note_key(at, key, kind, taken.rig.key.name)
                taken.budget = Budget(ledger, key, kind, taken.rig.name, settings.budget)
            return taken.budget

        return budget

    @staticmethod
    def _logged(switch: PowerSwitch, log: PowerLog, budget: Callable[[], Budget]) -> PowerSwitch:
        return LoggedSwitch(
            switch,
            log,
            lambda: budget().draw("relay_operations", 1, "power off"),
            lambda: _boot(budget()),
        )

    def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            from harness.evidence.ledger import Ledger

            self._ledger = Ledger()
        return self._ledger

    def fault(self, rig: Rig, error: BaseException) -> None:
        """A rig failed while it was used: if it outlives the run, nobody uses it until somebody has seen to it.

        Being in use by somebody else, or in quarantine already, is no fault.
        """
        port = port_of(rig)
        if port is not None and isinstance(error, RigError) and not isinstance(error, InUse | RigQuarantined):
            quarantine.put(port, str(error))

    def refuse_quarantined(self, rig: Rig) -> None:
        """:raises RigQuarantined: it was put there, perhaps a moment ago."""
        if (port := port_of(rig)) is not None:
            refuse_quarantined(port)

    def leave(self, rig: Rig) -> None:
        """Give a rig back with its power as it stands now, and not as it was found."""
        taken = self._taken.pop(rig.name, None)
        if taken is not None:
            if taken.log is not None:
                taken.log.leave(rig)
            self._let_go(taken)

    def budget(self, rig: str) -> Budget | None:
        """What may be spent of the key on a rig; None where nothing is limited."""
        taken = self._taken.get(rig)
        return taken.budget if taken else None

    def release(self) -> None:
        """Give everything back as it was found."""
        while self._taken:
            # Out first: a switch that fails at this fails once.
            _, taken = self._taken.popitem()
            self._let_go(taken)
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _leave_marked(self, taken: _Taken) -> None:
        """A key without a serial is not to be given back without the mark that it is known by."""
        rig = taken.rig
        if taken.key is None or not (rig.identity or "").startswith("marker:"):
            return
        try:
            if not bring_up(rig):
                put_mark_back(rig, rig.identity or "")
        except (KeyharnessError, OSError) as error:
            sys.stderr.write(f'rig "{rig.name}": the key is given back without its mark: {error}\n')

    def _let_go(self, taken: _Taken) -> None:
        self._leave_marked(taken)
        # Giving back is not to fail for want of a budget: it is done, and counted afterwards.
        if taken.power is not None:
            taken.rig.power = taken.power
        if taken.key is not None:
            taken.rig.key = taken.key
        taken.rig.pin_guard = None
        try:
            if taken.log is not None:
                was_on = taken.rig.power.is_on
                taken.log.give_back(taken.rig, seen=taken.seen)
                if taken.budget is not None and taken.rig.power.is_on != was_on:
                    _count(taken.budget, on=not was_on)
            if taken.budget is not None:
                taken.budget.close()
        finally:
            if taken.lock is not None:
                taken.lock.release()


def _boot(budget: Budget) -> None:
    budget.draw("erases", budget.grants.erases_per_boot, "a boot")


def _count(budget: Budget, *, on: bool) -> None:
    """The power has been put back."""
    if on:
        budget.note("erases", budget.grants.erases_per_boot, "given back on")
    else:
        budget.note("relay_operations", 1, "given back off")


class _Taken:
    def __init__(self, rig: Rig):
        self.rig = rig
        self.unfinished = self.seen = False
        self.lock: Lock | None = None
        self.log: PowerLog | None = None
        self.budget: Budget | None = None
        self.power: PowerSwitch | None = None
        self.key: Key | None = None


def refuse_quarantined(port: str) -> None:
    """:raises RigQuarantined: with since when and why."""
    if held := quarantine.quarantined(port):
        raise RigQuarantined(
            f"{port} is {QUARANTINED}",
            found=held.why,
            expected="a rig that works",
            mend="see to it, then `keyharness quarantine RIG --clear --reason TEXT`",
        )


def spending(key: Key, budget: Budget) -> Key:
    """The same key, whose operations reserve what they spend before they spend it."""
    applications = tuple(
        replace(app, operations=tuple(_spending(one, budget) for one in app.operations))
        for app in key.applications
    )
    return replace(key, applications=applications)


def _spending(operation: Operation, budget: Budget) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        budget.before(operation.cost, operation.name)
        operation.act(rig, memory)

    def missing(rig: Rig) -> str | None:
        return budget.refused(operation.cost) or (operation.missing(rig) if operation.missing else None)

    return replace(operation, act=act, missing=missing)
