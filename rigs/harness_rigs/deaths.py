"""How a key has ended by itself, in words, until a campaign asks."""

from __future__ import annotations


class DeathNotes:
    """Each way is noted once until it is taken."""

    def __init__(self) -> None:
        self._noted: list[str] = []

    def note(self, how: str) -> None:
        """Note how it ended: "crashed: SIGSEGV", "hung: no answer within 10 s"."""
        if how not in self._noted:
            self._noted.append(how)

    def take(self) -> list[str]:
        """What was noted since this was last called."""
        noted, self._noted = self._noted, []
        return noted
