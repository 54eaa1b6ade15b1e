"""How long, and with how many packets, a key may answer one request."""

from __future__ import annotations

from collections.abc import Callable

REQUEST_LIMIT_S = 60
"""From a request to the end of its answer. A touch is waited for at most 30 s (CTAP 2.1, section 6.1.2, advises more
than 10 s), and what a key computes takes seconds. A limit for the packet alone lets keepalives go on for ever."""
REQUEST_PACKETS = 4_096
"""A message has at most 129 packets, and a key sends a keepalive every 100 ms (CTAP 2.1, section 11.2.9.1.5)."""
BUSY_TRIES = 40
"""The client asks a busy key again ten times a second."""


class RequestLimit:
    """Counts what arrives for one request.

    :param now_us: reads the clock of the rig.
    """

    def __init__(self, now_us: Callable[[], int]):
        self._now_us = now_us
        self._began_us = 0
        self._packets = 0
        self._tries = 0

    def begin(self, *, again: bool) -> None:
        """A request is sent.

        :param again: the same one, because the key was busy.
        """
        self._tries = self._tries + 1 if again else 1
        if not again:
            self._began_us, self._packets = self._now_us(), 0

    @property
    def is_busy(self) -> bool:
        """Whether the key was busy each time that it was asked, and it was asked often enough."""
        return self._tries > BUSY_TRIES

    def passed(self) -> str | None:
        """Count a packet; says which limit has passed, None if none has."""
        self._packets += 1
        if self._packets > REQUEST_PACKETS:
            return f"no end after {REQUEST_PACKETS} packets"
        if self.is_busy:
            return f"busy whenever it was asked, {BUSY_TRIES} times"
        if self._now_us() - self._began_us > REQUEST_LIMIT_S * 1_000_000:
            return f"no end within {REQUEST_LIMIT_S} s"
        return None
