"""The laboratory's /sys and /dev: hubs, ports and what is on them, as Linux shows them.

Folders, attribute files and symbolic links are those of a Linux 6 host; nothing else is modelled.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness.host.usb import hub_of

HOST_CONTROLLER = "devices/pci0000:00/0000:00:14.0"
FIDO_DESCRIPTOR = bytes.fromhex(
    "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"
)
"""Usage page FIDO, 64-byte reports each way (CTAP 2.1, section 11.2.8.1)."""
KEYBOARD_DESCRIPTOR = bytes.fromhex("05010906a1010507 19e029e7 1500 2501 7501 9508 8102 c0")


@dataclass(frozen=True)
class Look:
    """What a device shows of itself: a key in one face, or anything else.

    :ivar serial: None for SerialNumber=0: then sysfs has no such file.
    :ivar hid: report descriptors, one HID interface each.
    :ivar tty: a serial port's terminal, e.g. /dev/pts/7; None for none.
    """

    vendor_id: int
    product_id: int
    product: str
    serial: str | None = None
    release: str = "0108"
    hid: tuple[bytes, ...] = ()
    card: bool = False
    tty: str | None = None


@dataclass
class Shown:
    """What was put into the tree for one device, so that it can be taken out again.

    :ivar nodes: names of its nodes: hidraw3, ttyACM0.
    :ivar events: (subsystem, path below /sys, further pairs) in the order in which they were added.
    """

    port: str
    folder: Path
    number: int
    nodes: list[str] = field(default_factory=list)
    events: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)


class Tree:
    """sys/ and dev/ below a folder."""

    def __init__(self, root: Path):
        self.root = root
        self.sys, self.dev = root / "sys", root / "dev"
        for folder in (
            self.dev,
            root / "proc/net",
            self.sys / "bus/usb/devices",
            self.sys / "class/hidraw",
            self.sys / "class/tty",
        ):
            folder.mkdir(parents=True)
        self._number: dict[str, int] = {}
        self._hidraw = 0
        self.node_mode = 0o660

    def folder(self, device: str) -> Path:
        """Where a device's folder is, or would be: "usb1", "1-1", "1-1.4.1"."""
        if device.startswith("usb"):
            return self.sys / HOST_CONTROLLER / device
        return self.folder(hub_of(device)[0]) / device

    def hub(self, name: str, ports: int, *, switchable: bool) -> None:
        """A hub and those above it; one that is there already is left as it is."""
        folder = self.folder(name)
        if folder.exists():
            return
        root = name.startswith("usb")
        bus = name.removeprefix("usb").partition("-")[0]
        if not root and not self.folder(hub_of(name)[0]).exists():
            self.hub(hub_of(name)[0], 8, switchable=False)
        look = Look(0x1D6B, 2, "xHCI Host Controller") if root else Look(0x0BDA, 0x5411, "USB2.1 Hub")
        self._device(name, folder, look, int(bus), device_class="09")
        _write(folder, {"maxchild": ports, "speed": "480"})
        prefix = f"{bus}-0" if root else name
        interface = folder / f"{prefix}:1.0"
        interface.mkdir()
        _write(interface, {"bInterfaceClass": "09", "bInterfaceSubClass": "00", "bInterfaceProtocol": "01"})
        self._link(interface.name, interface)
        for number in range(1, ports + 1):
            port = interface / f"{name}-port{number}"
            port.mkdir()
            _write(port, {"connect_type": "hotplug", "over_current_count": 0, "state": "not attached"})
            if switchable:
                _write(port, {"disable": 0})
        if not root:
            self._on_port(name, folder)

    def show(self, port: str, look: Look) -> Shown:
        """A device appears on a port."""
        folder = self.folder(port)
        number = self._device(port, folder, look, int(port.partition("-")[0]))
        shown = Shown(port, folder, number, links=[self.sys / "bus/usb/devices" / port])
        ids = f"{look.vendor_id:x}/{look.product_id:x}/{int(look.release, 16):x}"
        shown.events.append(
            ("usb", self._path(folder), {"DEVTYPE": "usb_device", "PRODUCT": ids, "DEVNUM": f"{number:03}"})
        )
        self._on_port(port, folder)
        classes = [*("03" for _ in look.hid), *(["0b"] if look.card else []), *(["02"] if look.tty else [])]
        _write(folder, {"bNumInterfaces": len(classes)})
        for at, kind in enumerate(classes):
            interface = folder / f"{port}:1.{at}"
            interface.mkdir()
            _write(interface, {"bInterfaceNumber": f"{at:02}", "bInterfaceSubClass": "02"})
            _write(interface, {"bInterfaceClass": kind})
            self._link(interface.name, interface, shown)
            shown.events.append(("usb", self._path(interface), {"DEVTYPE": "usb_interface"}))
            if kind == "03":
                self._hid(shown, interface, look, look.hid[at])
            elif kind == "02":
                assert look.tty is not None
                self._tty(shown, interface, look.tty)
        return shown

    def hide(self, shown: Shown) -> None:
        """It has gone."""
        for link in shown.links:
            link.unlink()
        for node in shown.nodes:
            (self.dev / node).unlink()
        shutil.rmtree(shown.folder)
        hub, number = hub_of(shown.port)
        for port in self.folder(hub).glob(f"*:1.0/{hub}-port{number}"):
            (port / "device").unlink(missing_ok=True)
            _write(port, {"state": "not attached"})

    def port(self, port: str) -> Path:
        """The hub's own folder of a port."""
        hub, number = hub_of(port)
        (found,) = self.folder(hub).glob(f"*:1.0/{hub}-port{number}")
        return found

    def _path(self, folder: Path) -> str:
        return "/" + str(folder.relative_to(self.sys))

    def _device(self, name: str, folder: Path, look: Look, bus: int, device_class: str = "00") -> int:
        folder.mkdir(parents=True)
        number = self._number[str(bus)] = self._number.get(str(bus), 0) % 127 + 1
        _write(
            folder,
            {
                "idVendor": f"{look.vendor_id:04x}",
                "idProduct": f"{look.product_id:04x}",
                "bcdDevice": look.release,
                "bDeviceClass": device_class,
                "bConfigurationValue": 1,
                "busnum": bus,
                "devnum": number,
                "product": look.product,
                "speed": "12",
                "authorized": 1,
                **({"serial": look.serial} if look.serial is not None else {}),
            },
        )
        (folder / "power").mkdir()
        _write(folder / "power", {"control": "on"})
        link = self.sys / "bus/usb/devices" / name
        link.symlink_to(folder)
        return number

    def _on_port(self, name: str, folder: Path) -> None:
        port = self.port(name)
        (port / "device").symlink_to(folder)
        (folder / "port").symlink_to(port)
        _write(port, {"state": "configured"})

    def _hid(self, shown: Shown, interface: Path, look: Look, descriptor: bytes) -> None:
        number, self._hidraw = self._hidraw, self._hidraw + 1
        hid = interface / f"0003:{look.vendor_id:04X}:{look.product_id:04X}.{number + 1:04X}"
        raw = hid / "hidraw" / f"hidraw{number}"
        raw.mkdir(parents=True)
        (hid / "report_descriptor").write_bytes(descriptor)
        said = f"HID_ID=0003:0000{look.vendor_id:04X}:0000{look.product_id:04X}\nHID_NAME={look.product}\n"
        (hid / "uevent").write_text(said + f"HID_UNIQ={look.serial or ''}\n")
        (raw / "device").symlink_to(hid)
        self._node(shown, "hidraw", raw, self.dev / raw.name)
        (self.dev / raw.name).touch(mode=self.node_mode)

    def _tty(self, shown: Shown, interface: Path, terminal: str) -> None:
        name = f"ttyACM{number_of(shown.port)}"
        tty = interface / "tty" / name
        tty.mkdir(parents=True)
        self._node(shown, "tty", tty, self.dev / name)
        (self.dev / name).symlink_to(terminal)

    def _node(self, shown: Shown, subsystem: str, folder: Path, node: Path) -> None:
        link = self.sys / "class" / subsystem / folder.name
        link.symlink_to(folder)
        shown.links.append(link)
        shown.nodes.append(node.name)
        shown.events.append((subsystem, self._path(folder), {"DEVNAME": node.name}))

    def _link(self, name: str, folder: Path, shown: Shown | None = None) -> None:
        link = self.sys / "bus/usb/devices" / name
        link.symlink_to(folder)
        if shown is not None:
            shown.links.append(link)


def number_of(port: str) -> int:
    """A number that no other port has, for names."""
    return int("".join(part for part in port if part.isdigit()))


def _write(folder: Path, values: dict[str, object]) -> None:
    for name, value in values.items():
        (folder / name).write_text(f"{value}\n")
