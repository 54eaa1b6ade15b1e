"""`keyharness list --hubs`: the hubs of this host, and the device on each of their ports."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from harness.host.host import Host
from harness.host.usb import device_at, devices, hub_of, port_folder

KERNEL, REQUEST, NOT_YOURS = "kernel", "request", "not permitted"
SAID = {
    KERNEL: "the kernel switches it",
    REQUEST: "by USB requests at most",
    NOT_YOURS: "the kernel would switch it, and you may not: keyharness doctor",
}


@dataclass(frozen=True)
class HubPort:
    """One port of a hub.

    :ivar port: its name in a bench: "1-1.4.1".
    :ivar switched: how its power may be switched: "kernel", "request" or "not permitted". This is no promise: many
        hubs claim that they switch power and do not cut it.
    :ivar device: the device on it, in words; None if there is none.
    """

    port: str
    switched: str
    device: str | None


@dataclass(frozen=True)
class Hub:
    """One hub; "usb1" is a root hub."""

    name: str
    title: str
    ports: tuple[HubPort, ...]


def hubs(host: Host) -> Iterator[Hub]:
    """Yield all hubs in the order of their ports."""
    try:
        names = [entry.name for entry in (host.sys / "bus/usb/devices").iterdir()]
    except OSError:
        return
    roots = sorted(
        (name for name in names if re.fullmatch(r"usb[0-9]+", name)), key=lambda name: int(name[3:])
    )
    inner = [one.port for one in devices(host) if one.is_hub]
    for name in [*roots, *inner]:
        seen = device_at(host, name)
        yield Hub(name, seen.shown() if seen else "a hub", tuple(_ports(host, name)))


def _ports(host: Host, hub: str) -> Iterator[HubPort]:
    try:
        count = int((host.sys / "bus/usb/devices" / hub / "maxchild").read_text())
    except (OSError, ValueError):
        return
    for number in range(1, count + 1):
        port = f"{hub[3:]}-{number}" if hub.startswith("usb") else f"{hub}.{number}"
        assert hub_of(port) == (hub, number)
        folder = port_folder(host, port)
        file = folder / "disable" if folder is not None else None
        if file is None or not file.exists():
            switched = REQUEST
        else:
            switched = KERNEL if os.access(file, os.W_OK) else NOT_YOURS
        there = device_at(host, port)
        yield HubPort(port, switched, there.shown() if there else None)


def table(host: Host) -> list[dict[str, Any]]:
    """Return the hubs as a JSON-able table."""
    return [asdict(hub) for hub in hubs(host)]


def show(host: Host, out: TextIO) -> None:
    """Write the hubs for a person."""
    seen = False
    for hub in hubs(host):
        seen = True
        out.write(f"hub {hub.name} · {hub.title}\n")
        for port in hub.ports:
            out.write(f"  {port.port:<14} {port.device or '-':<44} {SAID[port.switched]}\n")
    if not seen:
        out.write("no USB hubs are seen on this host\n")
    else:
        out.write("whether the power really goes, `keyharness calibrate RIG` finds out\n")
