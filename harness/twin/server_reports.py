"""HID feature reports on a TCP port that a twin listens on (`feature-tcp`), for one client at a time.

Each frame has its length before it, two bytes, big-endian. To the key: a report is SET_REPORT, an empty frame is
GET_REPORT. From it: a report for each GET_REPORT, as the key shows it at that instant.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from harness.twin.board import Firmware
from harness.twin.endpoints import OffersReports
from harness.twin.frame_stream import FrameStream
from harness.twin.server_faces import APPLICATION, ServedEndpoint, Wire, bound


class ReportsFace(ServedEndpoint):
    """The reports of a key that is polled, or that sends a report for each that it has received.

    A second client takes the first one's place, as a program does that opens the device anew.
    """

    endpoint = "hid-feature"

    def __init__(self, port: int, faces: tuple[str, ...] = (APPLICATION,)):
        self.faces = faces
        self._listener = bound(socket.SOCK_STREAM, port)
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._stream: FrameStream | None = None
        self._firmware: Firmware | None = None
        self._now_us: Callable[[], int] = lambda: 0
        self._sent: list[bytes] = []
        self._asked = 0
        self._is_there = True

    def attach(self, clock: Callable[[], int]) -> None:
        self._now_us = clock

    def show(self, firmware: Firmware | None) -> None:
        super().show(firmware)
        self._firmware = firmware

    def sockets(self) -> list[Wire]:
        return [self._listener, *([self._stream.socket] if self._stream is not None else [])]

    def unsent(self) -> list[Wire]:
        return [self._stream.socket] if self._stream is not None and self._stream.waits else []

    def readable(self, sock: Wire) -> list[bytes]:
        if sock is self._listener:
            self._accept()
            return []
        if self._stream is None:
            return []
        frames = self._stream.read()
        if frames is None:
            self._drop()
            return []
        # What is read after a report in the same breath waits for the key to have taken that.
        reports = [frame for frame in frames if frame]
        for _ in range(len(frames) - len(reports)):
            self._get(pending=bool(reports))
        return reports

    def _get(self, *, pending: bool) -> None:
        """GET_REPORT. :param pending: a report came before it, which the key has not taken yet."""
        if pending or not isinstance(self._firmware, OffersReports):
            self._asked += 1
            self._answer()
        elif self._stream is not None:
            self._stream.send(self._firmware.report(self.endpoint, self._now_us()))

    def _answer(self) -> None:
        """Send what a key without a state of its own has sent, for each time that it was asked."""
        while self._asked and self._sent and self._stream is not None:
            self._asked -= 1
            self._stream.send(self._sent.pop(0))

    def advance(self, now_us: int) -> None:
        firmware = self._firmware
        if isinstance(firmware, OffersReports):
            while self._asked and self._stream is not None:
                self._asked -= 1
                self._stream.send(firmware.report(self.endpoint, now_us))

    def send(self, data: bytes, asker: object) -> None:
        self._sent.append(data)
        self._answer()

    def writable(self, sock: Wire) -> None:
        if self._stream is not None:
            self._stream.push()

    def replugged(self) -> None:
        self._drop()

    def present(self, is_there: bool) -> None:
        self._is_there = is_there
        if not is_there:
            self._drop()

    def halted(self) -> None:
        self._drop()

    def close(self) -> None:
        self._drop()
        self._listener.close()

    def _accept(self) -> None:
        # The client may be gone already.
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            self._drop()
            if self._is_there:
                self._stream = FrameStream(client)
            else:
                # In a face without reports nothing would answer.
                client.close()

    def _drop(self) -> None:
        self._sent, self._asked = [], 0
        if self._stream is not None:
            self._stream.socket.close()
            self._stream = None
