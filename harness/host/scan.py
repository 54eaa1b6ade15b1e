"""Find what may be a key on this host: devices in sysfs and emulators in /proc.

No device is opened: HID report descriptors, USB descriptors and the sockets of processes are read from files of the
kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.base.visible import visible
from harness.host.host import here
from harness.host.usb import CCID_CLASS, PORT

EMULATOR_PORTS = {("udp", 8111): "ctaphid-udp", ("tcp", 35962): "ctaphid-tcp"}
"""The fixed ports of emulators that listen (docs/emulators.md)."""


@dataclass(frozen=True)
class Sought:
    """How to recognise the HID interface of a key.

    :ivar descriptors: how its report descriptor begins -> the endpoint that it is then ("ctaphid").
    :ivar ids: (idVendor, idProduct) of keys that are known by these.
    """

    descriptors: Mapping[bytes, str] = field(default_factory=dict)
    ids: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Found:
    """One device or process that may be a key.

    :ivar place: a USB port ("1-1.4.1") or a process ("pid 4711").
    :ivar more: further facts that a driver may need, by name.
    :ivar endpoint: the endpoint that it is seen to have: "ctaphid", "card"; "" if that is not known.
    """

    kind: Literal["hidraw", "card", "process"]
    place: str
    title: str
    vendor_id: int | None = None
    product_id: int | None = None
    serial: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    endpoint: str = ""

    def shown(self) -> str:
        ids = f" {self.vendor_id:04x}:{self.product_id:04x}" if self.vendor_id is not None else ""
        serial = f", serial {self.serial}" if self.serial else ""
        return f"{self.kind:<8} {self.place:<14} {self.title}{ids}{serial}"

    def table(self) -> dict[str, Any]:
        return asdict(self)


def scan(sought: Sought, root: Path | None = None) -> list[Found]:
    """Return everything that may be a key, in a stable order.

    :param sought: how to recognise HID interfaces of keys: `Plugins.sought` of the installed plugins.
    :param root: the folder with sys/ and proc/; None means those of this process's host.
    """
    root = root or here().root
    found: dict[str, Found] = {}
    for one in (*_hidraw(root, sought), *_cards(root)):
        # The card interface of a listed key is no second key; an interface of a known kind takes precedence.
        if one.place not in found or (one.endpoint and not found[one.place].endpoint):
            found[one.place] = one
    return [*sorted(found.values(), key=lambda one: (one.kind, one.place)), *_processes(root)]


def _hidraw(root: Path, sought: Sought) -> Iterator[Found]:
    for entry in _list(root / "sys/class/hidraw"):
        device = entry / "device"
        descriptor = _bytes(device / "report_descriptor")
        said = dict(line.split("=", 1) for line in _text(device / "uevent").split("\n") if "=" in line)
        _, vendor, product = ([*said.get("HID_ID", "").split(":"), "0", "0", "0"])[:3]
        ids = int(vendor, 16) & 0xFFFF, int(product, 16) & 0xFFFF
        endpoint = next(
            (name for start, name in sought.descriptors.items() if descriptor.startswith(start)), ""
        )
        if not endpoint and ids not in sought.ids:
            continue
        yield Found(
            "hidraw",
            _usb_port(device) or entry.name,
            said.get("HID_NAME", "HID device"),
            *ids,
            said.get("HID_UNIQ") or None,
            {"node": f"/dev/{entry.name}"},
            endpoint,
        )


def _cards(root: Path) -> Iterator[Found]:
    for interface in _list(root / "sys/bus/usb/devices"):
        if _text(interface / "bInterfaceClass") != CCID_CLASS:
            continue
        device = interface.resolve().parent
        yield Found(
            "card",
            device.name,
            _text(device / "product") or "smart card",
            int(_text(device / "idVendor") or "0", 16),
            int(_text(device / "idProduct") or "0", 16),
            _text(device / "serial") or None,
            endpoint="card",
        )


def _processes(root: Path) -> Iterator[Found]:
    listening: dict[str, tuple[str, int]] = {}
    for protocol in ("udp", "tcp"):
        for line in _text(root / "proc/net" / protocol).splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if (protocol, port) in EMULATOR_PORTS:
                listening[f"socket:[{fields[9]}]"] = (protocol, port)
    if not listening:
        return
    for process in _list(root / "proc"):
        if not process.name.isdigit():
            continue
        for link in _list(process / "fd"):
            at = listening.get(_target(link))
            if at is not None:
                command = [
                    part for part in _bytes(process / "cmdline").decode(errors="replace").split("\0") if part
                ]
                yield Found(
                    "process",
                    f"pid {process.name}",
                    visible(" ".join(command))[:80],
                    more={
                        "command": command,
                        "directory": _target(process / "cwd"),
                        "transport": EMULATOR_PORTS[at],
                        "port": at[1],
                    },
                    endpoint="ctaphid",
                )
                break


def _usb_port(device: Path) -> str | None:
    """Return the port of a device: the last part of its path that names a port."""
    for part in reversed(device.resolve().parts):
        if PORT.fullmatch(part):
            return part
    return None


def _list(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    """Return what a file holds, lines and all; what a terminal would obey as its escape."""
    return visible(_bytes(path).decode(errors="replace").strip(), keep="\n")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
