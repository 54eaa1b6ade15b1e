"""The transports of a served twin, as PC builds of firmware have them.

Reports in datagrams (`ctaphid-udp`), reports behind a big-endian length (`ctaphid-tcp`), and the virtual smart
card protocol (`vpcd`), where the twin dials.
"""

from __future__ import annotations

import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Any

from harness.base.errors import CallerError

LOOPBACK = "127.0.0.1"


class ServedEndpoint(ABC):
    """One endpoint of a served twin, and the sockets behind it.

    :cvar endpoint: the board's name of it.
    """

    endpoint: str

    @abstractmethod
    def sockets(self) -> list[Any]:
        """The sockets or descriptors to wait on."""

    @abstractmethod
    def readable(self, sock: Any) -> list[bytes]:
        """Read what has arrived, as packets for the board."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send a packet of the board to the client."""

    def replugged(self) -> None:  # noqa: B027 - only streams are ever connected
        """The key has left the bus and come back: close every connection."""

    def present(self, face: str) -> None:  # noqa: B027 - most transports are there in any face
        """Follow the key to the face of this name."""

    def close(self) -> None:  # noqa: B027 - sockets go with the process
        """Remove what outlives the process."""


class UdpFace(ServedEndpoint):
    """64-byte reports in datagrams: received on one port, always answered to another."""

    endpoint = "ctaphid"

    def __init__(self, listen: int, answer: int):
        self._socket = _bound(socket.SOCK_DGRAM, listen)
        self._answer = (LOOPBACK, answer)

    def sockets(self) -> list[Any]:
        return [self._socket]

    def readable(self, sock: socket.socket) -> list[bytes]:
        with contextlib.suppress(OSError):
            data = self._socket.recv(2048)
            return [data[1:] if len(data) == 65 else data] if data else []
        return []

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self._answer)


class FrameStream:
    """Frames on a TCP connection: two bytes of big-endian length, then the data."""

    def __init__(self, sock: socket.socket):
        self.socket = sock
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> list[bytes] | None:
        """The frames that are complete; None if the other end has closed."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            return None
        self._buffer += data
        frames = []
        while len(self._buffer) >= 2 and len(self._buffer) >= (
            end := 2 + int.from_bytes(self._buffer[:2], "big")
        ):
            frames.append(self._buffer[2:end])
            self._buffer = self._buffer[end:]
        return frames

    def send(self, data: bytes) -> None:
        # A closed connection is noticed by the next read.
        with contextlib.suppress(OSError):
            self.socket.sendall(len(data).to_bytes(2, "big") + data)


class TcpFace(ServedEndpoint):
    """Reports on a TCP port that the twin listens on. Each client gets the packets of its own channels."""

    endpoint = "ctaphid"
    _BROADCAST = b"\xff" * 4

    def __init__(self, port: int):
        self._listener = _bound(socket.SOCK_STREAM, port)
        self._listener.listen(8)
        self._streams: dict[socket.socket, FrameStream] = {}
        self._owners: dict[bytes, FrameStream] = {}

    def sockets(self) -> list[Any]:
        return [self._listener, *self._streams]

    def readable(self, sock: socket.socket) -> list[bytes]:
        if sock is self._listener:
            client, _ = self._listener.accept()
            self._streams[client] = FrameStream(client)
            return []
        stream = self._streams[sock]
        frames = stream.read()
        if frames is None:
            del self._streams[sock]
            sock.close()
            return []
        for frame in frames:
            self._owners[frame[:4]] = stream
        return frames

    def send(self, data: bytes) -> None:
        channel = data[:4]
        owner = self._owners.get(channel)
        if owner is not None:
            if channel == self._BROADCAST and data[4] == 0x86:
                # The answer to INIT names the channel that its sender will use.
                self._owners[data[15:19]] = owner
            owner.send(data)

    def replugged(self) -> None:
        for sock in self._streams:
            sock.close()
        self._streams.clear()
        self._owners.clear()


class VpcdFace(ServedEndpoint):
    """A card in a virtual reader: the twin connects once, at its start, and speaks the protocol of vpcd."""

    endpoint = "card"
    _GET_ATR = 4

    def __init__(self, host: str, port: int, atr: bytes):
        self._atr = atr
        try:
            sock = socket.create_connection((host, port), timeout=10)
        except OSError as error:
            raise CallerError(
                f"--vpcd {host}:{port}",
                found=str(error),
                expected="a virtual reader that listens there",
                mend="start it first: a card dials only once",
            ) from None
        sock.settimeout(None)
        self._stream: FrameStream | None = FrameStream(sock)

    def sockets(self) -> list[Any]:
        return [self._stream.socket] if self._stream is not None else []

    def readable(self, sock: socket.socket) -> list[bytes]:
        assert self._stream is not None
        frames = self._stream.read()
        if frames is None:
            sock.close()
            self._stream = None
            return []
        if bytes((self._GET_ATR,)) in frames:
            self._stream.send(self._atr)
        # A frame of one byte is a control (off, on, reset, get ATR), of which only the last is answered.
        return [frame for frame in frames if len(frame) > 1]

    def send(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.send(data)


def _bound(kind: int, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError as error:
        raise CallerError(
            f"port {port}",
            found=error.strerror,
            expected=f"a port of {LOOPBACK} that is free",
            mend="name another",
        ) from None
    return sock
