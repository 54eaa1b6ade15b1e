"""A cut that is planned by time, and the label that names it.

request-sent+1234us                     1,234 us after a marker
request-sent+1234us+boot1+500us         and cut again, 500 us after the power came back
request-sent+1234us+boot1+500us+gap9us  the same; it was left without power for 9 us before
request-sent+1234us+off2000000us        and left without power for 2 s before it is observed
end                                     no cut: the operation returned, then a clean restart
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, Literal

from harness.base.errors import CallerError

START, END = "start", "end"
Stream = Literal["cover", "refine", "halo", "nested", "burst", "rest", "replay"]

_LABEL = re.compile(
    r"(?P<marker>[a-z][a-z0-9-]*)\+(?P<offset>[0-9]{1,15})us"
    r"(?P<boots>(\+boot[1-9][0-9]*\+[0-9]{1,15}us(\+gap[0-9]{1,15}us)?)*)(\+off(?P<off>[0-9]{1,15})us)?"
)
_BOOT = re.compile(r"\+boot[1-9][0-9]*\+([0-9]{1,15})us(?:\+gap([0-9]{1,15})us)?")


@dataclass(frozen=True)
class Plan:
    """One cut, at an offset after a marker.

    :ivar time_us: where that is in the operation's own time, from its start.
    :ivar boots: offsets of further cuts after the power came back for the first, the second ... time.
    :ivar off_us: how long the key is left without power before it is observed; 0 is as short as the rig can.
    :ivar gaps: how long it is left without power before each of `boots`; empty is as short as the rig can.
    """

    marker: str
    offset_us: int
    time_us: int
    stream: Stream = "cover"
    boots: tuple[int, ...] = ()
    off_us: int = 0
    gaps: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        if self.marker == END:
            return END
        boots = "".join(
            f"+boot{n}+{at_us}us" + (f"+gap{gap_us}us" if gap_us else "")
            for n, (at_us, gap_us) in enumerate(zip_longest(self.boots, self.gaps, fillvalue=0), start=1)
        )
        return f"{self.marker}+{self.offset_us}us{boots}" + (f"+off{self.off_us}us" if self.off_us else "")

    @property
    def row(self) -> dict[str, Any]:
        """`planned` of a line of evidence."""
        row: dict[str, Any] = {"marker": self.marker, "offset_us": self.offset_us}
        if len(self.boots) == 1:
            row["nested"] = {"boot": 1, "offset_us": self.boots[0]}
        elif self.boots:
            row["burst"] = list(self.boots)
        if any(self.gaps):
            row["gaps_us"] = list(self.gaps)
        if self.off_us:
            row["off_us"] = self.off_us
        return row

    @property
    def section(self) -> str:
        """The part of the operation that the cut is counted in; all keepalives are one part."""
        return "keepalive" if self.marker.startswith("keepalive") else self.marker

    def again(self) -> Plan:
        """The same cut, to see whether its outcome is reproduced."""
        return replace(self, stream="replay")

    @property
    def where(self) -> str:
        """In words."""
        if self.marker == END:
            return "after everything, at a clean restart"
        return after(self.offset_us, self.marker) + self.then

    @property
    def then(self) -> str:
        """What follows the cut before the key is observed, in words; empty if nothing does."""
        said = ""
        if self.boots:
            said = ", then " + ", ".join(f"{at_us / 1000:.1f} ms" for at_us in self.boots)
            said += " into the boot after it" if len(self.boots) == 1 else " into the boots after it"
        return said + (f", then {self.off_us / 1e6:g} s without power" if self.off_us else "")


class Unmade:
    """Instants that were not cut yet. Where each instant is exact, to cut one again would show the same again.

    Where it is not, a cut that was missed is made again: as a cut of its own, with a label of its own.
    """

    def __init__(self) -> None:
        self._made: set[tuple[int, tuple[int, ...], int]] = set()

    def instead_of(self, plan: Plan) -> Plan:
        """Return the plan, or one at the nearest instant after its marker that was not cut yet; it is cut now."""
        moved_us = 0
        while self._key(plan, moved_us) in self._made or plan.offset_us + moved_us < 0:
            # 0, 1, -1, 2, -2 ...
            moved_us = -moved_us if moved_us > 0 else 1 - moved_us
        self._made.add(self._key(plan, moved_us))
        if not moved_us:
            return plan
        return replace(plan, offset_us=plan.offset_us + moved_us, time_us=plan.time_us + moved_us)

    @staticmethod
    def _key(plan: Plan, moved_us: int) -> tuple[int, tuple[int, ...], int]:
        return plan.time_us + moved_us, plan.boots, plan.off_us


def after(offset_us: float, marker: str) -> str:
    """(3200, "request-sent") -> 3.2 ms after "request sent"."""
    named = "the start" if marker == START else f'"{marker.replace("-", " ")}"'
    return f"{offset_us / 1000:.1f} ms after {named}"


def is_time_label(label: str) -> bool:
    """Does a label name an instant, and not a flash operation?"""
    return _LABEL.fullmatch(label) is not None


def planned(label: str, markers: Mapping[str, int], length_us: int) -> Plan:
    """The cut that a label names.

    :param markers: name -> when it is seen, from the operation's start.
    :raises CallerError: the label names no cut of this operation.
    """
    if label == END:
        return Plan(END, 0, length_us)
    match = _LABEL.fullmatch(label)
    if match is None:
        raise CallerError(
            f'cut "{label}"',
            found=label,
            expected=f"end, or a marker of this operation and an offset, as {list(markers)[-1]}+1234us",
            mend="copy the replay id as it was printed",
        )
    offset_us = int(match["offset"])
    found = [(int(at_us), int(gap_us or 0)) for at_us, gap_us in _BOOT.findall(match["boots"])]
    boots, gaps = tuple(at_us for at_us, _ in found), tuple(gap_us for _, gap_us in found)
    time_us = markers.get(match["marker"], 0) + offset_us
    off_us = int(match["off"] or 0)
    return Plan(match["marker"], offset_us, time_us, "replay", boots, off_us, gaps if any(gaps) else ())
