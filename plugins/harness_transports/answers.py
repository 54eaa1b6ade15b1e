"""The one place that says whether an exception of a client library comes from an answer that cannot be read.

python-fido2 and the SDKs on top of it decode what a key answers without suspicion: broken CBOR, short authenticator
data or a wrong length raise whatever the line that met them raises. `malformed` turns such an exception into a fault of
the key. It must not take a bug of ours for one, so it looks at where the exception was raised, and at what had been
answered by then:

    in a line of ours, below the library or beside it          ours, never the key's
    while a request was encoded                                ours
    in a library call that had received an answer              the key's, whatever is raised
    in a library call that had received none                   the key's only if the library itself refuses by a
                                                               ValueError: what an earlier answer says rules it out

A module of ours that stands inside a library and only reads answers, for example a subclass of a library's class, says
so by a global READS_ANSWERS; it counts as a part of the library.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import walk_tb
from types import CodeType, FrameType
from typing import NamedTuple

from harness.api import MalformedAnswer

LIBRARIES = frozenset({"fido2", "nitrokey"})
"""Packages that decode answers for our clients."""
UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RecursionError,
    struct.error,
)
"""What code raises that trusts bytes which are not what they should be."""
CALL_ANSWERS = 5_000
"""Most answers to the requests of one call of a library: a list of all credentials, read to its end."""
_WORDS = 160
"""Most characters of a library's own message."""
_ENCODERS = frozenset({"encode", "_dump_dict", "_dump_list", "_dump_int", "_dump_bytes", "_dump_text"})


@dataclass
class _Answered:
    """The last whole answer of this thread, and the library call that had asked for it.

    :ivar call: (id of its frame, its code); an id alone may be used again.
    :ivar count: answers to requests of that call so far.
    """

    command: str = ""
    answer: bytes = b""
    call: tuple[int, CodeType] | None = None
    count: int = 0


class _Last(threading.local):
    def __init__(self) -> None:
        self.answered = _Answered()


_last = _Last()


def note_answer(command: str, answer: bytes) -> None:
    """Note that a whole answer has arrived; called by the transport, below the library.

    :param command: what was asked, in words.
    :raises MalformedAnswer: the library's call goes on and on asking.
    """
    call = _library_call(sys._getframe(1))
    before = _last.answered
    count = before.count + 1 if call is not None and call == before.call else 1
    _last.answered = _Answered(command, answer, call, count)
    if count > CALL_ANSWERS:
        raise MalformedAnswer(
            f"no end after {CALL_ANSWERS} answers", command=command, answer=answer, garbled=True
        )


def malformed(error: BaseException) -> MalformedAnswer | None:
    """What an exception says of an answer; None if it says nothing of the key."""
    if isinstance(error, MalformedAnswer):
        return error
    # Some SDKs raise no kind of their own.
    if not isinstance(error, UNREADABLE) and not _is_a_librarys(error) and type(error) is not Exception:
        return None
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    below = _below_ours(frames)
    answered = _last.answered
    if _is_a_librarys(error):
        return _made(error, answered)
    if not below or (_encodes(below) and not isinstance(error, RecursionError)):
        return None
    if answered.call in [(id(frame), frame.f_code) for frame in below]:
        return _made(error, answered)
    refused = isinstance(error, ValueError) and _module(below[-1]).package in LIBRARIES
    return _made(error, answered) if refused and answered.answer else None


@contextmanager
def reading(command: str) -> Iterator[None]:
    """While entered, code of ours reads what the key answered earlier: what cannot be read is the key's fault.

    :raises MalformedAnswer: it cannot be read.
    """
    try:
        yield
    except UNREADABLE as error:
        raise MalformedAnswer(_said(error), command=command, answer=_last.answered.answer) from error


def _made(error: BaseException, answered: _Answered) -> MalformedAnswer:
    return MalformedAnswer(
        _said(error),
        command=answered.command,
        answer=answered.answer,
        garbled=type(error).__name__ == "ConnectionFailure",
    )


def _said(error: BaseException) -> str:
    words = " ".join(str(error).split())[:_WORDS]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _is_a_librarys(error: BaseException) -> bool:
    """Is it a kind of exception of its own? Those of an SDK on top are told by the SDK's client."""
    return type(error).__module__.startswith(("fido2", "cryptography.exceptions"))


def _encodes(frames: list[FrameType]) -> bool:
    """Was something being encoded? The library encodes again what it has decoded, too: that only nests too deep."""
    return any(frame.f_code.co_name in _ENCODERS for frame in frames)


class _Module(NamedTuple):
    """Whose a module is.

    :ivar package: its top-level package. :ivar is_ours: code of ours that does not stand inside a library.
    """

    package: str
    is_ours: bool


_modules: dict[str, _Module] = {}
"""File -> whose it is: every answer asks for some thirty frames. There are as many entries as files with code."""


def _module(frame: FrameType) -> _Module:
    file = frame.f_code.co_filename
    known = _modules.get(file)
    if known is None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        is_ours = package.startswith("harness") and not frame.f_globals.get("READS_ANSWERS")
        known = _Module(package, is_ours)
        # Code that was made at run time ("<string>": a dataclass's methods) has no file of its own.
        if not file.startswith("<"):
            _modules[file] = known
    return known


def _below_ours(frames: list[FrameType]) -> list[FrameType]:
    """The frames from the library's first one on, below the last frame of ours; empty if the last one is ours."""
    ours = max((at for at, frame in enumerate(frames) if _module(frame).is_ours), default=-1)
    rest = frames[ours + 1 :]
    first = next((at for at, frame in enumerate(rest) if _module(frame).package in LIBRARIES), len(rest))
    return rest[first:]


def _library_call(frame: FrameType | None) -> tuple[int, CodeType] | None:
    """The library's outermost frame above the transport, below the client's own."""
    found = None
    while frame is not None and _module(frame).is_ours:
        frame = frame.f_back
    while frame is not None and not (module := _module(frame)).is_ours:
        if module.package in LIBRARIES:
            found = id(frame), frame.f_code
        frame = frame.f_back
    return found
