"""Locate findings in the operation's own time: between which instants of cuts does each one lie?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.search.plan import after
from harness.search.timing_profile import TimingProfile

Kind = tuple[str, str]
"""(item, outcome) of a breach."""

Hit = tuple[float, float]
"""Between which instants of the operation's own time a cut took effect, in microseconds: (earliest, latest)."""


def hit_of(note: Mapping[str, Any]) -> Hit | None:
    """The hit that a journal's note keeps; None if the cut is not known to have taken effect in the operation.

    Earlier versions kept one instant.
    """
    kept = note.get("hit_us")
    if kept is None:
        return None
    earliest, latest = kept if isinstance(kept, list) else (kept, kept)
    return float(earliest), float(latest)


@dataclass
class Localizer:
    """The hits of all cuts that took effect, with what each violated."""

    covering: list[Hit] = field(default_factory=list)
    _all: list[tuple[Hit, frozenset[Kind]]] = field(default_factory=list)

    def add(self, hit: Hit, stream: str, breaches: Sequence[tuple[str, str]]) -> None:
        """Note where a cut took effect. Cuts that were followed by a second cut or a rest are left out."""
        if stream == "cover":
            self.covering.append(hit)
        if stream in ("cover", "refine", "halo", "replay"):
            kinds = frozenset((item, str(outcome)) for item, outcome in breaches)
            self._all.append((hit, kinds))

    def narrowest(self, item: str, outcome: str, known: TimingProfile) -> dict[str, Any] | None:
        """The instants that showed a finding, and the nearest ones around them that did not.

        :returns: {"from_us", "to_us", "sound_before_us", "sound_after_us", "marker", "text"}; instants are in
            the operation's own time. None if no plain cut showed it.
        """
        kind = (item, str(outcome))
        bad = [hit for hit, kinds in self._all if kind in kinds]
        if not bad:
            return None
        first, last = min(hit[0] for hit in bad), max(hit[1] for hit in bad)
        sound_hits = [hit for hit, kinds in self._all if kind not in kinds]
        before = max((hit[1] for hit in sound_hits if hit[1] < first), default=None)
        behind = min((hit[0] for hit in sound_hits if hit[0] > last), default=None)
        marker, from_us = known.anchored(max(0, round(first)))
        start_us = round(first) - from_us
        said = after(from_us, marker)
        if last - first >= 100:
            number, _, rest = said.partition(" ms ")
            said = f"between {number} and {(last - start_us) / 1000:.1f} ms {rest}"
        sound = [f"{(at - start_us) / 1000:.1f} ms" for at in (before, behind) if at is not None]
        if sound:
            said += f"; not at {' and '.join(sound)}"
        return {
            "from_us": round(first),
            "to_us": round(last),
            "sound_before_us": round(before) if before is not None else None,
            "sound_after_us": round(behind) if behind is not None else None,
            "marker": marker,
            "text": said,
        }
