"""Claim a rig: check and take it once before a command touches it, and give it back when the command has finished.

The checks, in this order: is the rig in quarantine; does another process use it (lock); did a killed run leave its
power switched (power log); is the named key on it; is that key retired; does it hold data that is not ours; what may
be spent of it. A rig that is private to this process (a twin, an emulator in a directory of its own) has no port and
skips most checks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from harness.base.errors import CallerError, HostError, PowerCameBack, RigError
from harness.evidence.rundir import QUARANTINED
from harness.host.host import here
from harness.host.locks import InUse, Lock
from harness.model.outcome import Observation
from harness.model.rig import Rig
from harness.model.rig_parts import PowerSwitch, Presence
from harness.safety import quarantine
from harness.safety.budgeted_key import spend_boot, with_budget
from harness.safety.claimed_rig import ClaimedRig
from harness.safety.fault_domain import FaultDomains
from harness.safety.identity import (
    bring_up,
    prove_identity,
    recorded_serials,
    refuse_foreign,
)
from harness.safety.identity_guard import Guard
from harness.safety.power_journal import LoggedSwitch, PowerLog
from harness.safety.uncontrolled import look_after_uncontrolled

if TYPE_CHECKING:
    from harness.evidence.ledger import Ledger
    from harness.safety.budget import Budget, Grants


class RigQuarantined(RigError):
    """The rig is in quarantine: a person has to look at it first."""


class KeyPolicy(Protocol):
    """What a bench says of the key on one rig."""

    @property
    def identity(self) -> str | None:
        """The identity of the only key that may be written to; None if the bench names none."""

    @property
    def bootloader(self) -> str | None:
        """What that key shows as its serial number in its bootloader, "serial:..."; None if the bench does not say."""

    @property
    def budget(self) -> Grants:
        """What may be spent of that key."""


def port_of(rig: Rig) -> str | None:
    """Return what only one process may use at a time; None for a rig that is private to this process."""
    if rig.shared is None and rig.evidence_kind == "hardware":
        return f"rig {rig.name}"
    return rig.shared


class Claims:
    """The rigs that this process has claimed.

    :param policy_of: the name of a rig -> what may be done to the key on it.
    :param purpose: what the rigs are claimed for; shown to others who want one.
    """

    def __init__(self, policy_of: Callable[[str], KeyPolicy], purpose: str):
        self._policy_of, self.purpose = policy_of, purpose
        self._claimed: dict[str, ClaimedRig] = {}
        self._ledger: Ledger | None = None

    def take(self, rig: Rig, *, write: bool = True) -> None:
        """Claim a rig; does nothing if it is claimed already.

        :param write: False if nothing will be written to the key: then it need not be expendable.
        :raises RigError: the rig is in use or in quarantine.
        :raises CallerError: another key is on it, the key is retired, or it holds data that is not ours.
        """
        if rig.name in self._claimed or rig.evidence_kind == "twin":
            return
        claim = ClaimedRig(rig)
        self._claimed[rig.name] = claim
        try:
            self._take(claim, write)
        except BaseException:
            claim.give_back()
            del self._claimed[rig.name]
            raise

    def _take(self, claim: ClaimedRig, write: bool) -> None:
        rig, port = claim.rig, port_of(claim.rig)
        if port is not None:
            if write:
                refuse_quarantined(port)
            lock = Lock(port)
            lock.take(f"{self.purpose}, rig {rig.name}")
            claim.lock = lock
            rig.losses = FaultDomains(
                port,
                rig.domains,
                rig.clock,
                here().boot_id(),
                hub=lambda: rig.hub_enumeration,
                note=lambda why, seen: self._note_uncontrolled(rig, why, seen),
            )
            if rig.evidence_kind == "hardware":
                log = PowerLog(port)
                log.take(rig)
                claim.log = log
        if not write:
            if port is not None and claim.log is not None:
                claim.power = rig.power
                budget_of = self._budget_of_unproved(claim, port)
                rig.power = self._logged(rig.power, claim.log, budget_of)
            return
        was_on = rig.power.is_on
        if why := bring_up(rig):
            raise RigError(
                f'rig "{rig.name}": no key',
                found=why,
                expected="a key that comes up",
                mend=f"`keyharness recover {rig.name}`",
            )
        policy = self._policy_of(rig.name)
        spend = self._proof_budget(claim)
        if claim.log is not None:
            claim.log.note_enumeration()
        was_reset, presence = claim.log is not None and claim.log.was_reset, rig.presence
        rig.identity = prove_identity(rig, policy.identity, was_reset=was_reset, spend=spend)
        if claim.log is not None:
            claim.log.reset_finished()
            claim.log.note_proved(rig.identity, presence)
        claim.proved = True
        if policy.identity is not None:
            self._guard(claim, policy.identity)
        if claim.log is not None:
            self._limit_spending(claim, claim.log, policy.budget, booted=not was_on)
        if rig.expendable:
            refuse_foreign(rig)
        if not was_on:
            rig.power.off()

    def require_named(self, rig: Rig) -> None:
        """From now on nothing but the key that the bench names is reached on a claimed rig.

        For commands that claim a rig to read and find that they have to write; the key must be up.

        :raises CallerError: the bench names no key.
        :raises RigError: it is another key.
        """
        if self._policy_of(rig.name).identity is None and rig.evidence_kind == "hardware":
            raise CallerError(
                f'rig "{rig.name}" · identity',
                found="not set",
                expected="the key that this rig is for: nothing is written to any other",
                mend="`keyharness enroll` writes it",
            )
        self.prove(rig)

    def prove(self, rig: Rig) -> None:
        """Prove that the key on a claimed rig is the one that the bench names, if it names one; the key must be up.

        From then on no other key is reached there. What was proved in this enumeration is not asked again.

        :raises RigError: it is another key; or it is busy with a request of another program, and has not told who it is
            since it came to its port.
        :raises KeyGone: it is not there.
        """
        claim, expected = self._claimed.get(rig.name), self._policy_of(rig.name).identity
        if claim is None or expected is None:
            return
        if rig.transports.guard is None:
            self._guard(claim, expected)
        rig.transports.prove()

    def note_told(self, rig: Rig, told: str, presence: Presence | None) -> None:
        """Note that the key on a claimed rig has told an identity; one that the bench does not name is of no use.

        :param presence: the rig's, from before it was asked.
        """
        claim = self._claimed.get(rig.name)
        if claim is not None and claim.log is not None and told == self._policy_of(rig.name).identity:
            claim.log.note_proved(told, presence)

    def _guard(self, claim: ClaimedRig, expected: str) -> None:
        rig = claim.rig
        serials = recorded_serials(rig.key, expected, self._policy_of(rig.name).bootloader)
        rig.transports.guard = Guard(
            rig, expected, serials, self._proof_budget(claim), lambda error: self.fault(rig, error), claim.log
        )

    def _proof_budget(self, claim: ClaimedRig) -> Callable[[], None]:
        """What pays for a proof that may cost the key a write: that of a mark."""
        port = port_of(claim.rig)
        if claim.log is None or port is None:
            return lambda: None
        budget_of = self._budget_of_unproved(claim, port)

        def spend() -> None:
            budget, why = budget_of(), "the mark of the key was asked for"
            if claim.is_given_back:
                # What was granted may be spent by now, and the key needs its mark.
                budget.note("erases", budget.grants.erases_per_operation, why)
            else:
                budget.draw("erases", budget.grants.erases_per_operation, why)

        return spend

    def _limit_spending(self, claim: ClaimedRig, log: PowerLog, grants: Grants, *, booted: bool) -> None:
        """From now on reserve everything that is spent of the key before it is spent.

        :param booted: the key has just been switched on to ask for its identity.
        :raises CallerError: the key is retired.
        """
        rig = claim.rig
        assert rig.identity is not None
        ledger = self._open_ledger()
        if why := ledger.retired(rig.identity):
            raise CallerError(
                f'rig "{rig.name}": its key is retired', found=why, expected="another key in this rig"
            )
        from harness.safety.budget import Budget, PinTries

        with ledger.writing() as at:
            ledger.note_key(at, rig.identity, rig.evidence_kind, rig.key.name)
        budget = claim.budget or Budget(ledger, rig.identity, rig.evidence_kind, rig.name, grants)
        claim.budget = budget
        rig.pin_guard = PinTries(budget)
        claim.power = rig.power
        rig.power = self._logged(rig.power, log, lambda: budget)
        if booted:
            spend_boot(budget)
        look_after_uncontrolled(
            rig, ledger, rig.identity, here().boot_id(), came_by_itself=log.came_by_itself
        )
        claim.key, rig.key = rig.key, with_budget(rig.key, budget)
        if rig.vault is not None:
            rig.vault.spend = lambda: budget.draw("erases", 1, "a state put back")

    def _budget_of_unproved(self, claim: ClaimedRig, port: str) -> Callable[[], Budget]:
        """The budget that pays for switching while the identity of the key is unknown: that of the key in the bench."""
        policy = self._policy_of(claim.rig.name)

        def budget() -> Budget:
            if claim.budget is None:
                from harness.safety.budget import Budget

                key = policy.identity or f"port:{port.removeprefix('port ')}"
                kind, ledger = claim.rig.evidence_kind, self._open_ledger()
                with ledger.writing() as at:
                    ledger.note_key(at, key, kind, claim.rig.key.name)
                claim.budget = Budget(ledger, key, kind, claim.rig.name, policy.budget)
            return claim.budget

        return budget

    @staticmethod
    def _logged(switch: PowerSwitch, log: PowerLog, budget: Callable[[], Budget]) -> PowerSwitch:
        return LoggedSwitch(
            switch,
            log,
            lambda: budget().draw("relay_operations", 1, "power off"),
            lambda: spend_boot(budget()),
        )

    def _open_ledger(self) -> Ledger:
        if self._ledger is None:
            from harness.evidence.ledger import Ledger

            self._ledger = Ledger()
        return self._ledger

    def fault(self, rig: Rig, error: BaseException) -> None:
        """Put a rig that failed in quarantine, if it outlives the run.

        A rig that is in use elsewhere or in quarantine already has not failed, nor has one on a host that has no room.
        """
        claim = self._claimed.get(rig.name)
        if isinstance(error, PowerCameBack) and claim is not None and claim.log is not None:
            claim.log.power_came_by_itself()
        port, sound = port_of(rig), isinstance(error, InUse | RigQuarantined | HostError)
        if port is not None and isinstance(error, RigError) and not sound:
            quarantine.put(port, str(error))

    def _note_uncontrolled(self, rig: Rig, why: str, seen: Observation) -> None:
        if rig.identity is not None and rig.evidence_kind == "hardware":
            said = json.dumps(seen, sort_keys=True, default=str)
            self._open_ledger().note_boot(rig.identity, here().boot_id(), rig.name, why, said)

    def refuse_quarantined(self, rig: Rig) -> None:
        """Raise if a rig is in quarantine, perhaps since a moment ago.

        :raises RigQuarantined: it is.
        """
        if (port := port_of(rig)) is not None:
            refuse_quarantined(port)

    def leave(self, rig: Rig) -> None:
        """Give a rig back with its power as it stands now, not as it was found."""
        claim = self._claimed.pop(rig.name, None)
        if claim is not None:
            if claim.log is not None:
                claim.log.leave(rig)
            claim.give_back()

    def budget(self, rig: str) -> Budget | None:
        """Return the budget of the key on a rig; None where nothing is limited."""
        claim = self._claimed.get(rig)
        return claim.budget if claim else None

    def release(self) -> None:
        """Give every rig back as it was found."""
        while self._claimed:
            # Out of the table first: if giving back fails, it fails once.
            _, claim = self._claimed.popitem()
            claim.give_back()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None


def refuse_quarantined(port: str) -> None:
    """Raise if a port is in quarantine.

    :raises RigQuarantined: it is; says since when and why.
    """
    if held := quarantine.quarantined(port):
        raise RigQuarantined(
            f"{port} is {QUARANTINED}",
            found=held.why,
            expected="a rig that works",
            mend="repair it, then `keyharness quarantine RIG --clear --reason TEXT`",
        )
