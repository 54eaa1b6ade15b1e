"""What went over the wire, and when: the only word the harness takes for 'acknowledged'.

Client libraries retry, wrap and swallow; a tap sits below them and sees packets. It numbers what it sees
(`request-sent`, `keepalive`, `response`; the second one `request-sent-2`, ...), on the rig's own clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fido2.hid.base import CtapHidConnection

if TYPE_CHECKING:
    from harness.base.clock import Clock


@dataclass(frozen=True)
class Mark:
    """One thing that was seen on a transport.

    :ivar name: a marker of the transport, with its number from the second on.
    :ivar at_us: when, on the rig's clock.
    :ivar status: the first payload byte of a CTAPHID response (a CTAP status), else None.
    """

    name: str
    at_us: int
    status: int | None = None


class Tap:
    """The marks of one rig, in order."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._seen: Counter[str] = Counter()
        self.marks: list[Mark] = []
        self.on_mark: Callable[[Mark], None] | None = None
        """Called with each mark as soon as it is seen."""

    def clear(self) -> None:
        """Start counting anew."""
        self._seen.clear()
        self.marks = []

    def mark(self, name: str, status: int | None = None) -> Mark:
        """Note that `name` was seen now."""
        self._seen[name] += 1
        number = self._seen[name]
        mark = Mark(name if number == 1 else f"{name}-{number}", self._clock.now_us, status)
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


_INIT, _KEEPALIVE = 0x86, 0xBB


class TappedHid(CtapHidConnection):
    """A CTAPHID connection with a tap on it (framing: CTAP 2.1, section 11.2.4)."""

    def __init__(self, connection: CtapHidConnection, tap: Tap):
        self._connection = connection
        self._tap = tap
        self._to_send = 0
        self._to_read = 0
        self._command = 0
        self._status: int | None = None

    def write_packet(self, data: bytes) -> None:
        if data[4] & 0x80:
            self._command = data[4]
            self._to_send = int.from_bytes(data[5:7], "big") - (len(data) - 7)
        else:
            self._to_send -= len(data) - 5
        self._connection.write_packet(data)
        if self._to_send <= 0 and self._command not in (_INIT, 0x91):
            self._tap.mark("request-sent")
            self._to_send = 0

    def read_packet(self) -> bytes:
        packet = self._connection.read_packet()
        if packet[4] == _KEEPALIVE:
            self._tap.mark("keepalive", packet[7])
            return packet
        if packet[4] & 0x80:
            self._to_read = int.from_bytes(packet[5:7], "big") - (len(packet) - 7)
            self._status = packet[7]
            done = packet[4] != _INIT and self._to_read <= 0
        else:
            self._to_read -= len(packet) - 5
            done = self._to_read <= 0
        if done:
            self._tap.mark("response", self._status)
        return packet

    def close(self) -> None:
        self._connection.close()
