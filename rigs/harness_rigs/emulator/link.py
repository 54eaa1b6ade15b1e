"""Links to an emulator: reports in datagrams, reports behind a length, a card that dials a reader.

A link lasts for one boot. Every read ends with a packet, with the emulator's death or with its limit, whichever comes
first.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from abc import ABC, abstractmethod
from collections import deque

from harness.api import KeyGone
from harness_rigs.emulator.arrival import date_packets, receive
from harness_rigs.emulator.process import Process, ProcessHost

REPORT = 64
INIT_RETRY_S = 0.3
"""Longest pause before an INIT without an answer is sent again; a first boot takes up to 10 s."""
CONNECT_RETRY_S = 0.01
VPCD_ON, VPCD_RESET, VPCD_ATR = b"\x01", b"\x02", b"\x04"


class Link(ABC):
    """The connection to an emulator in one boot."""

    arrived_us: int | None = None
    """When the packet that `receive` has returned had arrived, on the monotonic clock; None where nobody knows."""

    def __init__(self, host: ProcessHost, process: Process):
        self._host, self._process = host, process

    @abstractmethod
    def ready(self, until: float) -> bool:
        """Wait until it answers, at most until an instant of time.monotonic()."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """:raises OSError: the other end has gone."""

    @abstractmethod
    def receive(self, limit_s: float) -> bytes | None:
        """The next packet; None if the limit passed first.

        :raises OSError: ENODEV, the emulator has died or hung up.
        """

    @abstractmethod
    def close(self) -> None: ...

    def _wait(self, sock: socket.socket, limit_s: float, event: int = select.POLLIN) -> bool:
        """Wait until there is something to read; False if the limit passed. What arrived before a death is read first.

        :param event: POLLOUT: wait until there is room to write.
        :raises OSError: the emulator has died.
        """
        poll = select.poll()
        poll.register(sock, event)
        poll.register(self._process.pidfd, select.POLLIN)
        events = dict(poll.poll(max(0.0, limit_s) * 1000))
        if sock.fileno() in events:
            return True
        if events:
            raise gone()
        return False


def gone() -> OSError:
    return OSError(errno.ENODEV, "the emulator has gone")


class _Reports(Link):
    """A CTAPHID link: the emulator is ready when it answers CTAPHID_INIT."""

    def __init__(self, host: ProcessHost, process: Process):
        super().__init__(host, process)
        self._probes: set[bytes] = set()
        self._early: deque[bytes] = deque()

    def _probe(self) -> bytes:
        nonce = os.urandom(8)
        self._probes.add(nonce)
        return (b"\xff\xff\xff\xff\x86\x00\x08" + nonce).ljust(REPORT, b"\0")

    def _is_probe(self, packet: bytes) -> bool:
        """Is it the answer to an INIT of this link, for which no client waits?"""
        return packet[:5] == b"\xff\xff\xff\xff\x86" and packet[7:15] in self._probes

    def receive(self, limit_s: float) -> bytes | None:
        until = time.monotonic() + limit_s
        while (packet := self._next(until - time.monotonic())) is not None:
            if not self._is_probe(packet):
                return packet
        return None

    @abstractmethod
    def _next(self, limit_s: float) -> bytes | None: ...

    def _answered(self, until: float, first_wait_s: float) -> bool:
        """Send INIT until there is an answer, with pauses that double up to 0.3 s."""
        pause = first_wait_s
        while (now := time.monotonic()) < until:
            self.send(self._probe())
            deadline = min(now + pause, until)
            while (packet := self._next(deadline - time.monotonic())) is not None:
                if self._is_probe(packet):
                    return True
            pause = min(2 * pause, INIT_RETRY_S)
        return False


class UdpLink(_Reports):
    """64-byte reports in datagrams to one port; the answers arrive on another port, from any sender."""

    def __init__(self, host: ProcessHost, process: Process, port: int, inbox: socket.socket):
        super().__init__(host, process)
        self._to = ("127.0.0.1", port)
        self._socket = inbox
        date_packets(inbox)

    def ready(self, until: float) -> bool:
        while True:
            # Discard what an earlier boot has sent.
            try:
                self._socket.recv(2048)
            except BlockingIOError:
                return self._answered(until, CONNECT_RETRY_S)

    def send(self, data: bytes) -> None:
        self._socket.sendto(data, self._to)

    def _next(self, limit_s: float) -> bytes | None:
        while self._wait(self._socket, limit_s):
            data, self.arrived_us = receive(self._socket, 2048)
            if len(data) in (REPORT, REPORT + 1):
                return data[-REPORT:]
        return None

    def close(self) -> None:
        """The inbox belongs to the rig and stays open."""


class Frames:
    """Frames on a stream: a big-endian length of two bytes, then that many bytes."""

    def __init__(self, link: Link, sock: socket.socket):
        self._link, self.socket, self._buffer = link, sock, b""
        date_packets(sock)

    def send(self, data: bytes, limit_s: float = 0.0) -> None:
        """Send a frame.

        :param limit_s: longest wait for room in the socket's buffer. A single frame is far smaller than that; many that
            follow each other without an answer are not.
        :raises OSError: ETIMEDOUT, the emulator does not read; ENODEV, it has gone.
        """
        frame = len(data).to_bytes(2, "big") + data
        until = time.monotonic() + limit_s
        while True:
            try:
                frame = frame[self.socket.send(frame) :]
            except BlockingIOError:
                pass
            except OSError as error:
                raise gone() from error
            if not frame:
                return
            if not self._link._wait(self.socket, until - time.monotonic(), select.POLLOUT):
                raise OSError(errno.ETIMEDOUT, "the emulator does not read")

    def next(self, limit_s: float) -> bytes | None:
        until = time.monotonic() + limit_s
        while True:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) >= 2 and len(self._buffer) >= end:
                frame, self._buffer = self._buffer[2:end], self._buffer[end:]
                return frame
            if not self._link._wait(self.socket, until - time.monotonic()):
                return None
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            try:
                data, self._link.arrived_us = receive(self.socket, 65536)
            except OSError:
                data = b""
            if not data:
                raise gone()
            self._buffer += data


def dialled(link: Link, host: ProcessHost, process: Process, port: int, until: float) -> Frames | None:
    """Connect to a port that the emulator listens on; None if it does not until then.

    :raises OSError: the emulator has died.
    """
    pause = CONNECT_RETRY_S / 4
    while time.monotonic() < until:
        try:
            return Frames(link, host.socket("connect", port))
        except OSError:
            # There is no event for a port that begins to listen, so try again soon: a refused connect costs 0.1 ms,
            # and a late one costs each cut time. The emulator's death ends the wait.
            if process.wait(min(pause, max(0.0, until - time.monotonic()))):
                raise gone() from None
            pause = min(pause * 1.1, CONNECT_RETRY_S)
    return None


class TcpLink(_Reports):
    """Reports behind a big-endian length, on a port that the emulator listens on; one connection a boot."""

    def __init__(self, host: ProcessHost, process: Process, port: int):
        super().__init__(host, process)
        self._port = port
        self._frames: Frames | None = None

    def ready(self, until: float) -> bool:
        self._frames = dialled(self, self._host, self._process, self._port, until)
        return self._frames is not None and self._answered(until, INIT_RETRY_S)

    def send(self, data: bytes) -> None:
        assert self._frames is not None
        self._frames.send(data)

    def _next(self, limit_s: float) -> bytes | None:
        assert self._frames is not None
        return self._frames.next(limit_s)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.socket.close()


class VpcdLink(Link):
    """A card that dials this process as its reader, once, at its start; ready when it tells its ATR."""

    def __init__(self, host: ProcessHost, process: Process, reader: socket.socket):
        super().__init__(host, process)
        self._reader = reader
        self._frames: Frames | None = None
        self.atr = b""

    def ready(self, until: float) -> bool:
        if not self._wait(self._reader, until - time.monotonic()):
            return False
        sock, _ = self._reader.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._frames = Frames(self, sock)
        self._frames.send(VPCD_ON)
        self._frames.send(VPCD_ATR)
        self.atr = self._frames.next(until - time.monotonic()) or b""
        return bool(self.atr)

    def reset(self, limit_s: float) -> bytes:
        """Reset the card; returns its ATR."""
        assert self._frames is not None
        self._frames.send(VPCD_RESET)
        self._frames.send(VPCD_ATR)
        self.atr = self._frames.next(limit_s) or b""
        if not self.atr:
            raise KeyGone("the card does not answer a reset")
        return self.atr

    def send(self, data: bytes) -> None:
        assert self._frames is not None
        self._frames.send(data)

    def receive(self, limit_s: float) -> bytes | None:
        assert self._frames is not None
        return self._frames.next(limit_s)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.socket.close()
