"""What the kernel said about a rig's port during each cut, kept beside the evidence and shown with failures.

logs/<rig>.<operation>.kernel.log has a heading for each cut, and under it the lines of its port from the
moment when the key was made ready for it until it was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.model.key import Outcome
from harness.model.rig import Rig
from harness.model.row import Judged, Row

SHOWN_MAX = 20
"""The lines of so many failed cuts are attached to a report; the file has all."""

Keep = Callable[[Sequence[Judged]], None]


class PortLog:
    """The log of one campaign's port.

    :param path: where it is written; nothing is as long as there are no lines.
    """

    def __init__(self, rig: Rig, path: Path):
        self._rig, self._path = rig, path
        self.failed: list[str] = []
        # What was said before this campaign is not about it.
        rig.take_log()
        self._before = rig.plugs

    def keeping(self, keep: Keep) -> Keep:
        """The same callback, which notes the lines of each cut before it hands the cut on."""

        def noted(judged: Sequence[Judged]) -> None:
            for one in judged:
                self.note(one.row)
            keep(judged)

        return noted

    def plugs(self, earlier: Mapping[str, int] | None = None) -> dict[str, int] | None:
        """How often the key was enumerated since, and the errors among these; None where nobody counts.

        :param earlier: what was counted of the same campaign before it went on; is added.
        """
        now, before = self._rig.plugs, self._before
        if now is None or before is None:
            return None
        known = earlier or {}
        return {name: count - before.get(name, 0) + known.get(name, 0) for name, count in now.items()}

    def note(self, row: Row) -> None:
        """A cut was judged."""
        lines = self._rig.take_log()
        if not lines:
            return
        text = "\n".join([f"## {row['id']} {row['outcome']}", *lines]) + "\n"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
        if (Outcome(row["outcome"]).is_violation or row.get("death")) and len(self.failed) < SHOWN_MAX:
            self.failed.append(text)
