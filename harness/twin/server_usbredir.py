"""A whole USB device behind a Unix socket that speaks usbredir: QEMU's `-device usb-redir` puts it into a guest.

The end of the twin's process, for whatever reason, is a surprise removal.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from harness.base.errors import CallerError
from harness.twin.board import Firmware
from harness.twin.server_faces import ServedWire, Wire
from harness.twin.usb_device.device import UsbDevice
from harness.twin.usb_device.redir_host import RedirHost
from harness.twin.usb_device.redir_packets import ProtocolError
from harness.twin.usb_device.shown import UsbFaces

PATH_MAX = 107
"""Bytes of a Unix socket's path (sun_path of unix(7), less its end)."""
OFF_THE_BUS_US = 200_000
"""From a reset of the firmware to its return to the bus: the host must see that it was gone."""
DIAL_S = 10


class UsbRedirWire(ServedWire):
    """One USB device for one client at a time.

    The twin connects to a socket that somebody listens on, as QEMU does with `server=on`. If nobody does, it listens
    there itself, for QEMU's `reconnect=1`.

    :param faces: what the key shows on USB.
    :param say: takes a line of text for whoever started the twin.
    :raises CallerError: the path is too long, or is something else than a socket.
    """

    def __init__(self, path: Path, faces: UsbFaces, say: Callable[[str], None]):
        self._path, self._faces, self._say = path, faces, say
        self._listener: socket.socket | None = None
        self._stream: socket.socket | None = None
        self._host = RedirHost(say)
        self._device: UsbDevice | None = None
        self._firmware: Firmware | None = None
        self._plug_at_us: int | None = None
        self._was_plugged = False
        self._arrived: list[tuple[str, bytes]] = []
        self._clock: Callable[[], int] = lambda: 0
        size = len(os.fsencode(path))
        if size > PATH_MAX:
            raise CallerError(
                f"--usbredir {path}",
                found=f"a path of {size} bytes",
                expected=f"at most {PATH_MAX}, which is all that a socket's path can have",
                mend="name a shorter one",
            )
        self._open()

    def attach(self, clock: Callable[[], int]) -> None:
        self._clock = clock

    # The socket

    def _open(self) -> None:
        """Connect, or listen where nobody does."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DIAL_S)
        try:
            sock.connect(str(self._path))
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            self._listen()
        except OSError as error:
            sock.close()
            raise self._unfit(str(error)) from None
        else:
            self._greet(sock)

    def _listen(self) -> None:
        if self._path.exists():
            if not stat.S_ISSOCK(self._path.stat().st_mode):
                raise self._unfit("a file")
            # Nobody listens there any more: what is left of a process that was killed.
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(self._path))
        except OSError as error:
            listener.close()
            raise self._unfit(error.strerror or str(error)) from None
        listener.listen(1)
        listener.setblocking(False)
        self._listener = listener

    def _unfit(self, found: str) -> CallerError:
        return CallerError(
            f"--usbredir {self._path}",
            found=found,
            expected="a socket on which QEMU listens, or a path at which one can be made",
            mend="name another path",
        )

    def _greet(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._stream = sock
        self._host = RedirHost(self._say)
        if self._device is not None and self._firmware is not None:
            # Another host: nothing that the last one did is known to it.
            self._device = self._made(self._firmware)
            self._plug()
        self._push()

    def _lost(self) -> None:
        """The client has gone; serve the next one."""
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        if self._listener is not None:
            return
        if not self._host.is_greeted:
            # To connect again would be refused again, without an end.
            self._say(f"--usbredir {self._path}: the other end closed without a HELLO; nobody is served")
            return
        try:
            self._open()
        except CallerError as error:
            self._say(str(error))

    def sockets(self) -> list[Wire]:
        return [sock for sock in (self._listener, self._stream) if sock is not None]

    def unsent(self) -> list[Wire]:
        return [self._stream] if self._stream is not None and self._host.output else []

    def arrived(self, sock: Wire) -> list[tuple[str, bytes]]:
        if sock is self._listener and self._listener is not None:
            with contextlib.suppress(OSError):
                client, _ = self._listener.accept()
                if self._stream is None:
                    self._greet(client)
                else:
                    client.close()
        elif sock is self._stream and self._stream is not None:
            self._read(self._stream)
        arrived, self._arrived = self._arrived, []
        return arrived

    def _read(self, stream: socket.socket) -> None:
        try:
            data = stream.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        try:
            self._host.receive(data)
        except ProtocolError as error:
            self._say(
                f"--usbredir: {error}: the other end does not speak usbredir 0.7; the connection is closed"
            )
            self._lost()
        self._push()

    def writable(self, sock: Wire) -> None:
        self._push()

    def _push(self) -> None:
        self._host.flush()
        if self._stream is None or not self._host.output:
            return
        try:
            sent = self._stream.send(self._host.output)
        except BlockingIOError:
            return
        except OSError:
            # A closed connection is noticed by the next read.
            sent = len(self._host.output)
        del self._host.output[:sent]

    # The key

    def answer(self, endpoint: str, data: bytes, asker: object) -> None:
        if self._device is not None:
            self._device.send(endpoint, data)
            self._push()

    def replugged(self) -> None:
        self._unplug()

    def halted(self) -> None:
        # It stays on the bus and answers nothing: not even control requests.
        self._firmware = None
        self._host.mute()

    def show(self, firmware: Firmware | None) -> None:
        self._unplug()
        self._firmware = firmware
        self._device = None if firmware is None else self._made(firmware)
        if self._device is None:
            return
        if self._was_plugged:
            self._plug_at_us = self._clock() + OFF_THE_BUS_US
        else:
            self._plug()
        self._was_plugged = True

    def _made(self, firmware: Firmware) -> UsbDevice | None:
        return self._faces.device(firmware, self._take, self._clock)

    def _take(self, endpoint: str, packet: bytes) -> None:
        self._arrived.append((endpoint, packet))

    def _plug(self) -> None:
        self._plug_at_us = None
        if self._device is not None:
            self._host.plug(self._device)
        self._push()

    def _unplug(self) -> None:
        self._plug_at_us = None
        self._host.unplug()
        self._push()

    def next_event_us(self) -> int | None:
        functions = self._device.functions if self._device is not None else ()
        due = [self._plug_at_us, *(function.next_event_us() for function in functions)]
        return min((one for one in due if one is not None), default=None)

    def advance(self, now_us: int) -> None:
        if self._plug_at_us is not None and now_us >= self._plug_at_us:
            self._plug()
        if self._device is not None:
            for function in self._device.functions:
                function.advance(now_us)
            self._push()

    def close(self) -> None:
        for sock in (self._stream, self._listener):
            if sock is not None:
                sock.close()
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
