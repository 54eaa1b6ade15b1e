"""The device under test on a USB port: what the bus shows of it, when it came, when it went.

Whatever is on the port is read from sysfs anew for each boot, because nodes change their numbers from plug to plug.
What the kernel does not tell (a hub that takes the power without telling it) is asked of the bus itself.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

from harness.api import (
    Clock,
    Face,
    Host,
    Key,
    PowerCameBack,
    Presence,
    RigError,
    Tap,
    UsbDevice,
    device_at,
    hub_of,
    wait_until,
)
from harness_rigs.answers import AnswerWait
from harness_rigs.deaths import DeathNotes
from harness_rigs.usb.options import UsbOptions
from harness_rigs.usb.touch import ActuatorTouch

DEAF_S = 0.2
"""If the kernel was not told of the last loss, wait for its event this long before asking the bus."""


class Connection(Protocol):
    """What the key needs of a connection to it, so that the connection ends with the boot."""

    @property
    def is_over(self) -> bool:
        """Is it closed for good?"""

    def power_went(self) -> None:
        """Close it for good."""


class SerialInUse(Protocol):
    """What the key needs of the serial port that is open now."""

    def close(self) -> None: ...


class PluggedKey:
    """A key on a port of this host, from plug to unplug.

    :param rig: the rig's name, for messages.
    :ivar device: what was on the port when it was last found usable.
    :ivar stale: token of a device that has lost its power but whose nodes the kernel keeps.
    :ivar broken: the device with which a connection broke: it is leaving, even if it is still to be seen.
    :ivar left_us: when the connection in use was found broken; None while none is.
    :ivar named: token of the enumeration in which it was last found to be what the bench describes.
    :ivar is_named_key: has it ever been found to be that?
    :ivar on_loss: called with the instant at which a connection was found broken.
    :ivar serial_in_use: the open serial port; a second one is not opened beside it.
    :ivar came_us: when it was last given power: the switch has acted. :ivar ordered_us: when the switch was told to.
    :ivar switch: what switches its power, in words.
    :ivar identity: of the key, as the bench has it; None if it says none.
    :ivar cut_fd: returns a descriptor that is readable once the armed cut has fired; None while none is armed.
    """

    def __init__(
        self,
        rig: str,
        key: Key,
        options: UsbOptions,
        host: Host,
        clock: Clock,
        tap: Tap,
        touch: ActuatorTouch,
    ):
        self.rig, self.key, self.options, self.port = rig, key, options, options.port
        self.host, self.clock, self.tap, self.touch = host, clock, tap, touch
        self.answers = AnswerWait(clock, touch, options.answer_s)
        self.boots = 0
        self.device: UsbDevice | None = None
        self.stale: tuple[int, int] | None = None
        self.broken: UsbDevice | None = None
        self.left_us: int | None = None
        self.came_us: int | None = None
        self.ordered_us: int | None = None
        self.switch = "of this rig"
        self.identity: str | None = None
        self.cut_fd: Callable[[], int | None] = lambda: None
        self.named: tuple[int, int] | None = None
        self.is_named_key = False
        self.on_loss: Callable[[int], None] | None = None
        self.serial_in_use: SerialInUse | None = None
        self._interruptions = 0
        self._enumerated: tuple[int, int] | None = None
        """Token of the device that came after power was given and was found usable; None before that."""
        self._went_us: int | None = None
        self._is_deaf = False
        self._connections: list[Connection] = []
        self.deaths = DeathNotes()

    def on_port(self, port: str) -> PluggedKey:
        """The same key, looked for on another port of this host."""
        options = self.options.model_copy(update={"port": port})
        other = PluggedKey(self.rig, self.key, options, self.host, self.clock, Tap(self.clock), self.touch)
        other.is_named_key = True
        return other

    def presence(self, *, counted: bool = True) -> Presence:
        """What is on the port now.

        :param counted: count it if that has changed in this boot; False while our own switch takes the power.
        """
        there = device_at(self.host, self.port)
        token = there.token if there is not None else None
        if not counted:
            return Presence(self.boots, token, self._interruptions)
        if self._enumerated is not None and token != self._enumerated:
            self._interruptions += 1
            self._enumerated = token
        elif self._enumerated is None and self.device is not None:
            self._enumerated = self.device.token
        return Presence(self.boots, token, self._interruptions)

    def left_by_itself(self) -> None:
        """Count that it has left the port in this boot before its power went."""
        self._interruptions += 1

    # Power.

    def rest(self) -> None:
        """Wait until it has been without power for `off_s`.

        :raises RigError: it came back meanwhile: its switch bounces, or gives power by itself.
        """
        if self._went_us is not None:
            left_us = self._went_us + round(self.options.off_s * 1e6) - self.clock.now_us
            if left_us > 0 and (back := wait_until(self.host, self._come_back, left_us / 1e6)) is not None:
                raise self._not_off(back)

    def require_still_gone(self) -> None:
        """See that the port has stayed without power. Some kernels switch a port on again by themselves (uhubctl,
        issues 90 and 458).

        :raises RigError: the key is on the bus.
        """
        if self._went_us is not None and (back := self._come_back()) is not None:
            raise self._not_off(back)

    def _come_back(self) -> UsbDevice | None:
        there = device_at(self.host, self.port)
        return None if there is None or there.token == self.stale else there

    def _not_off(self, there: UsbDevice) -> RigError:
        return PowerCameBack(
            f'rig "{self.rig}": the key came back while its port was switched off',
            found=f"{there.shown()} on port {self.port}; its switch ({self.switch}) had been told to keep it off",
            expected="no power until it is switched on",
            mend="the switch bounces, or something else switches this port (the kernel does so with some hubs): "
            "use a relay, or another one",
        )

    def power_comes(self) -> None:
        """Note that the switch is told now: it may have acted long before it says so, as a hub whose lock is taken."""
        self.ordered_us = self.clock.now_us

    def power_came(self) -> int:
        """Note that it has been given power; returns when."""
        self.came_us = self.clock.now_us
        self.boots += 1
        self.left_us = self._enumerated = None
        return self.came_us

    def power_went(self) -> None:
        """Note that its power has been taken."""
        self._went_us = self.clock.now_us

    def see_it_go(self, since_us: int = 0) -> int | None:
        """Wait until it is gone from the bus, and close its nodes; returns when it was gone.

        :param since_us: when its switch was told.
        :returns: None if it was not on the bus then, because it was rebooting: nobody saw when its power went.
        :raises RigError: it is still there: the switch does not switch its power.
        """
        limit_s = min(self.options.gone_s, DEAF_S) if self._is_deaf else self.options.gone_s
        gone_us = wait_until(self.host, self._gone_us, limit_s)
        if gone_us is None:
            gone_us = self._ask_the_bus()
        left_us = self.left_us
        self.close_connections()
        self.device = None
        if left_us is None:
            return gone_us
        return min(gone_us, left_us) if left_us >= since_us else None

    def _gone_us(self) -> int | None:
        there = device_at(self.host, self.port)
        if there is None or there.token == self.stale:
            return self.clock.now_us
        return None

    def _ask_the_bus(self) -> int:
        """The kernel was not told that it went: does it still answer?"""
        there = device_at(self.host, self.port)
        if there is None:
            return self.clock.now_us
        answers = self.host.usb_answers(there.bus, there.number)
        # A request that runs out of time may be a busy key's, or one that nobody heard: the hub tells them apart.
        if answers is False or (answers and self._hub_sees_nothing()):
            # Its nodes stay until the power returns: they must not be taken for those of the next boot.
            self.stale, self._is_deaf = there.token, True
            return self.clock.now_us
        if answers is None:
            raise RigError(
                f'rig "{self.rig}": it cannot be told whether the key has gone',
                found=f"the kernel still shows it, and you may not open "
                f"/dev/bus/usb/{there.bus:03}/{there.number:03} to ask it",
                expected="a udev rule that lets you",
                mend="sudo keyharness doctor --install-udev-rules, then plug the key in again",
            )
        raise RigError(
            f'rig "{self.rig}": the key was still on the bus {self.options.gone_s:g} s after its port '
            "was switched off",
            found=f"{there.shown()} on port {self.port}; its switch ({self.switch}) had been told to cut it",
            expected="that the key goes: a switch that reports off and does not cut proves nothing",
            mend="use a relay or a hub that `keyharness calibrate` accepts; docs/rigs.md lists some",
        )

    def _hub_sees_nothing(self) -> bool:
        """Does the hub say that the port is empty?"""
        name, number = hub_of(self.port)
        hub = device_at(self.host, name)
        return hub is not None and self.host.hub_sees_device(hub.bus, hub.number, number) is False

    # Connections.

    def keep(self, connection: Connection) -> None:
        """Close a connection when the power has gone."""
        self._connections = [one for one in self._connections if not one.is_over]
        self._connections.append(connection)

    def close_connections(self) -> None:
        """Close all connections. A node that stays open makes the kernel give the next one another number."""
        while self._connections:
            one = self._connections.pop()
            try:
                one.power_went()
            except OSError:
                continue

    @property
    def was_cut(self) -> bool:
        """Has the armed cut fired?"""
        fd = self.cut_fd()
        return fd is not None and bool(select.select([fd], [], [], 0)[0])

    def note_lost(self) -> None:
        """A connection was found broken."""
        if self.left_us is None:
            self.left_us = self.clock.now_us
            if self.on_loss is not None:
                self.on_loss(self.left_us)

    def note_hang(self, limit_s: float | None = None) -> None:
        """Note that it gave no answer within its limit. One whose power was cut does not hang."""
        if not self.was_cut:
            self.deaths.note(f"hung: {self.answers.limit_words(limit_s)}")

    # What is on the port.

    @property
    def face(self) -> str:
        """Name of the face that is on the port; "application" if nothing of the key's is."""
        there = device_at(self.host, self.port)
        face = self.face_of(there) if there is not None else None
        return face.name if face is not None else "application"

    def face_of(self, device: UsbDevice) -> Face | None:
        for face in self.key.faces:
            if (face.vendor_id, face.product_id) in ((device.vendor_id, device.product_id), (0, 0)):
                return face
        return None

    def usable(self) -> UsbDevice | None:
        """The device on the port, once there is a node through which its face is reached."""
        device = device_at(self.host, self.port)
        if device is None or device.token == self.stale or self._is_leaving(device):
            return None
        if self.face_of(device) is None and not self.is_named_key:
            # Another device does not become the key by waiting.
            return device
        if self.face_of(device) is None or not device.complete:
            return None
        return device if all(map(self.host.may_open, device.nodes)) else None

    def _is_leaving(self, device: UsbDevice) -> bool:
        """Did a connection to it just break? A key that reboots is seen for a moment longer."""
        return self.broken is not None and (device.token, device.hidraw) == (
            self.broken.token,
            self.broken.hidraw,
        )
