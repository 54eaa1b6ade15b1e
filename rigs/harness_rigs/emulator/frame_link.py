"""Links of frames that are no CTAPHID: feature reports and reports of a bootloader, on a port of the firmware.

Each frame has its length before it, two bytes, big-endian.
"""

from __future__ import annotations

from harness_rigs.emulator.link import Frames, Link, dialled
from harness_rigs.emulator.process import Process, ProcessHost

GET_REPORT = b""


class FrameLink(Link):
    """A connection of one boot; ready when the firmware listens.

    :param answer_s: longest wait until the firmware takes a frame: a data phase has thousands of them in a row, and it
        may check a signature before it reads on.
    """

    def __init__(self, host: ProcessHost, process: Process, port: int, answer_s: float):
        super().__init__(host, process)
        self._port, self._answer_s = port, answer_s
        self._frames: Frames | None = None

    def ready(self, until: float) -> bool:
        self._frames = dialled(self, self._host, self._process, self._port, until)
        return self._frames is not None

    def send(self, data: bytes) -> None:
        assert self._frames is not None
        self._frames.send(data, self._answer_s)

    def receive(self, limit_s: float) -> bytes | None:
        assert self._frames is not None
        return self._frames.next(limit_s)

    def close(self) -> None:
        if self._frames is not None:
            self._frames.socket.close()
