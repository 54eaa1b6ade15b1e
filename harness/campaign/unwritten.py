"""What a key acknowledges before it has written it: it survives a clean restart, and no cut right after the answer.

Two things are told apart by two uncut runs. After one the key keeps its power for a while, as an owner leaves it; what
is gone then is lost at a clean restart. After the other the power goes right after the answer; what is gone only then
was acknowledged before it was written. A short search says for how long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.model.judge import Breach
from harness.model.outcome import Outcome, Severity
from harness.model.row import Row

CUTS = 7
"""Cuts of the search; each halves what is left between an instant that loses and one that does not."""
RIGHT_AFTER = "right after the answer"


@dataclass(frozen=True)
class Unwritten:
    """What two uncut runs showed.

    :ivar lost_us: so long after its answer the key lost its power, and what it had acknowledged.
    :ivar kept_us: so long after its answer it lost its power and nothing else.
    """

    lost_us: int
    kept_us: int
    breaches: Sequence[Breach]

    def row(self) -> Row:
        """As JSON, for the journal."""
        breaches = [[b.item, b.law, b.outcome, b.severity, b.text] for b in self.breaches]
        return {"lost_us": self.lost_us, "kept_us": self.kept_us, "breaches": breaches}

    @classmethod
    def from_row(cls, row: Row) -> Unwritten:
        """Read what `row` wrote."""
        breaches = [
            Breach(item, law, Outcome(outcome), Severity(severity), text)
            for item, law, outcome, severity, text in row["breaches"]
        ]
        return cls(row["lost_us"], row["kept_us"], breaches)

    def is_shown_by(self, breaches: Sequence[Breach]) -> bool:
        """Does a cut violate what the power loss right after the answer did?"""
        wanted = {(breach.item, breach.outcome) for breach in self.breaches}
        return any((breach.item, breach.outcome) in wanted for breach in breaches)

    def measure(self, loses: Callable[[int], bool | None]) -> tuple[int, int]:
        """Search for the end of the window, from the answer on.

        :param loses: cuts so long after the answer, in microseconds; None if that cut says nothing.
        :returns: the latest instant that lost it and the earliest that did not, in microseconds after the answer.
        """
        lost_us, kept_us = self.lost_us, self.kept_us
        loses(lost_us)
        halved = 0
        # On a busy host some cuts say nothing: as many again, and no more.
        for _ in range(2 * CUTS):
            middle_us = (lost_us + kept_us) // 2
            lost = loses(middle_us)
            if lost:
                lost_us = middle_us
            elif lost is not None:
                kept_us = middle_us
            halved += lost is not None
            if halved == CUTS:
                break
        return lost_us, kept_us

    def text(self, breach: str, window: tuple[int, int] | None) -> str:
        """The finding in words.

        :param breach: what was violated. :param window: what `measure` returned, if it was measured.
        """
        lost_us, kept_us = window or (self.lost_us, self.kept_us)
        return (
            f"acknowledged before it was written: {breach}; a cut {lost_us / 1000:.1f} ms after the answer loses it, "
            f"{kept_us / 1000:.1f} ms after the answer it is there"
        )
