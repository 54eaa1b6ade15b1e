"""Frames on a TCP connection: two bytes of big-endian length, then the data. It never waits for the other end."""

from __future__ import annotations

import socket

UNSENT_MAX = 65536
"""Bytes that wait for an end that does not read, here and as many in the host. The longest answer takes 8.6 kB."""


class FrameStream:
    """One connection. The other end may be slow, and may not read at all.

    :ivar is_stuck: more than `UNSENT_MAX` bytes wait: the other end does not read.
    """

    def __init__(self, sock: socket.socket):
        self.socket = sock
        self._received = b""
        self._unsent = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNSENT_MAX)
        sock.setblocking(False)

    def read(self) -> list[bytes] | None:
        """The frames that are complete; None if the other end has closed."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        self._received += data
        frames = []
        while len(self._received) >= 2 and len(self._received) >= (
            end := 2 + int.from_bytes(self._received[:2], "big")
        ):
            frames.append(self._received[2:end])
            self._received = self._received[end:]
        return frames

    def send(self, data: bytes) -> None:
        """Send a frame, or keep what the connection does not take for `push`."""
        self._unsent += len(data).to_bytes(2, "big") + data
        self.push()

    def push(self) -> None:
        """Send what waits, as far as the connection takes it now."""
        try:
            sent = self.socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            # A closed connection is noticed by the next read.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]

    @property
    def waits(self) -> bool:
        """Whether something waits for the other end to read."""
        return bool(self._unsent)

    @property
    def is_stuck(self) -> bool:
        return len(self._unsent) > UNSENT_MAX
