"""What a message handler may yield: it runs to its end but for these.

A handler is a generator that returns the response. It yields only to wait for a touch, to respond before it
is done, or to leave the bus.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum, auto

from harness_fido2.twin.status import Refused, Status


class Touched(Enum):
    """How a wait for a touch ended."""

    GRANTED = auto()
    TIMED_OUT = auto()
    CANCELLED = auto()


@dataclass(frozen=True)
class Touch:
    """Wait for a touch that begins after this."""

    timeout_us: int


@dataclass(frozen=True)
class Reply:
    """Respond now and go on working; what the handler returns in the end is dropped."""

    data: bytes


@dataclass(frozen=True)
class Leave:
    """Drop off the bus, then do `then` (boot again); there is no response and the handler does not go on."""

    then: Callable[[], None]


Step = Touch | Reply | Leave
Handler = Generator[Step, Touched | None, bytes]
Wait = Generator[Step, Touched | None, Touched]

UP_TIMEOUT_US = 30_000_000
"""How long user presence is waited for (CTAP 2.1, section 6.2.2; fido-authenticator: FIDO2_UP_TIMEOUT)."""


def touch(timeout_us: int = UP_TIMEOUT_US) -> Wait:
    """Wait for a touch.

    :returns: GRANTED or TIMED_OUT.
    :raises Refused: KEEPALIVE_CANCEL, the platform cancelled (CTAP 2.1, section 11.2.9.1.5).
    """
    touched = yield Touch(timeout_us)
    if touched is None or touched is Touched.CANCELLED:
        raise Refused(Status.KEEPALIVE_CANCEL)
    return touched
