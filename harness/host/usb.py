"""Read from sysfs which device is on a USB port now. No device is opened.

A port is named as sysfs names the device on it: "1-1.4.1" is bus 1, port 1, port 4 of the hub there, port 1
of the hub there. Node numbers (hidraw3, ttyACM0) are the kernel's and change from plug to plug; a device is
told from its predecessor on the same port by its number on the bus and its folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.base.visible import visible
from harness.host.host import Host

PORT = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")
FIDO_USAGE = bytes.fromhex("06d0f1")
"""Usage page 0xF1D0 in a report descriptor (CTAP 2.1, section 11.2.8.1)."""
CCID_CLASS, HUB_CLASS, HID_CLASS, CDC_CLASS, ACM_SUBCLASS = "0b", "09", "03", "02", "02"
"""USB-IF's class codes; ACM: CDC 1.2, table 4."""


@dataclass(frozen=True)
class HidNode:
    """One HID interface that has a device node.

    :ivar node: path of the node in the host's dev/.
    :ivar fido: whether its reports are CTAPHID's.
    """

    node: Path
    interface: int
    fido: bool
    descriptor: bytes


@dataclass(frozen=True)
class UsbDevice:
    """One device, from one enumeration.

    :ivar token: differs between two enumerations on one port.
    :ivar release: bcdDevice, e.g. "0108".
    :ivar complete: whether every interface that gets a device node has it by now.
    :ivar authorized: False if a policy (USBGuard, for example) keeps the kernel from using the device.
    :ivar serial: None if the descriptor has no serial number, or an empty one.
    """

    port: str
    folder: Path
    token: tuple[int, int]
    bus: int
    number: int
    vendor_id: int
    product_id: int
    release: str
    product: str
    serial: str | None
    hidraw: tuple[HidNode, ...]
    ttys: tuple[Path, ...]
    has_card: bool
    is_hub: bool
    complete: bool = True
    authorized: bool = True

    @property
    def fido(self) -> HidNode | None:
        return next((node for node in self.hidraw if node.fido), None)

    @property
    def nodes(self) -> list[Path]:
        """The nodes that clients open: that of CTAPHID if there is one, else serial ports and other HID nodes."""
        return [self.fido.node] if self.fido is not None else [*self.ttys, *(one.node for one in self.hidraw)]

    @property
    def ids(self) -> str:
        return f"{self.vendor_id:04x}:{self.product_id:04x}"

    def shown(self) -> str:
        """Return the device's ids and name, for messages."""
        serial = f", serial {self.serial}" if self.serial else ""
        return f"{self.ids} {self.product or 'a device'}{serial}"


def device_at(host: Host, port: str) -> UsbDevice | None:
    """Return the device on a port; None if there is none, or it left while it was read."""
    folder = host.sys / "bus/usb/devices" / port
    try:
        return _read(host, port, folder.resolve(strict=True))
    except (OSError, ValueError):
        return None


def devices(host: Host) -> Iterator[UsbDevice]:
    """Yield all devices, hubs included, in the order of their ports."""
    try:
        names = [entry.name for entry in (host.sys / "bus/usb/devices").iterdir()]
    except OSError:
        return
    for name in sorted((name for name in names if PORT.fullmatch(name)), key=port_order):
        if (device := device_at(host, name)) is not None:
            yield device


def port_order(port: str) -> list[int]:
    """Return the sort key of a port: 1-1.10 comes after 1-1.9."""
    return [int(part) for part in re.split(r"[-.]", port)]


def hub_of(port: str) -> tuple[str, int]:
    """Return the hub of a port, as sysfs names it, and the port's number there: ("1-1.4", 1), ("usb1", 3)."""
    before, dot, last = port.rpartition(".")
    if dot:
        return before, int(last)
    bus, _, number = port.partition("-")
    return f"usb{bus}", int(number)


def port_folder(host: Host, port: str) -> Path | None:
    """Return the hub's folder of a port, which exists without a device; None if the hub has no such port."""
    hub, number = hub_of(port)
    base = host.sys / "bus/usb/devices" / hub
    name = hub.removeprefix("usb") + "-0" if hub.startswith("usb") else hub
    found = sorted(base.glob(f"{name}:*/{hub}-port{number}"))
    return found[0] if found else None


def _read(host: Host, port: str, folder: Path) -> UsbDevice:
    interfaces = sorted(entry for entry in folder.iterdir() if entry.name.startswith(f"{port}:"))
    serial = _text(folder / "serial")
    return UsbDevice(
        port=port,
        folder=folder,
        token=(int((folder / "devnum").read_text()), folder.stat().st_ino),
        bus=int((folder / "busnum").read_text()),
        number=int((folder / "devnum").read_text()),
        vendor_id=int((folder / "idVendor").read_text(), 16),
        product_id=int((folder / "idProduct").read_text(), 16),
        release=_text(folder / "bcdDevice"),
        product=_text(folder / "product"),
        # Some firmware gives a string of zeros where it has no serial number.
        serial=serial if serial.strip("0") else None,
        hidraw=tuple(node for one in interfaces for node in _hidraw(host, one)),
        ttys=tuple(host.dev / tty.name for one in interfaces for tty in _ttys(one)),
        has_card=any(_text(one / "bInterfaceClass") == CCID_CLASS for one in interfaces),
        is_hub=_text(folder / "bDeviceClass") == HUB_CLASS,
        complete=len(interfaces) >= max(1, int(_text(folder / "bNumInterfaces") or 0))
        and all(map(_has_its_node, interfaces)),
        authorized=_text(folder / "authorized") != "0",
    )


def _has_its_node(interface: Path) -> bool:
    kind = _text(interface / "bInterfaceClass")
    if kind == HID_CLASS:
        return any(interface.glob("*/hidraw/hidraw*"))
    if kind == CDC_CLASS and _text(interface / "bInterfaceSubClass") == ACM_SUBCLASS:
        return bool(_ttys(interface))
    return True


def _hidraw(host: Host, interface: Path) -> Iterator[HidNode]:
    for raw in sorted(interface.glob("*/hidraw/hidraw*")):
        descriptor = (raw.parent.parent / "report_descriptor").read_bytes()
        yield HidNode(
            host.dev / raw.name,
            int(interface.name.rpartition(".")[2]),
            descriptor.startswith(FIDO_USAGE),
            descriptor,
        )


def _ttys(interface: Path) -> list[Path]:
    # CDC-ACM has tty/ttyACM0, a serial converter ttyUSB0/tty/ttyUSB0.
    return sorted([*interface.glob("tty/tty*"), *interface.glob("tty*/tty/tty*")])


def _text(path: Path) -> str:
    try:
        return visible(path.read_text(encoding="utf-8", errors="replace").strip())
    except OSError:
        return ""
