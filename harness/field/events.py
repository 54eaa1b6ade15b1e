"""What a line of a log says: one event for each line that is understood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.field.knowledge import Knowledge

_KERNEL = re.compile(
    r"(?:\S+ )?(?:kern\.\w+ )?kernel(?:\[\d+\])?: (?:\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])?\s)?(?:kernel: )?"
)


@dataclass(frozen=True)
class LogEvent:
    """One thing that a line says.

    :ivar kind: e.g. "connect", "disconnect", "descriptor-error", "update-died".
    :ivar source: who wrote it: "kernel", "pcscd", "lsusb", a client ...
    :ivar about: what was read from it: port, error, ids, firmware, percent ... all as text.
    """

    kind: str
    source: str
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def port(self) -> str | None:
        """The port as sysfs names it, where the line says one.

        The kernel names a hub's port "usb1-port1" or "1-1-port3": that is where the device 1-1, or 1-1.3, is.
        """
        port = self.about.get("port")
        if port is None or "-port" not in port:
            return port
        hub, _, number = port.partition("-port")
        bus = hub.removeprefix("usb")
        return f"{bus}-{number}" if "-" not in bus else f"{bus}.{number}"


def classify(text: str, known: Knowledge) -> LogEvent | None:
    """What a line without its time says; None if it has no known format."""
    if match := _KERNEL.match(text):
        text = text[match.end() :]
    for number in known.prefilter.formats(text):
        source, kind, pattern = known.formats[number]
        if match := pattern.search(text):
            about = {name: value.strip() for name, value in match.groupdict().items() if value}
            return LogEvent(kind, source, about)
    return None
