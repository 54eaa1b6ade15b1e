"""The tap: what went over the wire, and when. It alone decides whether an operation was acknowledged.

Client libraries retry, wrap and swallow errors; a tap sits below them and sees packets. It numbers what it sees
(`request-sent`, `keepalive`, `response`; the second one `request-sent-2`, ...) and dates it by the rig's clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.base.clock import Clock


class Mark(NamedTuple):
    """One thing that was seen on a transport.

    :ivar name: a marker of the transport, with its number from the second on.
    :ivar at_us: when, on the rig's clock.
    :ivar status: the whole status of a response: a CTAP status byte, SW1SW2 of a card (0x63C2), None if the transport
        has none. The status of a keepalive is kept, too.
    """

    name: str
    at_us: int
    status: int | None = None


RECEIVED = ("keepalive", "response")
"""Markers of what the key sent; the others are of what was sent to it."""


def last_received_us(marks: Sequence[Mark]) -> int | None:
    """When the last byte of the key was received; None if it sent none."""
    return max((mark.at_us for mark in marks if mark.name.startswith(RECEIVED)), default=None)


MESSAGES, MESSAGE_BYTES = 64, 256
"""How many of the last messages a tap remembers, and how much of each."""


class Tap:
    """The marks of one rig, in order, and the last messages."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._seen: dict[str, int] = {}
        self.marks: list[Mark] = []
        self._messages: deque[tuple[int, str, bytes]] = deque(maxlen=MESSAGES)
        self.on_mark: Callable[[Mark], None] | None = None
        """Called with each mark as soon as it is seen."""
        self.arrived_us: int | None = None
        """When the packet that was read last had arrived, on the rig's clock. A rig sets it if its kernel says so: a
        busy host reads later. None: packets arrive when they are read."""

    def saw(self, direction: str, message: bytes) -> None:
        """Remember a message; `direction` is ">" to the key, "<" from it."""
        self._messages.append((self._clock.now_us, direction, message[:MESSAGE_BYTES]))

    @property
    def messages(self) -> str:
        """The last messages as lines of text: when, in microseconds, which way, and the bytes in hex."""
        return "".join(f"{at_us} {way} {data.hex()}\n" for at_us, way, data in self._messages)

    @property
    def now_us(self) -> int:
        """The instant at which a mark would be made now."""
        return self._clock.now_us

    def clear(self) -> None:
        """Start counting anew."""
        self._seen.clear()
        self.marks = []
        self.arrived_us = None

    def mark(self, name: str, status: int | None = None) -> Mark:
        """Note that `name` was seen now; what the key sent is dated by its arrival, never before an earlier mark."""
        number = self._seen[name] = self._seen.get(name, 0) + 1
        at_us = self._clock.now_us
        if self.arrived_us is not None and name in RECEIVED:
            at_us = max(min(self.arrived_us, at_us), self.marks[-1].at_us if self.marks else 0)
        mark = Mark(name if number == 1 else f"{name}-{number}", at_us, status)
        self.marks.append(mark)
        if self.on_mark is not None:
            self.on_mark(mark)
        return mark

    def last(self, name: str) -> Mark | None:
        """The latest mark of a kind, whatever its number."""
        for mark in reversed(self.marks):
            if mark.name == name or mark.name.startswith(name + "-"):
                return mark
        return None
