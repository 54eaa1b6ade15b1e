"""A journal of each port's power, written before the power is switched.

A killed process leaves its port off, and the next one finds no key there. So a port is noted as taken before anything
is switched, and each switching is written ahead. The next process that uses the rig puts the power back as it was.

A reset removes the mark of a key without a serial number. So a reset of ours is noted before it is sent, and until the
mark is seen again, with the enumeration that the key was last seen in: a process that comes after a killed one can tell
whether nothing but our own switch has interrupted the port since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import write_durably
from harness.base.errors import RigError
from harness.base.file_name import file_name
from harness.base.shape import DamagedFile, Shape, read_fitting
from harness.evidence.ledger import now, state_dir
from harness.host.host import here
from harness.model.rig import KeyGone, Rig
from harness.model.rig_parts import PowerSwitch, Presence

if TYPE_CHECKING:
    from harness.model.cut_action import CutAction


_NOTED: Shape = {
    **dict.fromkeys(("given_back", "before", "on"), bool),
    **{f"{name}?": bool for name in ("unfinished", "came_by_itself", "reset")},
    **{f"{name}?": str for name in ("boot", "enumeration", "proved", "proved_in")},
}
_UNKNOWN = {"given_back": False, "before": True, "on": True, "unfinished": True}
"""What a damaged file is taken for: a killed run left the port, whose power was on before."""


class PowerLog:
    """The power state of one port, on disk.

    :param port: see `harness.model.rig.Rig.port`.
    :ivar came_by_itself: the port had power when it was taken, although it had been left without.
    :ivar was_reset: a run was ended in a reset of the key, and nothing but our own switch has interrupted its port
        since: an empty key on it is that key.
    """

    def __init__(self, port: str):
        self.port = port
        self.came_by_itself = self.was_reset = False
        self._rig: Rig | None = None
        self._reset = self._came_in_run = False
        self._proved: tuple[str, str] | None = None
        self.path: Path = state_dir() / "power" / file_name(port, ".json")

    @property
    def left_behind(self) -> bool:
        """Whether the port was taken and not given back. True also while it is in use: see its lock."""
        noted = self._noted()
        return noted is not None and not noted["given_back"]

    def _noted(self) -> Mapping[str, Any] | None:
        try:
            return read_fitting(self.path, _NOTED, "examine the key, and remove the file")
        except DamagedFile:
            return _UNKNOWN

    def take(self, rig: Rig) -> bool:
        """Note that this process switches the port's power; first put it back if a killed process left it switched.

        Call it under the port's lock. Return whether a run was killed here whose key was not examined since.
        """
        noted, self._rig = self._noted(), rig
        if noted is not None:
            here_still = bool(noted.get("enumeration")) and noted.get("enumeration") == _enumeration(rig)
            self.was_reset = self._reset = bool(
                noted.get("reset")
                and noted.get("boot") == here().boot_id()
                and (here_still if rig.power.is_on else not noted["on"])
            )
            if noted.get("proved") and noted.get("proved_in") and noted.get("boot") == here().boot_id():
                self._proved = noted["proved"], noted["proved_in"]
            came = not noted["on"] and rig.power.is_on and not here_still
            self.came_by_itself = came or bool(noted.get("came_by_itself"))
        restored = noted is not None and not noted["given_back"]
        self._unfinished = restored or bool(noted and noted.get("unfinished"))
        if restored and noted is not None and noted["before"]:
            rig.power.on()
            self._wait_until_up()
        self._before = bool(noted["before"]) if restored and noted else rig.power.is_on
        self._write(rig.power.is_on, given_back=False)
        return self._unfinished

    def switching(self, on: bool) -> None:
        """Write ahead that the power is about to be switched.

        After a crash of the host the previous entry is good enough: it, too, says that the port was taken.
        """
        self._write(on, given_back=False, old_will_do=True)

    def power_came_by_itself(self) -> None:
        """Write down that the port got power while this process had left it without: the next one looks at the key."""
        self.came_by_itself = self._came_in_run = True
        if self._rig is not None:
            self._write(self._rig.power.is_on, given_back=False)

    def reset_begun(self) -> None:
        """Write down that a reset of the key is about to be sent.

        After a crash of the host the previous entry is good enough: the port was interrupted then.
        """
        self._reset = True
        self.note_enumeration()

    def note_enumeration(self) -> None:
        """While a reset is not finished, write down which enumeration of the key this is."""
        if self._reset and self._rig is not None:
            self._write(self._rig.power.is_on, given_back=False, old_will_do=True)

    def reset_finished(self) -> None:
        """Write down that the key has its mark."""
        if self._reset and self._rig is not None:
            self._reset = False
            self._write(self._rig.power.is_on, given_back=False, old_will_do=True)

    def note_proved(self, identity: str, presence: Presence | None) -> None:
        """Write down that the key in this enumeration has told this identity.

        :param presence: the rig's, from before it was asked; None if the rig cannot tell: then nothing is noted.
        """
        proved = identity, _named(presence)
        if proved[1] and proved != self._proved and self._rig is not None:
            self._proved = proved
            self._write(self._rig.power.is_on, given_back=False, old_will_do=True)

    def was_proved(self, identity: str) -> bool:
        """Return whether the key has told this identity since it came to its port, to this process or another one."""
        return self._rig is not None and self._proved == (identity, _enumeration(self._rig))

    def give_back(self, rig: Rig, *, seen: bool = False) -> None:
        """Put the power back as it was found.

        :param seen: the key was proved to be the named one, so what a killed run left is dealt with.
        """
        self._unfinished = self._unfinished and not seen
        self.came_by_itself = self._came_in_run or (self.came_by_itself and not seen)
        if self._before:
            rig.power.on()
            self._wait_until_up()
        else:
            rig.power.off()
        self._write(self._before, given_back=True)

    def leave(self, rig: Rig) -> None:
        """Keep the power as it stands: a person switched it on purpose."""
        self._before = rig.power.is_on
        self._wait_until_up()
        self._write(self._before, given_back=False)

    def _wait_until_up(self) -> None:
        """Wait for the enumeration that is to be written down, if one is."""
        if self._reset and self._rig is not None and self._rig.power.is_on:
            with suppress(KeyGone, RigError):
                self._rig.wait_until_up()

    def _write(self, on: bool, *, given_back: bool, old_will_do: bool = False) -> None:
        kept: dict[str, object] = {}
        if self._proved is not None:
            kept |= {"boot": here().boot_id(), "proved": self._proved[0], "proved_in": self._proved[1]}
        if self._reset and self._rig is not None:
            kept |= {"reset": True, "boot": here().boot_id(), "enumeration": _enumeration(self._rig)}
        write_durably(
            self.path,
            {
                **kept,
                "port": self.port,
                "on": on,
                "before": self._before,
                "given_back": given_back,
                "unfinished": self._unfinished,
                "came_by_itself": self.came_by_itself,
                "at": now(),
                "pid": os.getpid(),
            },
            old_will_do=old_will_do,
        )


def _enumeration(rig: Rig) -> str:
    """Return what names the enumeration that the key on a rig is in; "" without a key, or if the rig cannot tell."""
    return _named(rig.presence)


def _named(presence: Presence | None) -> str:
    return "" if presence is None or presence.enumeration is None else repr(presence.enumeration)


class LoggedSwitch(PowerSwitch):
    """A switch that writes ahead and pays for each switching, by this process or by the cutter's.

    :param before_off: called before the power goes; spends one operation of the relay.
    :param before_on: called before the power comes; spends what a boot costs.
    """

    def __init__(
        self,
        switch: PowerSwitch,
        log: PowerLog,
        before_off: Callable[[], None],
        before_on: Callable[[], None],
    ):
        self._switch, self._log = switch, log
        self._before_off, self._before_on = before_off, before_on
        self._off_is_paid = False

    @property
    def is_on(self) -> bool:
        return self._switch.is_on

    def on(self) -> None:
        if not self._switch.is_on:
            self._before_on()
            self._log.switching(True)
        self._switch.on()

    def off(self) -> None:
        if self._switch.is_on:
            self._pay_off()
        self._switch.off()
        self._off_is_paid = False

    def cycle(self) -> None:
        if self._switch.is_on:
            self._pay_off()
        self._before_on()
        # The driver's own cycle waits until this rig has lost its charge.
        self._switch.cycle()
        self._off_is_paid = False
        self._log.switching(True)

    def cut_action(self) -> CutAction | None:
        """Pay and journal the cut now, because the cutter does not wait for either.

        If this cut is called off, what was paid counts for the next switching off.
        """
        self._pay_off()
        return self._switch.cut_action()

    def after_cut(self) -> None:
        self._off_is_paid = False
        self._switch.after_cut()

    def _pay_off(self) -> None:
        if not self._off_is_paid:
            self._before_off()
            self._off_is_paid = True
        self._log.switching(False)
