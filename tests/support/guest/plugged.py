"""Wait until the kernel has bound its drivers to keys; runs in the guest.

    module support.guest.plugged PORT ...

Writes a line for each interface: its name, its class, its driver or "-". Ends with 1 if one never came.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.host.host import here
from harness.host.uevents import wait_until
from support.limits import HUNG_S

DEVICES = Path("/sys/bus/usb/devices")
LIMIT_S = HUNG_S / 2
"""Below what the host waits for a word of the guest, so that the guest says what is missing."""
HID_CLASS = "03"


def interfaces(port: str, devices: Path = DEVICES) -> list[str]:
    """A line for each interface of the key on that port; none while some are still to come, or without a node."""
    found = []
    try:
        count = int((devices / port / "bNumInterfaces").read_text())
        for number in range(count):
            folder = devices / f"{port}:1.{number}"
            kind = (folder / "bInterfaceClass").read_text().strip()
            if kind == HID_CLASS and not list(folder.glob("*/hidraw/*")):
                return []
            driver = folder / "driver"
            found.append(f"{folder.name} {kind} {driver.resolve().name if driver.exists() else '-'}")
    except (OSError, ValueError):
        # Not there yet, or without a configuration: the file is then empty.
        return []
    return found


def main(*ports: str) -> None:
    def look() -> bool | None:
        return all(interfaces(port) for port in ports) or None

    there = wait_until(here(), look, LIMIT_S)
    for port in ports:
        print("\n".join(interfaces(port)) or f"{port}: no key, or not all of it")
    sys.stdout.flush()
    sys.exit(not there)


if __name__ == "__main__":
    main(*sys.argv[1:])
