"""Locate findings in the operation's own time: between which instants of cuts does each one lie?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.search.plan import after
from harness.search.timing_profile import TimingProfile

Kind = tuple[str, str]
"""(item, outcome) of a breach."""


@dataclass
class Localizer:
    """The instants of all cuts that took effect, with what each violated."""

    covering: list[float] = field(default_factory=list)
    _all: list[tuple[float, frozenset[Kind]]] = field(default_factory=list)

    def add(self, hit_us: float, stream: str, breaches: Sequence[tuple[str, str]]) -> None:
        """Note where a cut took effect. Cuts that were followed by a second cut or a rest are left out."""
        if stream == "cover":
            self.covering.append(hit_us)
        if stream in ("cover", "refine", "halo", "replay"):
            kinds = frozenset((item, str(outcome)) for item, outcome in breaches)
            self._all.append((hit_us, kinds))

    def narrowest(self, item: str, outcome: str, known: TimingProfile) -> dict[str, Any] | None:
        """The instants that showed a finding, and the nearest ones around them that did not.

        :returns: {"from_us", "to_us", "sound_before_us", "sound_after_us", "marker", "text"}; instants are in
            the operation's own time. None if no plain cut showed it.
        """
        kind = (item, str(outcome))
        bad = sorted(at for at, kinds in self._all if kind in kinds)
        if not bad:
            return None
        first, last = bad[0], bad[-1]
        before = max((at for at, kinds in self._all if at < first and kind not in kinds), default=None)
        behind = min((at for at, kinds in self._all if at > last and kind not in kinds), default=None)
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
