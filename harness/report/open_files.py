"""Cases that have ended, file by file: a log has a line for each of the first files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FileTally:
    """The cases of one file on one rig.

    :ivar counts: number of cases by outcome. :ivar seconds: what they took together.
    """

    rig: str
    file: str
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether no case failed or was broken."""
        return not (self.counts["failed"] or self.counts["error"])


def added(tallies: Iterable[FileTally]) -> FileTally:
    """Return the cases of several files as those of one without a name."""
    whole = FileTally("", "")
    for one in tallies:
        whole.counts += one.counts
        whole.seconds += one.seconds
    return whole


class OpenFiles:
    """Files whose cases are under way. One rig runs its files one after the other; several rigs run at once."""

    def __init__(self) -> None:
        self._of_rig: dict[str, FileTally] = {}

    def add(self, result: Mapping[str, Any]) -> list[FileTally]:
        """Count a case, a row of results.jsonl; return the file that its rig has left, if it has."""
        rig, file = str(result.get("rig") or ""), str(result["nodeid"]).partition("::")[0]
        left = []
        if rig in self._of_rig and self._of_rig[rig].file != file:
            left.append(self._of_rig.pop(rig))
        tally = self._of_rig.setdefault(rig, FileTally(rig, file))
        tally.counts[result["outcome"]] += 1
        tally.seconds += result.get("duration_s") or 0.0
        return left

    def rest(self) -> list[FileTally]:
        """Return the files that are under way; none is afterwards."""
        left, self._of_rig = list(self._of_rig.values()), {}
        return left
