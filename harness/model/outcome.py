"""What is observed of a key, and how it is judged: values, laws, outcomes, severities.

Values of items are small and JSON-able, because they are written to evidence.jsonl: None, bool, int, str, or a
tuple of these. A value never is a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

Value = Any
"""None, bool, int, str or a tuple of these."""

Observation = dict[str, Value]
"""Item name -> the value that was observed."""


class _Any:
    """A value that equals everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANY = _Any()
"""In a world: the item may have any value, and its own law does not apply."""


class Law(StrEnum):
    """What a cut may do to an item."""

    KEPT = "kept"
    """The value is the same before and after, unless a world says otherwise."""
    ATOMIC = "atomic"
    """The value is the old one or the new one, never a third one."""
    RISING = "rising"
    """Each use exceeds every value ever seen. Its value is the tuple of values seen, in order."""
    FALLING = "falling"
    """A retry counter: a cut never raises it; an acknowledged wrong guess has lowered it."""
    ROOM = "room"
    """Free blocks of each store: a cut leaves no less than the uncut operation does, or than there was before it."""


class Outcome(StrEnum):
    """What a cut led to. The set is closed: no plugin adds to it."""

    OLD = "old"
    NEW = "new"
    BOOTLOADER = "bootloader"
    RECOVERED = "recovered"
    TORN = "torn"
    LOST = "lost"
    ROLLED_BACK = "rolled-back"
    LOOSENED = "loosened"
    STUCK = "stuck"
    MISSED = "missed"

    @property
    def is_violation(self) -> bool:
        return self in VIOLATIONS


VIOLATIONS = frozenset({Outcome.TORN, Outcome.LOST, Outcome.ROLLED_BACK, Outcome.LOOSENED, Outcome.STUCK})


class Severity(StrEnum):
    """How much a violation matters to the owner of the key."""

    S1 = "S1"
    """Security, or data lost."""
    S2 = "S2"
    """The key cannot be used."""
    S3 = "S3"
    """Cosmetic: reported, does not fail a run."""
