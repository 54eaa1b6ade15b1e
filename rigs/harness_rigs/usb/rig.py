"""The rig with a real key: one USB port, a switch for its power, and the nodes that the kernel makes for it.

The rig is bound to the port. Whatever is on it is read from sysfs anew for each boot, because nodes change
their numbers from plug to plug; all waits end with a device event. What cannot be heard (a hub that takes
the power without telling the kernel) is asked of the bus itself.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from typing import Any

from harness.base.clock import MonotonicClock
from harness.base.errors import CallerError, KeyharnessError, RigError
from harness.bench.plugin_api import ActuatorRequest, Driver, RigRequest
from harness.host.host import Host, here
from harness.host.kernel_log import KernelLog
from harness.host.locks import Lock
from harness.host.scan import Found
from harness.host.uevents import wait_until
from harness.host.usb import UsbDevice, device_at, port_folder
from harness.model.key import Face
from harness.model.rig import KeyGone, LiveCutter, PowerSwitch, Rig, RigInfo, Touch
from harness.model.tap import Tap
from harness_rigs.usb import find as usb_find
from harness_rigs.usb.cutter import UsbCutter
from harness_rigs.usb.hid import Hidraw
from harness_rigs.usb.options import UsbOptions
from harness_rigs.usb.serial import UsbSerial
from harness_rigs.usb.switch import Switch
from harness_rigs.usb.touch import Finger
from harness_rigs.usb.transports import UsbTransports

NOT_TOLD = "not told"
DEAF_S = 0.2
"""So long is a kernel waited for that was not told the last time either, before the bus is asked."""


class UsbRig(Rig):
    """A key on a port of this host.

    :ivar actuator: the bench's power switch, bare.
    :ivar device: what was on the port when it was last looked at and found usable.
    :ivar broken: the device with which a connection broke off: it is leaving, even if it is still to be seen.
    :ivar left_us: when the connection in use was found broken, None while none is.
    """

    evidence_kind = "hardware"

    def __init__(self, request: RigRequest):
        self.name, self.key, self.seed = request.name, request.key, request.seed
        self.expendable = request.expendable
        self.options: UsbOptions = request.options
        self.port = self.options.port
        self.host: Host = here()
        self.clock = MonotonicClock()
        self.tap = Tap(self.clock)
        if port_folder(self.host, self.port) is None and device_at(self.host, self.port) is None:
            raise usb_find.no_such_port(self.host, self.name, self.port)
        self.actuator = self._make_switch(request)
        self.finger = Finger(self._make_touch(request), self.clock)
        self.power: PowerSwitch = Switch(self)
        self.touch: Touch = self.finger
        self.transports = UsbTransports(self)
        self.shared = f"port usb:{self.port}"
        self.boots = 0
        self.device: UsbDevice | None = None
        self.left_us: int | None = None
        self.broken: UsbDevice | None = None
        self.stale: tuple[int, int] | None = None
        self._is_deaf = False
        self._went_us: int | None = None
        self.came_us = None
        self.is_named_key = False
        self._open: list[Any] = []
        self._deaths: list[str] = []
        self._firmware: str | None = None
        self._log: KernelLog | None = None
        self._cutter = UsbCutter(self)

    def _actuator_request(self, options: Any) -> ActuatorRequest:
        return ActuatorRequest(self.name, options, self.port, self.host, self.clock)

    def _make_switch(self, request: RigRequest) -> PowerSwitch:
        if request.power is None:
            raise CallerError(
                f'rig "{self.name}" · power',
                found="nothing",
                expected="what switches its power",
                mend='e.g. [rig.power] driver = "hub"; `keyharness list` shows the drivers',
            )
        made = request.power.driver.make(self._actuator_request(request.power.options))
        assert isinstance(made, PowerSwitch)
        return made

    def _make_touch(self, request: RigRequest) -> Touch | None:
        if request.touch is None:
            return None
        made = request.touch.driver.make(self._actuator_request(request.touch.options))
        assert isinstance(made, Touch)
        return made

    @property
    def cutter(self) -> LiveCutter:
        return self._cutter

    # Power.

    def rest(self) -> None:
        """Wait for what remains of the time that the key has to be without power."""
        if self._went_us is not None:
            left_us = self._went_us + round(self.options.off_s * 1e6) - self.clock.now_us
            if left_us > 0:
                self.clock.wait_us(left_us)

    def require_still_gone(self) -> None:
        """Kernels have been seen to give a port its power back by themselves (uhubctl, issues 90 and 458).

        :raises RigError: it is on the bus, and nobody has switched it on.
        """
        if self._went_us is None or self._gone_us() is not None:
            return
        there = device_at(self.host, self.port)
        if there is not None:
            raise RigError(
                f'rig "{self.name}": the key came back while its port was switched off',
                found=f"{there.shown()} on port {self.port}",
                expected="no power until it is switched on",
                mend="something else switches this port: the kernel does so with some hubs; use a relay",
            )

    def power_came(self) -> None:
        self.came_us = self.clock.now_us
        self.boots += 1
        self.left_us = None
        self._cutter.power_came(self.came_us)

    def power_went(self) -> None:
        self._went_us = self.clock.now_us
        self._cutter.forget()

    def see_it_go(self) -> int:
        """When the key was seen to be gone from the bus; its nodes are closed then.

        :raises RigError: it is still there: the switch does not switch its power.
        """
        limit_s = min(self.options.gone_s, DEAF_S) if self._is_deaf else self.options.gone_s
        gone_us = wait_until(self.host, self._gone_us, limit_s)
        if gone_us is None:
            gone_us = self._ask_the_bus()
        if self.left_us is not None:
            gone_us = min(gone_us, self.left_us)
        self._close_nodes()
        self.device = None
        return gone_us

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
        if answers is False:
            # Its nodes stay until the power returns, and are not to be taken for the next boot's.
            self.stale, self._is_deaf = there.token, True
            return self.clock.now_us
        if answers is None:
            raise RigError(
                f'rig "{self.name}": nobody can tell whether the key has gone',
                found=f"the kernel still shows it, and /dev/bus/usb/{there.bus:03}/{there.number:03} "
                "may not be opened by you to ask it",
                expected="a udev rule that lets you",
                mend="sudo keyharness doctor --install-udev-rules, then plug the key in again",
            )
        raise RigError(
            f'rig "{self.name}": the key was still on the bus {self.options.gone_s:g} s after its port '
            "was switched off",
            found=f"{there.shown()} on port {self.port}",
            expected="that it goes: a switch that says so and does not switch proves nothing",
            mend="use a relay or a hub that `keyharness calibrate` accepts; docs/rigs.md lists some",
        )

    def _close_nodes(self) -> None:
        # A node that is held open makes the kernel give the next one another number.
        while self._open:
            one = self._open.pop()
            try:
                if isinstance(one, UsbSerial):
                    one.power_went()
                else:
                    one.close()
            except OSError:
                continue

    def alone(self, port: UsbSerial) -> None:
        """The serial port is about to be opened: nobody else may have it."""
        for one in self._open:
            if isinstance(one, UsbSerial) and one is not port:
                one.close()

    def keep(self, node: Any) -> None:
        """Close it when the power has gone."""
        self._open = [one for one in self._open if not (isinstance(one, Hidraw) and one.fd is None)]
        self._open.append(node)

    def opened(self, node: Any) -> Hidraw:
        """A hidraw node, opened.

        :raises RigError: this user may not open it.
        :raises KeyGone: it has gone meanwhile.
        """
        try:
            link = Hidraw(self, self.host.open_hidraw(node))
        except OSError as error:
            raise usb_find.not_opened(self.name, node, error) from None
        self.left_us = None
        self.keep(link)
        return link

    # What is on the port.

    @property
    def face(self) -> str:
        there = device_at(self.host, self.port)
        face = self.face_of(there) if there is not None else None
        return face.name if face is not None else "application"

    def face_of(self, device: UsbDevice) -> Face | None:
        for face in self.key.faces:
            if (face.vendor_id, face.product_id) in ((device.vendor_id, device.product_id), (0, 0)):
                return face
        return None

    def wait_until_up(self) -> None:
        if not self.power.is_on:
            raise KeyGone(f'rig "{self.name}": its power is off')
        began_us = self.clock.now_us
        # A first wait in a boot has what remains of its limit; later ones are for reboots of the key's own.
        since_us = began_us if self.device is not None or self.came_us is None else self.came_us
        left_us = since_us + round(self.options.up_s * 1e6) - began_us
        cutter = self._cutter

        def look() -> tuple[UsbDevice | None] | None:
            # Once its power was cut nothing comes up any more, whatever is still to be seen.
            if cutter.has_fired:
                return (None,)
            there = self._usable()
            return None if there is None else (there,)

        limit_s = max(0, left_us) / 1e6
        looked = wait_until(self.host, look, limit_s, also=cutter.fired_fd)
        self.boot_us += self.clock.now_us - began_us
        if looked is None:
            raise usb_find.why_not_up(self)
        (found,) = looked
        if found is None:
            raise KeyGone(f'rig "{self.name}": its power was cut before it was up')
        self.device = found
        if not self.is_named_key:
            usb_find.require_named_key(self, found)
            self.is_named_key = True

    def _usable(self) -> UsbDevice | None:
        """The device on the port, once there is a node through which its face is reached."""
        device = device_at(self.host, self.port)
        if device is None or device.token == self.stale or self._is_leaving(device):
            return None
        if self.face_of(device) is None and not self.is_named_key:
            # Another device does not become the key by waiting.
            return device
        if self.face_of(device) is None or not device.complete:
            return None
        return device if all(map(self.host.may_open, usb_find.nodes_of(device))) else None

    def _is_leaving(self, device: UsbDevice) -> bool:
        """Is it what a connection has just broken off with? A key that reboots is seen for a moment longer."""
        return self.broken is not None and (device.token, device.hidraw) == (
            self.broken.token,
            self.broken.hidraw,
        )

    # What became of it.

    def note_lost(self) -> None:
        """A connection was found broken."""
        if self.left_us is None:
            self.left_us = self.clock.now_us

    def note_death(self, how: str) -> None:
        if how not in self._deaths:
            self._deaths.append(how)

    def take_deaths(self) -> list[str]:
        deaths, self._deaths = self._deaths, []
        return deaths

    def take_log(self) -> list[str]:
        if self._log is None:
            self._log = KernelLog(self.host, self.port)
        return self._log.take()

    @property
    def plugs(self) -> Mapping[str, int] | None:
        return self._log.tally.row() if self._log is not None else None

    # What a report says of it.

    @property
    def firmware(self) -> str:
        """What the key says of itself, asked once; by its USB descriptor while it is not ours to ask."""
        if self._firmware is not None:
            return self._firmware
        if self.identity is not None:
            # Custody has it: it may be switched on to be asked.
            was_on = self.power.is_on
            self.power.on()
            self._firmware = self._asked()
            if not was_on:
                self.power.off()
            return self._firmware
        holder = Lock(self.shared or "").holder()
        ours = holder is None or holder.pid == os.getpid()
        if ours and self.power.is_on and device_at(self.host, self.port) is not None:
            self._firmware = self._asked()
            return self._firmware
        there = device_at(self.host, self.port)
        return _release(there) if there is not None else NOT_TOLD

    def _asked(self) -> str:
        try:
            self.wait_until_up()
            return self.key.identify(self).get("firmware") or NOT_TOLD
        except (KeyharnessError, OSError, ValueError):
            there = device_at(self.host, self.port)
            return _release(there) if there is not None else NOT_TOLD

    def info(self) -> RigInfo:
        transport = f"USB port {self.port}"
        if self.remark:
            transport += f"; {self.remark}"
        return RigInfo(
            self.name, self.key.name, self.key.title, self.firmware, None, transport, self.expendable
        )

    def fingerprint(self) -> str:
        parts = (self.key.name, self.firmware, "usb")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def close(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._close_nodes()
        self._cutter.close()
        if self._log is not None:
            self._log.close()


def _release(device: UsbDevice) -> str:
    """bcdDevice as a version; a Nitrokey 3 has major and minor there (facts/keys.md 1.1)."""
    try:
        return f"v{int(device.release[:-2], 16)}.{int(device.release[-2:], 16)} (USB)"
    except ValueError:
        return NOT_TOLD


def _enrol(found: Found) -> Mapping[str, Any] | None:
    """A key on a port whose power the kernel can switch, or a person; a relay nobody sees from here."""
    folder = port_folder(here(), found.place) if found.kind in ("hidraw", "card") else None
    if folder is None:
        return None
    switch = "hub" if (folder / "disable").exists() else "hand"
    settings: dict[str, Any] = {"port": found.place, "power": {"driver": switch}}
    return {**settings, "serial": found.serial} if found.serial else settings


USB = Driver(
    "usb",
    "a real key on a USB port, with a switch for its power",
    UsbOptions,
    UsbRig,
    _enrol,
    actuated=True,
)
