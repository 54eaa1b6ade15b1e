"""The rig with a real key: one USB port, a switch for its power, and the nodes that the kernel makes for it.

The rig is bound to the port, not to a node. All waits end with a device event.
"""

from __future__ import annotations

import copy
import hashlib
import os
import threading
from collections.abc import Hashable, Mapping
from typing import Any

from harness.api import (
    ActuatorRequest,
    CallerError,
    Driver,
    Found,
    Host,
    KernelLog,
    KeyGone,
    KeyharnessError,
    LiveCutter,
    Lock,
    MonotonicClock,
    PowerSwitch,
    Presence,
    Rig,
    RigInfo,
    RigRequest,
    Tap,
    Touch,
    Transports,
    UsbDevice,
    Vault,
    device_at,
    here,
    hub_of,
    port_folder,
    wait_until,
)
from harness_rigs.usb import find as usb_find
from harness_rigs.usb.cutter import UsbCutter
from harness_rigs.usb.options import UsbOptions
from harness_rigs.usb.plugged_key import PluggedKey
from harness_rigs.usb.power import PortSwitch
from harness_rigs.usb.probe_vault import ProbeVault
from harness_rigs.usb.touch import ActuatorTouch
from harness_rigs.usb.transports import UsbTransports

NOT_TOLD = "not told"


class UsbRig(Rig):
    """A key on a port of this host.

    :ivar plugged: the device under test.
    :ivar actuator: the bench's power switch, bare.
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
        touch = ActuatorTouch(self._make_touch(request), self.clock)
        self.touch: Touch = touch
        self.plugged = PluggedKey(self.name, self.key, self.options, self.host, self.clock, self.tap, touch)
        if request.power is not None:
            self.plugged.switch = f"{request.power.driver.name}, {request.power.channel}"
        self.plugged.identity = request.identity
        cutter = self._cutter = UsbCutter(self, self.plugged, self.actuator)
        self.plugged.cut_fd = lambda: cutter.fired_fd
        self.power: PowerSwitch = PortSwitch(self.plugged, self.actuator, self._cutter)
        self.transports: Transports = UsbTransports(self, self.plugged)
        self.shared = f"port usb:{self.port}"
        self.domains = (f"hub usb:{hub_of(self.port)[0]}",)
        self.plugged.on_loss = self._note_loss
        self._vault: ProbeVault | None = None
        if (flash := self.options.flash) is not None:
            self._vault = ProbeVault(self.name, flash, lambda: self.power.off())
        self._boot_us = 0
        self._firmware: str | None = None
        self._log: KernelLog | None = None

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

    @property
    def vault(self) -> Vault | None:
        return self._vault

    @property
    def boot_us(self) -> int:
        return self._boot_us

    @property
    def talk_us(self) -> int:
        return self.plugged.answers.spent_us

    @property
    def presence(self) -> Presence:
        # What leaves after a cut has fired was interrupted by our own switch.
        return self.plugged.presence(counted=self.power.is_on and not self._cutter.has_fired)

    @property
    def hub_enumeration(self) -> Hashable:
        hub = device_at(self.host, hub_of(self.port)[0])
        return hub.token if hub is not None else None

    @property
    def came_us(self) -> int | None:
        return self.plugged.came_us

    @property
    def powered_us(self) -> int | None:
        return self.plugged.ordered_us

    @property
    def face(self) -> str:
        return self.plugged.face

    def wait_until_up(self) -> None:
        if not self.power.is_on:
            raise KeyGone(f'rig "{self.name}": its power is off')
        began_us = self.clock.now_us
        key, cutter = self.plugged, self._cutter
        # The first wait in a boot has what remains of its limit; later ones are for reboots by the key itself.
        since_us = began_us if key.device is not None or key.came_us is None else key.came_us
        left_us = since_us + round(self.options.up_s * 1e6) - began_us

        def look() -> tuple[UsbDevice | None] | None:
            there = key.usable()
            if cutter.has_fired:
                # Nothing comes up any more, whatever is still to be seen. But what was in use may be asked until it
                # does not answer: a switch takes its time, and the last answer says how long.
                in_use = there is not None and there.token == key.named and key.left_us is None
                return (there if in_use else None,)
            return None if there is None else (there,)

        looked = wait_until(self.host, look, max(0, left_us) / 1e6, also=cutter.fired_fd)
        self._boot_us += self.clock.now_us - began_us
        if looked is None:
            raise usb_find.why_not_up(key, self._ask_uuid)
        (found,) = looked
        if found is None:
            raise KeyGone(f'rig "{self.name}": its power was cut before it was up')
        key.device = found
        _ = self.presence
        if key.named != found.token:
            # What is guarded is asked for its UUID when a client opens it, not in its boot.
            ask = self._ask_uuid if self.transports.guard is None else None
            usb_find.require_named_key(key, found, self._ask_uuid, ask)
            key.named, key.is_named_key = found.token, True

    def _ask_uuid(self, device: UsbDevice) -> str:
        """The UUID that the key on a device tells, on this port or on another; "" if it tells none."""
        # On another port nothing is switched: the copy only opens what is there.
        asked = copy.copy(self)
        asked.plugged = self.plugged if device.port == self.port else self.plugged.on_port(device.port)
        asked.tap = asked.plugged.tap
        asked.transports = UsbTransports(asked, asked.plugged)
        before = asked.plugged.named, asked.plugged.is_named_key
        asked.plugged.named, asked.plugged.is_named_key = device.token, True
        try:
            return self.key.told(asked).get("uuid", "")
        except (KeyharnessError, OSError):
            return ""
        finally:
            asked.plugged.named, asked.plugged.is_named_key = before
            if asked.plugged is not self.plugged:
                asked.plugged.close_connections()

    def _note_loss(self, at_us: int) -> None:
        # What leaves after a cut has fired was taken away by our own switch.
        if self.losses is not None and self.power.is_on and not self._cutter.has_fired:
            self.losses.lost(at_us)

    def take_deaths(self) -> list[str]:
        return self.plugged.deaths.take()

    def take_log(self) -> list[str]:
        if self._log is None:
            self._log = KernelLog(self.host, self.port)
        return self._log.take()

    @property
    def plugs(self) -> Mapping[str, int] | None:
        return self._log.tally.row() if self._log is not None else None

    @property
    def firmware(self) -> str:
        """The firmware version: as the key says, asked once; as its USB descriptor says while another process has
        the key.
        """
        if self._firmware is not None:
            return self._firmware
        if self.identity is not None:
            # This process has claimed it: it may be switched on to be asked.
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
            told = self.key.told(self).get("firmware")
            if told:
                return told
        except (KeyharnessError, OSError):
            pass
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
            self.plugged.close_connections()
        self._cutter.close()
        if self._log is not None:
            self._log.close()


def _release(device: UsbDevice) -> str:
    """bcdDevice as a version; a Nitrokey 3 has major and minor there."""
    try:
        return f"v{int(device.release[:-2], 16)}.{int(device.release[-2:], 16)} (USB)"
    except ValueError:
        return NOT_TOLD


def _enrol(found: Found) -> Mapping[str, Any] | None:
    """Settings for a key on a port: the hub switches it if the kernel can, else a person. A relay cannot be seen."""
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
