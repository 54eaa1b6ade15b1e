"""What the lines tell of devices: when each was connected, to which port, what went wrong, and which are the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.field.reading import Entry, Reading

ERRORS = frozenset(
    {"descriptor-error", "address-error", "config-error", "hid-error", "gave-up", "emi", "hub-error"}
)
BEGINS = frozenset({"connect", "device"})
TOLD_BY = frozenset({"kernel", "udev", "usbguard", "macos"})
"""Who says what is on a port."""
AROUND_S = {"time of day": 86_400.0, "day": 366 * 86_400.0}
"""After so long such a time begins anew. Years without a number are read as leap years."""
Sureness = Literal["same serial number", "only one of its kind at a time", "may be another one"]


@dataclass
class Plugged:
    """One time that something was on a port, from its connection to its disconnection.

    :ivar identity: "20a0:42b2", as far as it was told. :ivar serial: its mark, None where it shows none.
    :ivar errors: kind -> how often, before it was found and while it was there.
    :ivar authorised: False if the host refused it at first and nothing tells that it was let in.
    :ivar before: whether it was there before the log begins: then nobody knows since when.
    :ivar same_as: number of the earlier one that is the same device, and how sure that is.
    """

    number: int
    port: str | None
    begin: Entry
    end: Entry | None = None
    identity: str | None = None
    name: str | None = None
    serial: str | None = None
    shows_serial: bool | None = None
    release: str | None = None
    authorised: bool | None = None
    before: bool = False
    errors: Counter[str] = field(default_factory=Counter)
    same_as: int | None = None
    sure: Sureness | None = None

    @property
    def enumerated(self) -> bool:
        return self.identity is not None

    @property
    def seconds(self) -> float | None:
        """How long it was there; None where the times do not say it."""
        if self.before or self.end is None or self.begin.stamp is None or self.end.stamp is None:
            return None
        one, other = self.begin.stamp, self.end.stamp
        if one.kind != other.kind or one.seconds is None or other.seconds is None or one.kind == "step":
            return None
        took = other.seconds - one.seconds
        # Midnight, or New Year in a log without years.
        return took if took >= 0 or one.kind not in AROUND_S else took + AROUND_S[one.kind]


@dataclass
class Timeline:
    """:ivar plugged: in the order of the log. :ivar power_cycles: tries of the kernel to bring a port back.
    :ivar scrambled: whether times run backwards within a file: then durations say nothing.
    """

    plugged: list[Plugged] = field(default_factory=list)
    power_cycles: int = 0
    scrambled: bool = False

    @property
    def glitches(self) -> int:
        """Connections in which something went wrong before the device was there."""
        return sum(1 for one in self.plugged if one.errors)


def timeline(reading: Reading) -> Timeline:
    """Put the kernel's lines together."""
    found = Timeline(scrambled=_scrambled(reading))
    there: dict[str, Plugged] = {}
    for entry in reading.entries:
        event, port = entry.event, entry.event.port
        if event.source not in TOLD_BY and event.kind not in ERRORS:
            continue
        if event.kind == "power-cycle":
            found.power_cycles += 1
        if event.kind == "hidraw":
            port = next((name for name in there if name.partition("-")[2] == event.about.get("path")), None)
        if port is None or port.startswith("usb"):
            continue
        if event.kind in BEGINS:
            _connect(found, there, port, entry)
        elif port not in there and event.kind != "usb-other":
            # The log begins in the middle: it was there before.
            _connect(found, there, port, entry)
            there[port].before = event.kind not in ERRORS
        one = there.get(port)
        if one is not None:
            _note(one, entry)
            if event.kind == "disconnect":
                one.end = entry
                del there[port]
    _stitch(found.plugged)
    return found


def _connect(found: Timeline, there: dict[str, Plugged], port: str, entry: Entry) -> None:
    one = there.get(port)
    if one is not None and not one.enumerated:
        # The kernel tries again: still the same connection.
        return
    there[port] = Plugged(len(found.plugged), port, entry)
    found.plugged.append(there[port])


def _note(one: Plugged, entry: Entry) -> None:
    event, about = entry.event, entry.event.about
    if event.kind in ERRORS:
        one.errors[event.kind] += 1
    elif event.kind in ("found", "hidraw", "input", "device"):
        one.identity = _identity(about) or one.identity
        one.release = about.get("release", one.release)
        one.name = about.get("text", one.name)
    elif event.kind == "name" and about.get("what") == "Product":
        one.name = about["text"]
    elif event.kind == "serial":
        one.serial = about["text"]
    elif event.kind == "strings":
        one.shows_serial = about["serial"] != "0"
    elif event.kind == "not-authorised":
        one.authorised = False
        one.identity = _identity(about) or one.identity
    elif event.kind == "authorised":
        one.authorised = True


def _identity(about: Mapping[str, str]) -> str | None:
    return f"{about['vendor']}:{about['product']}".lower() if "vendor" in about else None


def _stitch(plugged: list[Plugged]) -> None:
    """Say which connections are of one device: by serial number, else because no two of a kind were there at once."""
    for at, one in enumerate(plugged):
        earlier = [other for other in plugged[:at] if other.identity == one.identity and one.identity]
        if not earlier:
            continue
        if one.serial is not None:
            same = [other for other in earlier if other.serial == one.serial]
            if same:
                one.same_as, one.sure = same[-1].number, "same serial number"
            continue
        last = earlier[-1]
        one.same_as = last.number
        one.sure = "only one of its kind at a time" if last.end is not None else "may be another one"


def _scrambled(reading: Reading) -> bool:
    last: dict[tuple[int, str], float] = {}
    for entry in reading.entries:
        stamp = entry.stamp
        if stamp is None or stamp.seconds is None or stamp.kind == "step":
            continue
        place = (entry.file, stamp.kind)
        back = last.get(place, stamp.seconds) - stamp.seconds
        if 1 < back < AROUND_S.get(stamp.kind, float("inf")) / 2:
            return True
        last[place] = stamp.seconds
    return False
