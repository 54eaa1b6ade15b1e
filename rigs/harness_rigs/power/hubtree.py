"""Hubs and their ports as sysfs shows them: which port is which, what hangs on it, and its other half.

A USB 3 hub is two hubs in one case. The kernel links the ports of the halves (`peer`); where it does not, they
are paired by the container id of their BOS descriptors (USB 3.2, 9.6.2.3; hubs in one case share it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.api import HUB_CLASS, Host, UsbDevice, device_at

HUB = re.compile(r"usb\d+|\d+-\d+(\.\d+)*")


@dataclass(frozen=True)
class Hub:
    """One hub, or one half of one.

    :ivar name: "1-1.4", or "usb1" for a root hub.
    :ivar ports: how many it has.
    :ivar superspeed: whether it is the USB 3 half.
    """

    name: str
    folder: Path
    ports: int
    superspeed: bool
    bus: int
    number: int
    ids: str

    @property
    def device(self) -> UsbDevice:
        """The hub as a device to open."""
        return UsbDevice(
            port=self.name,
            folder=self.folder,
            token=(self.number, 0),
            bus=self.bus,
            number=self.number,
            vendor_id=int(self.ids[:4], 16),
            product_id=int(self.ids[5:], 16),
            release="",
            product="",
            serial=None,
            hidraw=(),
            ttys=(),
            has_card=False,
            is_hub=True,
        )

    def port_name(self, number: int) -> str:
        """What a device on a port is called: "1-1.4.2"."""
        if self.name.startswith("usb"):
            return f"{self.name.removeprefix('usb')}-{number}"
        return f"{self.name}.{number}"

    def port_folder(self, number: int) -> Path | None:
        """The port's own folder; None where the kernel shows none."""
        prefix = self.name.removeprefix("usb") + "-0" if self.name.startswith("usb") else self.name
        found = sorted(self.folder.glob(f"{prefix}:*/{self.name}-port{number}"))
        return found[0] if found else None


def hub(host: Host, name: str) -> Hub | None:
    """A hub by its name; None if there is none of that name."""
    folder = host.sys / "bus/usb/devices" / name
    if not HUB.fullmatch(name) or _text(folder / "bDeviceClass") != HUB_CLASS:
        return None
    try:
        return Hub(
            name,
            folder.resolve(),
            int(_text(folder / "maxchild") or 0),
            _text(folder / "version").startswith("3")
            or _text(folder / "speed") in ("5000", "10000", "20000"),
            int(_text(folder / "busnum")),
            int(_text(folder / "devnum")),
            f"{_text(folder / 'idVendor')}:{_text(folder / 'idProduct')}",
        )
    except ValueError:
        return None


def hubs(host: Host) -> list[Hub]:
    """All hubs that are there."""
    try:
        names = sorted(entry.name for entry in (host.sys / "bus/usb/devices").iterdir())
    except OSError:
        return []
    return [found for name in names if (found := hub(host, name)) is not None]


def linked_peer(host: Host, one: Hub, number: int) -> tuple[Hub, int] | None:
    """The port on the other half, as the kernel links it."""
    folder = one.port_folder(number)
    if folder is None or not (folder / "peer").exists():
        return None
    name, _, port = (folder / "peer").resolve().name.rpartition("-port")
    other = hub(host, name)
    return (other, int(port)) if other is not None and port.isdigit() else None


def connect_type(one: Hub, number: int) -> str:
    """What the firmware says of a port: "hotplug", "hardwired", "not used" or "unknown"."""
    folder = one.port_folder(number)
    return (_text(folder / "connect_type") if folder else "") or "unknown"


def on_port(host: Host, one: Hub, number: int) -> UsbDevice | None:
    """The device on a port; None if there is none."""
    return device_at(host, one.port_name(number))


def same_tail(one: Hub, other: Hub) -> bool:
    """Are two hubs at the same place below their root hubs? It tells equal hubs apart."""
    return one.name.partition("-")[2] == other.name.partition("-")[2]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
