"""The kernel's lines about a rig's port during each cut, kept beside the evidence and shown with failures.

logs/<rig>.<operation>.kernel.log has a heading for each cut, and below it the lines about its port, from the
preparation of the key until the judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.model.outcome import Outcome
from harness.model.rig import Rig
from harness.model.row import Judged, Row

SHOWN_MAX = 20
"""Number of failed cuts whose lines are attached to a report; the file has the lines of all."""

Keep = Callable[[Sequence[Judged]], None]


class PortLog:
    """The log of a port during one campaign.

    :param path: the file; it is made with the first line.
    """

    def __init__(self, rig: Rig, path: Path):
        self._rig, self._path = rig, path
        self.failed: list[str] = []
        self._latest: tuple[str, str] = ("", "")
        # Earlier lines are not about this campaign.
        rig.take_log()
        self._before = rig.plugs

    def keeping(self, keep: Keep) -> Keep:
        """Return a callback that notes the kernel's lines of each cut and then calls `keep`."""

        def noted(judged: Sequence[Judged]) -> None:
            for one in judged:
                self.note(one.row)
            keep(judged)

        return noted

    def plugs(self, earlier: Mapping[str, int] | None = None) -> dict[str, int] | None:
        """Return how often the key was enumerated since, and the errors; None if the rig does not count.

        :param earlier: counts of the same campaign before it was continued; they are added.
        """
        now, before = self._rig.plugs, self._before
        if now is None or before is None:
            return None
        known = earlier or {}
        return {name: count - before.get(name, 0) + known.get(name, 0) for name, count in now.items()}

    def files(self, replay_id: str) -> dict[str, bytes]:
        """Return the kernel's lines about the cut that was judged last, as a file."""
        known, text = self._latest
        return {"kernel.log": text.encode()} if known == replay_id else {}

    def note(self, row: Row) -> None:
        """Write the kernel's lines about a cut that was just judged."""
        lines = self._rig.take_log()
        if not lines:
            return
        text = "\n".join([f"## {row['id']} {row['outcome']}", *lines]) + "\n"
        self._latest = str(row["id"]), text
        with self._path.open("a", encoding="utf-8") as file:
            file.write(text)
        if (Outcome(row["outcome"]).is_violation or row.get("death")) and len(self.failed) < SHOWN_MAX:
            self.failed.append(text)
