"""Errors, and who is to blame.

Every error that a user can meet names a place, what was found there, what was expected, and how to mend it. Its
class says who has to act: the caller, the person who keeps the rig, or the maker of the key. Only a KeyFault
counts against the key.
"""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Who is to blame for an error."""

    CALLER = "caller"
    RIG = "rig"
    KEY = "key"
    HARNESS = "harness"


class KeyharnessError(Exception):
    """The base of all errors that users can meet.

    :param what: one line that says what is wrong and where.
    :param found: what was there.
    :param expected: what should have been there.
    :param mend: what the reader can do about it.
    """

    blame = Blame.HARNESS

    def __init__(self, what: str, *, found: object = None, expected: object = None, mend: str | None = None):
        super().__init__(what)
        self.what = what
        self.found = found
        self.expected = expected
        self.mend = mend

    def __str__(self) -> str:
        rows = [("found", self.found), ("expected", self.expected), ("mend", self.mend)]
        lines = [self.what]
        for label, value in rows:
            if value is not None:
                lines.append(f"  {label:<9} {str(value).replace(chr(10), chr(10) + ' ' * 12)}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled between processes (worker pool, xdist): keep the keyword arguments.
        return (_rebuild, (type(self), self.what, self.found, self.expected, self.mend))


def _rebuild(
    cls: type[KeyharnessError], what: str, found: object, expected: object, mend: str | None
) -> KeyharnessError:
    return cls(what, found=found, expected=expected, mend=mend)


class CallerError(KeyharnessError):
    """A bench file, an option or an input file is wrong. Exit code 4."""

    blame = Blame.CALLER


class RigError(KeyharnessError):
    """A hub, a relay, a port or a daemon failed. The key is not to blame."""

    blame = Blame.RIG


class KeyFault(KeyharnessError):
    """The key did something that it must not do."""

    blame = Blame.KEY


class Refused(KeyFault):
    """The key refused a command: it answered, and its answer is a status other than success.

    Clients raise it, and catch it where a refusal is what they expect. An item whose `observe` raises it has the
    value `refused: ...`; an operation that raises it in a run without a cut is a fault of the key.

    :param what: one sentence: which command of what was refused.
    :param status: the whole status: a status word as four hex digits ("63C2"), a CTAP status byte (0x2E).
    """

    def __init__(self, what: str, status: int | str, *, expected: object = None, mend: str | None = None):
        self.status = status
        super().__init__(what, found=f"status {self.shown_status}", expected=expected, mend=mend)

    @property
    def shown_status(self) -> str:
        return self.status if isinstance(self.status, str) else f"{self.status:#04x}"

    @property
    def value(self) -> str:
        """The refusal as an item's value."""
        return f"refused: {self.what} ({self.shown_status})"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_refused, (type(self), self.what, self.status, self.expected, self.mend))


def _rebuild_refused(
    cls: type[Refused], what: str, status: int | str, expected: object, mend: str | None
) -> Refused:
    return cls(what, status, expected=expected, mend=mend)


class HarnessFault(KeyharnessError):
    """Keyharness itself, or one of its simulated keys, is wrong. Please report it."""

    blame = Blame.HARNESS


def one_of(found: str, names: list[str]) -> str:
    """Return the names that exist as text, those nearest to `found` first."""
    import difflib

    near = difflib.get_close_matches(found, names, n=3)
    rest = [name for name in sorted(names) if name not in near]
    return ", ".join(near + rest) if names else "nothing: none is known"
