"""Message handlers of a twin's firmware: generators that run to their end, except for a few named waits.

A handler returns its response. It yields an `AwaitTouch` to wait for the user, a `Reply` to respond before its work
is done, or a `Leave` to drop off the bus. The engine of a transport (CTAPHID, a card) runs the handler and
answers each yield.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto


class Touched(Enum):
    """How a wait for a touch ended."""

    GRANTED = auto()
    TIMED_OUT = auto()
    CANCELLED = auto()


class Cancelled(Exception):
    """The host cancelled the request while the handler waited for a touch."""


@dataclass(frozen=True)
class AwaitTouch:
    """Wait for a touch that begins after this, at most `timeout_us` microseconds."""

    timeout_us: int


@dataclass(frozen=True)
class Reply:
    """Respond now and go on working. What the handler returns in the end is dropped."""

    data: bytes


@dataclass(frozen=True)
class Leave:
    """Drop off the bus, then call `then` (boot again). There is no response; the handler does not go on."""

    then: Callable[[], None]


Step = AwaitTouch | Reply | Leave
Handler = Generator[Step, Touched | None, bytes]
Wait = Generator[Step, Touched | None, Touched]


def touch(timeout_us: int) -> Wait:
    """Wait for a touch, at most `timeout_us` microseconds.

    :returns: GRANTED or TIMED_OUT.
    :raises Cancelled: the host cancelled the request.
    """
    touched = yield AwaitTouch(timeout_us)
    if touched is None or touched is Touched.CANCELLED:
        raise Cancelled
    return touched
