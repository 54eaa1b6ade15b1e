"""The transports of a served twin, as PC builds of firmware have them.

Reports in datagrams (`ctaphid-udp`), and the virtual smart card protocol (`vpcd`), where the twin dials. Reports behind
a length (`ctaphid-tcp`) are in server_tcp, the bootloader's serial port in server_pty, a whole USB device in
server_usbredir, a HID device of this host in server_uhid.
"""

from __future__ import annotations

import contextlib
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable

from harness.base.errors import CallerError
from harness.twin.board import Firmware
from harness.twin.card_firmware import ResetByReader
from harness.twin.frame_stream import FrameStream

LOOPBACK = "127.0.0.1"
APPLICATION = "application"
"""The face of a key in which its owner uses it."""
Wire = socket.socket | int
"""What the server waits on: a socket, or the descriptor of a pseudo-terminal."""


class ServedWire(ABC):
    """Sockets or descriptors by which clients reach a served twin: one endpoint of it, or several."""

    @abstractmethod
    def sockets(self) -> list[Wire]:
        """The sockets or descriptors to wait on."""

    def unsent(self) -> list[Wire]:
        """Those of the sockets whose other end has to read before more can be sent."""
        return []

    @abstractmethod
    def arrived(self, sock: Wire) -> list[tuple[str, bytes]]:
        """Read what has arrived: (the board's name of the endpoint, packet for it)."""

    def writable(self, sock: Wire) -> None:  # noqa: B027 - datagrams do not wait
        """The other end of one of the `unsent` sockets has read: send what waits."""

    @abstractmethod
    def answer(self, endpoint: str, data: bytes, asker: object) -> None:
        """Send a packet of the board to the client, if this wire has the endpoint; never wait for the client.

        :param asker: the socket of the packet that the board answers; None if it sends of its own accord.
        """

    def replugged(self) -> None:  # noqa: B027 - only streams are ever connected
        """The key has left the bus and come back: close every connection."""

    @abstractmethod
    def show(self, firmware: Firmware | None) -> None:
        """Follow the key to the face of what it has booted; None: it halted in its boot."""

    def halted(self) -> None:  # noqa: B027 - where nothing answers by itself, nothing changes
        """The firmware halted while it ran: it answers nothing any more."""

    def attach(self, clock: Callable[[], int]) -> None:  # noqa: B027 - most have no times of their own
        """Use the server's clock, in microseconds."""

    def next_event_us(self) -> int | None:
        """The next instant of the server's clock at which it would do something by itself, if any."""
        return None

    def advance(self, now_us: int) -> None:  # noqa: B027 - most do nothing by themselves
        """Do what is due."""

    def close(self) -> None:  # noqa: B027 - sockets go with the process
        """Remove what outlives the process."""


class ServedEndpoint(ServedWire):
    """One endpoint of a served twin, and the sockets behind it.

    :cvar endpoint: the board's name of it.
    :ivar faces: the faces of the key that show it.
    """

    endpoint: str
    faces: tuple[str, ...] = (APPLICATION,)

    @abstractmethod
    def readable(self, sock: Wire) -> list[bytes]:
        """Read what has arrived, as packets for the board."""

    @abstractmethod
    def send(self, data: bytes, asker: object) -> None:
        """Send a packet of the board to the client, as `answer`."""

    def present(self, is_there: bool) -> None:
        """Follow the key to a face that has this endpoint, or that does not have it."""

    def arrived(self, sock: Wire) -> list[tuple[str, bytes]]:
        return [(self.endpoint, packet) for packet in self.readable(sock)]

    def answer(self, endpoint: str, data: bytes, asker: object) -> None:
        if endpoint == self.endpoint:
            self.send(data, asker)

    def show(self, firmware: Firmware | None) -> None:
        # A key that halted in its boot is served as one that does not answer.
        self.present((firmware.face if firmware else APPLICATION) in self.faces)


class UdpFace(ServedEndpoint):
    """64-byte reports in datagrams: received on one port, always answered to another."""

    endpoint = "ctaphid"

    def __init__(self, listen: int, answer: int, faces: tuple[str, ...] = (APPLICATION,)):
        self.faces = faces
        self._socket = bound(socket.SOCK_DGRAM, listen)
        self._answer = (LOOPBACK, answer)

    def sockets(self) -> list[Wire]:
        return [self._socket]

    def readable(self, sock: Wire) -> list[bytes]:
        with contextlib.suppress(OSError):
            data = self._socket.recv(2048)
            return [data[1:] if len(data) == 65 else data] if data else []
        return []

    def send(self, data: bytes, asker: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self._answer)


class VpcdFace(ServedEndpoint):
    """A card in a virtual reader: the twin connects at its start, and speaks the protocol of vpcd.

    In a face without a card the card is out of the reader; it connects again when the key is back.
    """

    endpoint = "card"
    _POWER_OFF, _RESET, _GET_ATR = 0, 2, 4

    def __init__(self, host: str, port: int, atr: bytes, faces: tuple[str, ...] = (APPLICATION,)):
        self.faces = faces
        self._host, self._port, self._atr = host, port, atr
        self._stream: FrameStream | None = None
        self._is_there = True
        self._firmware: Firmware | None = None
        self._connect()

    def _connect(self) -> None:
        try:
            sock = socket.create_connection((self._host, self._port), timeout=10)
        except OSError as error:
            raise CallerError(
                f"--vpcd {self._host}:{self._port}",
                found=str(error),
                expected="a virtual reader that listens there",
                mend="start it first: the card dials when it is put in",
            ) from None
        self._stream = FrameStream(sock)

    def sockets(self) -> list[Wire]:
        return [self._stream.socket] if self._stream is not None else []

    def unsent(self) -> list[Wire]:
        return [self._stream.socket] if self._stream is not None and self._stream.waits else []

    def readable(self, sock: Wire) -> list[bytes]:
        if self._stream is None:
            return []
        frames = self._stream.read()
        if frames is None:
            self.close()
            return []
        if bytes((self._GET_ATR,)) in frames:
            self._stream.send(self._atr)
        # A frame of one byte is a control (off, on, reset, get ATR), of which only the last is answered.
        packets: list[bytes] = []
        for frame in frames:
            if len(frame) > 1:
                packets.append(frame)
            elif frame in (bytes((self._POWER_OFF,)), bytes((self._RESET,))):
                # A reader waits for the answer to a command before it resets the card.
                packets.clear()
                if isinstance(self._firmware, ResetByReader):
                    self._firmware.card_was_reset()
        return packets

    def writable(self, sock: Wire) -> None:
        if self._stream is not None:
            self._stream.push()

    def send(self, data: bytes, asker: object) -> None:
        if self._stream is not None:
            self._stream.send(data)

    def show(self, firmware: Firmware | None) -> None:
        super().show(firmware)
        self._firmware = firmware

    def present(self, is_there: bool) -> None:
        if not is_there:
            self.close()
        elif not self._is_there:
            # A reader that listens no more has no card; the key's other endpoints go on.
            with contextlib.suppress(CallerError):
                self._connect()
        self._is_there = is_there

    def close(self) -> None:
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None


def bound(kind: int, port: int) -> socket.socket:
    """A socket on a port of the loopback interface.

    :raises CallerError: the port is taken.
    """
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
