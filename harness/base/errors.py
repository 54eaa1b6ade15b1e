"""Errors, and who is to blame.

Every error that a user can meet names a place, what was found there, what was expected, and how to mend it. Its
class says who has to act: the caller, the person who keeps the rig, or the maker of the key. Only a KeyFault
counts against the key.
"""

from __future__ import annotations

import errno
import os
from enum import StrEnum

from harness.base.visible import shortened, visible


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
        lines = [_shown(self.what)]
        for label, value in rows:
            if value is not None:
                lines.append(f"  {label:<9} {_shown(str(value)).replace(chr(10), chr(10) + ' ' * 12)}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled between processes (worker pool, xdist): keep the keyword arguments.
        return (_rebuild, (type(self), self.what, self.found, self.expected, self.mend))


def _shown(text: str) -> str:
    return visible(shortened(text), keep="\n\t")


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


class PowerCameBack(RigError):
    """A port got power while its switch was left off: a power cycle of its key that nobody controlled."""


class HostError(RigError):
    """The host refused what every program may ask of it: room on a disk, a file, memory. No rig is at fault."""


class HostLate(HostError):
    """The host was too slow: a window or a limit had passed before it came to act."""


HOST_ERRNOS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EISDIR,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""What a file system or a limit answers. A transport that lost its key answers ENODEV, EIO, EPROTO and the like."""
FILE_ERRNOS = frozenset({errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTEMPTY})
"""The same of a named file. A transport answers ENOENT of its device's node, or names no file."""
DEVICE_TREES = ("/dev/", "/proc/", "/sys/")


def host_error(error: BaseException) -> HostError | None:
    """Return what an exception says of the host, or None if it may come from a key's transport."""
    if not isinstance(error, OSError) or not (error.errno in HOST_ERRNOS or _of_a_file(error)):
        return None
    place = f": {error.filename}" if error.filename is not None else ""
    return HostError(
        f"this host: {error.strerror}{place}",
        expected="a file system with room, that may be written to",
        mend="make room or mend the rights, then `keyharness run --resume` continues the run",
    )


def _of_a_file(error: OSError) -> bool:
    name = error.filename
    if error.errno not in FILE_ERRNOS or not isinstance(name, str | bytes | os.PathLike):
        return False
    return not os.fsdecode(name).startswith(DEVICE_TREES)


def refuse_host_error(error: BaseException) -> None:
    """:raises HostError: the exception is the host's, so it says nothing of the key."""
    if (fault := host_error(error)) is not None:
        raise fault from error


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


class NoRoom(Refused):
    """The key refused a command because its store is full."""


def _rebuild_refused(
    cls: type[Refused], what: str, status: int | str, expected: object, mend: str | None
) -> Refused:
    return cls(what, status, expected=expected, mend=mend)


ANSWER_BYTES_SHOWN = 32
MALFORMED, GARBLED = "malformed answer", "garbled transfer"
"""How the value of an item begins that was answered so."""


class MalformedAnswer(KeyFault):
    """The key answered, and its answer cannot be read: wrong CBOR, wrong lengths, wrong framing, no end.

    Torn flash looks like this. An item whose answer is malformed has the value of this error; what that violates is
    the item's own law, or, if the transfer itself was garbled, that a key answers.

    :param why: what is wrong with it, in a few words.
    :param command: what was asked, if that is known.
    :param answer: the bytes, as far as they arrived.
    :param garbled: the transfer broke, so that nothing is known of the data: framing, length, an answer without an
        end. The power must be cycled before the key is asked again.
    """

    def __init__(self, why: str, *, command: str = "", answer: bytes = b"", garbled: bool = False):
        self.why, self.command, self.answer, self.garbled = why, command, answer, garbled
        of = f" to {command}" if command else ""
        super().__init__(
            f"the key gave a {GARBLED if garbled else MALFORMED}{of}: {why}",
            found=f"{len(answer)} bytes {shown_bytes(answer)}".strip(),
        )

    @property
    def value(self) -> str:
        """What was seen, as an item's value; the same for the same bytes."""
        kind = GARBLED if self.garbled else MALFORMED
        of = f" to {self.command}" if self.command else ""
        shown = f"{len(self.answer)} bytes {shown_bytes(self.answer)}".strip()
        return f"{kind}{of}: {self.why} ({shown})"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild_malformed, (type(self), self.why, self.command, self.answer, self.garbled))


class Busy(MalformedAnswer):
    """The key is at work for another program: it says so as often as it is asked, or answers that program."""


def shown_bytes(data: bytes) -> str:
    """The bytes in hex, the first ones if they are many."""
    return data[:ANSWER_BYTES_SHOWN].hex() + ("..." if len(data) > ANSWER_BYTES_SHOWN else "")


def _rebuild_malformed(
    cls: type[MalformedAnswer], why: str, command: str, answer: bytes, garbled: bool
) -> MalformedAnswer:
    return cls(why, command=command, answer=answer, garbled=garbled)


class HarnessFault(KeyharnessError):
    """Keyharness itself, or one of its simulated keys, is wrong. Please report it."""

    blame = Blame.HARNESS


def one_of(found: str, names: list[str]) -> str:
    """Return the names that exist as text, those nearest to `found` first."""
    import difflib

    near = difflib.get_close_matches(found, names, n=3)
    rest = [name for name in sorted(names) if name not in near]
    return ", ".join(near + rest) if names else "nothing: none is known"
