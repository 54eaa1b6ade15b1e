"""The cutter: takes the power away at an absolute instant, whatever this process is busy with.

It is a process of its own, because a thread waits for the interpreter's lock (5-50 ms late while the main
thread works). It is executed, not forked, inherits nothing but its link, dies with its parent, and always
reports when it really acted.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

from harness.base.errors import RigError
from harness.model.cut_action import CutAction, Ioctl, Kill, Measure, Write
from harness.model.instant import CutInstant

PROGRAM = Path(__file__).with_name("cutter_process.py")
START_LIMIT_S = 10.0
ANSWER_LIMIT_S = 5.0
SHOTS, AHEAD_US = 12, 3_000


class Cutter:
    """One cutter process, which can be armed for one cut at a time.

    Make it in the main thread: the process dies with the thread that made it.

    :ivar realtime: whether it is scheduled FIFO. Then it is late by at most 0.1 ms (p99), otherwise by 5 ms.
    :raises RigError: the process does not start.
    """

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PROGRAM), str(os.getpid())],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
            )
        self._number = 0
        self._armed: CutInstant | None = None
        word, realtime = self._answer(START_LIMIT_S)[:2]
        assert word == "ready"
        self.realtime = realtime == "1"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def armed(self) -> bool:
        return self._armed is not None

    def fileno(self) -> int:
        """Readable as soon as the armed cut has fired."""
        return self._link.fileno()

    def arm(self, cut: CutInstant, action: CutAction) -> None:
        """Act at `cut.armed_us` of CLOCK_MONOTONIC; at once if that has passed."""
        assert self._armed is None, "it is armed already"
        self._number += 1
        deadline_ns = cut.armed_us * 1000
        text, fds = f"arm {self._number} {deadline_ns} none", []
        if isinstance(action, Kill):
            text, fds = f"arm {self._number} {deadline_ns} kill", [action.pidfd]
        elif isinstance(action, Write):
            text, fds = f"arm {self._number} {deadline_ns} write {action.data.hex()}", [action.fd]
        elif isinstance(action, Ioctl):
            text, fds = (
                f"arm {self._number} {deadline_ns} ioctl {action.data.hex()} {action.request}",
                [action.fd],
            )
        try:
            socket.send_fds(self._link, [text.encode()], fds)
        except OSError as error:
            raise self._gone() from error
        self._armed = cut

    def collect(self) -> CutInstant:
        """Wait until the armed instant has passed and the process has acted: the cut with when, and `error`.

        :raises RigError: the process does not answer, or has ended.
        """
        assert self._armed is not None, "it is not armed"
        left_s = max(0.0, self._armed.armed_us / 1e6 - time.monotonic())
        return self._fired(self._answer(left_s + ANSWER_LIMIT_S))

    def disarm(self) -> CutInstant | None:
        """Call the armed cut off. If it was too late for that, return the cut as `collect` does."""
        if self._armed is None:
            return None
        try:
            self._link.send(f"disarm {self._number}".encode())
        except OSError as error:
            raise self._gone() from error
        answer = self._answer(ANSWER_LIMIT_S)
        if answer[0] == "fired":
            return self._fired(answer)
        self._armed = None
        return None

    def close(self) -> None:
        """End the process, without firing."""
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _fired(self, answer: list[str]) -> CutInstant:
        assert answer[0] == "fired"
        assert self._armed is not None
        cut, self._armed = self._armed, None
        before_ns, after_ns, error = map(int, answer[2:])
        # Rounded outwards: the act lies between them.
        return cut.fired(before_ns // 1000, -(-after_ns // 1000), error)

    def _answer(self, limit_s: float) -> list[str]:
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if not poll.poll(limit_s * 1000):
            raise RigError("the cutter process does not answer", found=f"nothing within {limit_s:.1f} s")
        message = self._link.recv(4096).decode()
        if not message:
            raise self._gone()
        return message.split()

    def _gone(self) -> RigError:
        return RigError(
            "the cutter process has ended", mend="run it again; the process was killed from outside"
        )


def lateness_us(shots: int = SHOTS) -> list[int]:
    """How late the cutter acts on this host, measured with shots that switch nothing."""
    cutter = Cutter()
    try:
        late = []
        for _ in range(shots):
            cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000 + AHEAD_US), Measure())
            late.append(cutter.collect().late_us)
        return late
    finally:
        cutter.close()
