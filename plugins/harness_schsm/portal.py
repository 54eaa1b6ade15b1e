"""The maker's portal: when it updates a device's firmware, said in sentences; and the update of a simulated device.

The portal is closed. Its rules are those that its maker has stated in public, in the thread on a Nitrokey HSM that was
blocked by `sc-hsm-tool --initialize` (docs/smartcard-hsm.md has them as a table). A genuine device is updated by an
operator in the portal, never by Keyharness.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from harness.api import CallerError, KeyFault, KeyGone, Refused, Rig
from harness_schsm.client import ScHsm

FORCED_MAX = 5
"""So often the portal mends a device whose SO-PIN is blocked."""
_PORTAL, _ASK, _INSTALL = 0xF4, 0x00, 0x01
_PIN_BLOCKED = "6983"
Version = tuple[int, int]


class Helper(StrEnum):
    """Another HSM, with which the owner logs in to the portal."""

    NONE = "none"
    WORKING = "working"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Seen:
    """What the portal sees of a device that is plugged in.

    :ivar version: installed. :ivar forced: updates so far that a blocked SO-PIN has forced.
    :ivar has_keys: are keys on it? :ivar blocked: is its SO-PIN blocked?
    """

    version: Version
    forced: int
    has_keys: bool
    blocked: bool


class Why(StrEnum):
    """What the portal decides, as a sentence for the owner: what happens, or what to do first."""

    UPDATE = "Update: there are no keys on the device, and a newer version is there."
    FORCED = (
        "Update: the SO-PIN is blocked, so the current version is installed; keys on the device are lost."
    )
    KEYS = "No update while keys are on the device. Delete them, or initialise it: its SO-PIN is not blocked."
    CURRENT = (
        "Nothing to install: the device has the current version. Initialise it: its SO-PIN is not blocked."
    )
    WAIT = (
        "Wait for the next version: five updates of a blocked device are used, but no keys stand in the way."
    )
    DEAD = "Dead: the SO-PIN is blocked, keys are on the device, and five updates of it are used."
    NO_HELPER = "Get another HSM: nobody logs in to the portal without one that works."
    BLOCKED_HELPER = "Log in with another HSM: a blocked one does not log in."
    NOT_REGISTERED = (
        "Register the device first, or plug it in here: only registered ones are updated from afar."
    )

    @property
    def is_allowed(self) -> bool:
        return self in (Why.UPDATE, Why.FORCED)


@dataclass(frozen=True)
class Decision:
    """What the portal does with a device.

    :ivar version: what it installs; None if nothing. :ivar forced: does it count as one of the five?
    """

    why: Why
    version: Version | None = None
    forced: bool = False


class PortalRefuses(CallerError):
    """The portal does not update this device, or not now."""


@dataclass(frozen=True)
class Portal:
    """The portal at one time.

    :ivar current: the version that it offers.
    """

    current: Version

    def decide(self, device: Seen, helper: Helper) -> Decision:
        """Decide on a device. The state of its user PIN and whether it is registered make no difference."""
        if helper is Helper.NONE:
            return Decision(Why.NO_HELPER)
        if helper is Helper.BLOCKED:
            return Decision(Why.BLOCKED_HELPER)
        newer = self.current > device.version
        if not device.blocked:
            if device.has_keys:
                return Decision(Why.KEYS)
            return Decision(Why.UPDATE, self.current) if newer else Decision(Why.CURRENT)
        if not device.has_keys and newer:
            return Decision(Why.UPDATE, self.current)
        if device.forced >= FORCED_MAX:
            return Decision(Why.DEAD if device.has_keys else Why.WAIT)
        if self.current < device.version:
            # Never a lower one.
            return Decision(Why.WAIT)
        return Decision(Why.FORCED, self.current, forced=True)

    def update(self, device: ScHsm, helper: Helper | Callable[[], Helper]) -> Decision:
        """Update a simulated device, if the rules allow it.

        :param helper: the other HSM; or what asks it, once to log in and once more before anything is installed: with
            the HSM that has logged in, the session ends.
        :raises PortalRefuses: they do not; its sentence says why, and nothing has changed.
        :raises Refused: the device does not take part.
        """
        ask = helper if callable(helper) else partial(Helper, helper)
        for _ in ("to log in", "to install"):
            decision = self.decide(seen(device), ask())
            if decision.version is None:
                raise PortalRefuses("firmware update by the portal", found=decision.why.value)
        assert decision.version is not None
        device.command("PORTAL INSTALL", _PORTAL, _INSTALL, 0, bytes(decision.version), cla=0x80)
        return decision


class Account:
    """An owner's account in the portal: registered devices, and updates of them that were asked for from afar.

    To start such an update, the owner logs in with another HSM; no session is held until the device comes.
    """

    def __init__(self, portal: Portal):
        self.portal = portal
        self.registered: set[str] = set()
        """Names of devices, as their certificates show them."""
        self._waiting: set[str] = set()

    def register(self, device: ScHsm) -> str:
        """Associate a device with the account; returns its name."""
        name = device.device().chr
        self.registered.add(name)
        return name

    def ask_for(self, name: str, helper: Helper) -> None:
        """Select a device of the account's list for an update.

        :raises PortalRefuses: nobody is logged in, or the device is not registered.
        """
        if helper is not Helper.WORKING:
            why = Why.NO_HELPER if helper is Helper.NONE else Why.BLOCKED_HELPER
            raise PortalRefuses("firmware update by the portal", found=why.value)
        if name not in self.registered:
            raise PortalRefuses("firmware update by the portal", found=Why.NOT_REGISTERED.value)
        self._waiting.add(name)

    def connected(self, device: ScHsm) -> Decision | None:
        """A device connects to the portal: update it if that was asked for. Afterwards its registration is void.

        :returns: what was done; None if nothing was asked for.
        :raises PortalRefuses: its state forbids the update, which stays asked for.
        """
        name = device.device().chr
        if name not in self._waiting:
            return None
        decision = self.portal.update(device, Helper.WORKING)
        self._waiting.discard(name)
        self.registered.discard(name)
        return decision


def logged_in_with(other: ScHsm, pin: str) -> Helper:
    """Log in to the portal with an HSM: it shows the certificate of its device, and its user gives the PIN.

    A blocked SO-PIN of it does not matter. A wrong PIN costs a try, as anywhere.
    """
    try:
        other.select()
        other.device()
        other.verify(pin)
    except Refused as refused:
        return Helper.BLOCKED if refused.status == _PIN_BLOCKED else Helper.NONE
    except (KeyGone, OSError):
        return Helper.NONE
    return Helper.WORKING


def seen(device: ScHsm) -> Seen:
    """What the portal sees of a simulated device.

    :raises Refused: it is none of ours.
    """
    told = device.command("PORTAL ASK", _PORTAL, _ASK, cla=0x80, le=256)
    if len(told) != 5:
        raise KeyFault("PORTAL ASK", found=told.hex(), expected="5 bytes")
    return Seen((told[0], told[1]), told[2], bool(told[3]), bool(told[4]))


def not_offered(rig: Rig) -> str | None:
    """Why Keyharness does not update the device on a rig; None if it is a simulated one."""
    operators = (
        "the portal updates a genuine device, with an operator and another HSM that works: never unattended"
    )
    if rig.evidence_kind == "hardware":
        return operators
    try:
        seen(ScHsm(rig))
    except Refused:
        return operators
    return None
