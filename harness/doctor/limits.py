"""Count what a host has a limited number of: card readers of pcscd, devices of a USB controller.

pcscd knows 16 readers (PCSCLITE_MAX_READERS_CONTEXTS in pcsclite.h, since 1.3). An xHCI controller keeps a device slot
for each device and hub; common controllers have 32 or 64 (MaxSlots in HCSPARAMS1, xHCI 1.2, section 5.3.3), which Linux
shows to root alone. What is plugged in beyond that is not enumerated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from harness.doctor.context import CheckedHost, CheckResult, ok, warn
from harness.host.usb import UsbDevice, devices

READERS_MAX = 16
SLOTS_MAX = 32
"""Device slots of the smallest xHCI controllers that are common."""
VIRTUAL_READERS = re.compile(r"^\s*FRIENDLYNAME\b", re.MULTILINE)
READERS_OF_AN_ENTRY = 2
"""vpcd, the driver of virtual readers, gives two readers for each entry of reader.conf."""


def readers(checked: CheckedHost) -> Iterator[CheckResult]:
    """Count the card readers that pcscd has to serve: keys with a card side, and virtual readers."""
    usb = sum(1 for one in devices(checked.host) if one.has_card)
    virtual = READERS_OF_AN_ENTRY * sum(len(VIRTUAL_READERS.findall(text)) for text in _reader_files(checked))
    if not usb + virtual:
        return
    parts = [f"{usb} on USB", *([f"{virtual} virtual"] if virtual else [])]
    text = f"{usb + virtual} of {READERS_MAX} card readers that pcscd can serve ({', '.join(parts)})"
    if usb + virtual > READERS_MAX:
        yield warn(
            "readers", f"{text}: the others stay without their card side", "unplug some, or use more hosts"
        )
    else:
        yield ok("readers", text)


def slots(checked: CheckedHost) -> Iterator[CheckResult]:
    """Count the devices and hubs of each USB controller."""
    of = Counter(_controller(one) for one in devices(checked.host))
    for controller, count in sorted(of.items()):
        text = f"{count} of {SLOTS_MAX} devices at USB controller {controller}, its hubs included"
        if count > SLOTS_MAX:
            yield warn(
                "slots", f"{text}: it has more than {SLOTS_MAX} slots", "nothing, if all keys are seen"
            )
        elif count == SLOTS_MAX:
            mend = "put a second controller in, and half of the hubs on it"
            yield warn("slots", f"{text}: many controllers enumerate no further one", mend)
        elif checked.ports:
            yield ok("slots", text)


def _controller(device: UsbDevice) -> str:
    """The name of the device that has the root hub, such as 0000:00:14.0: USB 2 and 3 have a root hub each."""
    parts = device.folder.parts
    at = next((n for n, part in enumerate(parts) if re.fullmatch(r"usb[0-9]+", part)), 0)
    return parts[at - 1] if at else f"of bus {device.bus}"


def _reader_files(checked: CheckedHost) -> Iterator[str]:
    for file in sorted((checked.root / "etc/reader.conf.d").glob("*")):
        try:
            yield file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
