"""One port of a hub as a channel: both halves of it, through sysfs or by requests to the hub."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.api import ActuatorRequest, CutAction, Ioctl, Write
from harness_rigs.power import hubrequests
from harness_rigs.power.board_errors import Unexpected, place_of
from harness_rigs.power.descriptor import Descriptor
from harness_rigs.power.hubtree import Hub, hub, on_port
from harness_rigs.power.switch import Channel
from harness_rigs.power.usbdevice import opened, usb_node

Way = Literal["auto", "sysfs", "request", "both"]
SUPERSPEED_OFF_US = 150_000
"""Pause that a USB 3 half needs after it was switched off (uhubctl)."""


@dataclass(frozen=True)
class Half:
    """A port on one half of a hub."""

    hub: Hub
    number: int

    @property
    def name(self) -> str:
        return self.hub.port_name(self.number)

    @property
    def disable(self) -> Path | None:
        """The sysfs file that switches the port (Linux 6.0 and later); None if it is not there."""
        folder = self.hub.port_folder(self.number)
        return folder / "disable" if folder is not None and (folder / "disable").exists() else None


class HubPort(Channel):
    """A port of a hub.

    :param halves: first the half that the key is on.
    """

    driver = "hub"

    def __init__(self, request: ActuatorRequest, halves: list[Half], way: Way):
        self._request, self._halves, self._way = request, halves, way
        first = halves[0]
        self.number = first.number
        # The lower of the two names, so that both halves have one lock.
        self.board = f"hub {min(half.hub.name for half in halves)}"
        self.name = f"{first.hub.name} port {first.number}"
        self.node = usb_node(first.hub.device)
        self._cut_handle: Descriptor | None = None
        # Through sysfs the kernel takes the key off the bus, and then its power.
        self.seen_after = way in ("request", "both") or (way == "auto" and first.disable is None)

    @contextmanager
    def opened(self) -> Iterator[None]:
        self._refresh()
        yield

    def set(self, active: bool) -> None:
        if not active:
            self._refuse_others()
        for half in reversed(self._halves):
            self._switch(half, active)
        if not active and any(half.hub.superspeed for half in self._halves):
            self._request.clock.wait_us(SUPERSPEED_OFF_US)

    def read(self) -> bool:
        # The halves share VBUS: it is on as long as one half is.
        return any(self._is_powered(half) for half in self._halves)

    def cut_action(self, active: bool) -> CutAction | None:
        """Switch off all but the key's half now, which the key does not notice; that half is left to the cutter."""
        self._refresh()
        self._refuse_others()
        self.close_cut_action()
        first, *others = self._halves
        for half in others:
            self._switch(half, active)
        if others:
            self._request.clock.wait_us(SUPERSPEED_OFF_US)
        if first.disable is not None and self._way in ("auto", "sysfs"):
            try:
                self._cut_handle = Descriptor(first.disable, os.O_WRONLY)
                return Write(self._cut_handle.fd, b"1")
            except PermissionError:
                if self._way == "sysfs":
                    raise
        self.node = usb_node(first.hub.device)
        self._cut_handle = Descriptor(self._request.host.root / self.node.lstrip("/"), os.O_RDWR)
        return Ioctl(
            self._cut_handle.fd, hubrequests.USBDEVFS_CONTROL, hubrequests.power_off_ioctl(first.number)
        )

    def after_cut(self) -> None:
        if self._way == "both":
            # The kernel has not noticed the cut: the key's nodes would stay until the power is back.
            self._refresh()
            self._switch(self._halves[0], False)

    def close_cut_action(self) -> None:
        if self._cut_handle is not None:
            self._cut_handle.close()
            self._cut_handle = None

    def _refresh(self) -> None:
        """Look the hubs up again: a replugged hub has another number on its bus."""
        fresh = []
        for half in self._halves:
            found = hub(self._request.host, half.hub.name)
            if found is None:
                self.node = f"hub {half.hub.name}"
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            fresh.append(Half(found, half.number))
        self._halves = fresh

    def _refuse_others(self) -> None:
        """Refuse other devices on the port: one may have been plugged in since the rig was made."""
        for at, half in enumerate(self._halves):
            device = on_port(self._request.host, half.hub, half.number)
            if device is not None and (device.is_hub or at > 0):
                raise Unexpected(
                    f"{device.shown()} at {half.name}",
                    "only the key on a port that is switched",
                    "take it out, or give the key a port of its own",
                )

    def _switch(self, half: Half, on: bool) -> None:
        if self._way == "both" and not on:
            self._request_power(half, on)
        if half.disable is not None and self._way != "request":
            self.node = str(half.disable)
            try:
                with half.disable.open("wb", buffering=0) as file:
                    file.write(b"0" if on else b"1")
                return
            except PermissionError:
                if self._way != "auto":
                    raise
        self._request_power(half, on)

    def _request_power(self, half: Half, on: bool) -> None:
        self.node = usb_node(half.hub.device)
        with opened(self._request.host, half.hub.device, place_of(self._request)) as usb:
            hubrequests.set_power(usb, half.number, on)

    def _is_powered(self, half: Half) -> bool:
        if half.disable is not None and self._way != "request":
            self.node = str(half.disable)
            said = half.disable.read_text().strip()
            if said not in ("0", "1"):
                raise Unexpected(repr(said), '"0" or "1"')
            return said == "0"
        self.node = usb_node(half.hub.device)
        with opened(self._request.host, half.hub.device, place_of(self._request)) as usb:
            return hubrequests.is_powered(usb, half.number, half.hub.superspeed)
