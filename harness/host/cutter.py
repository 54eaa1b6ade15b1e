"""The cutter: takes the power away at an absolute instant, whatever this process is busy with.

It is a process of its own, because a thread waits for the interpreter's lock (5-50 ms late while the main
thread works). It is executed, not forked, inherits nothing but its link, dies with its parent, and always
says when it really fired.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness.base.errors import RigError
from harness.model.cut_action import CutAction, Ioctl, Kill, Write

PROGRAM = Path(__file__).with_name("cutter_process.py")
START_LIMIT_S = 10.0
ANSWER_LIMIT_S = 5.0


@dataclass(frozen=True)
class Fired:
    """When it really happened, in ns of CLOCK_MONOTONIC, just before and just after the action.

    :ivar error: errno of the action, 0 if it went well (ESRCH: the process had gone before).
    """

    deadline_ns: int
    before_ns: int
    after_ns: int
    error: int

    @property
    def late_ns(self) -> int:
        return self.before_ns - self.deadline_ns


class Cutter:
    """One cutter process; arms one deadline at a time. To be made in the main thread, with which it dies.

    :ivar realtime: whether it is scheduled FIFO: late by 0.1 ms at most (p99), otherwise 5 ms.
    :raises RigError: it does not start.
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
        self._deadline_ns: int | None = None
        word, realtime = self._answer(START_LIMIT_S)[:2]
        assert word == "ready"
        self.realtime = realtime == "1"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def armed(self) -> bool:
        return self._deadline_ns is not None

    def fileno(self) -> int:
        """Readable as soon as the armed deadline has fired."""
        return self._link.fileno()

    def arm(self, deadline_ns: int, action: CutAction) -> None:
        """Act at an instant of CLOCK_MONOTONIC; at once if it has passed."""
        assert self._deadline_ns is None, "it is armed already"
        self._number += 1
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
        self._deadline_ns = deadline_ns

    def collect(self) -> Fired:
        """Wait until the armed deadline has passed and it has fired."""
        assert self._deadline_ns is not None, "it is not armed"
        left_s = max(0.0, (self._deadline_ns - time.monotonic_ns()) / 1e9)
        return self._fired(self._answer(left_s + ANSWER_LIMIT_S))

    def disarm(self) -> Fired | None:
        """Call it off; returns what happened if it was too late for that."""
        if self._deadline_ns is None:
            return None
        try:
            self._link.send(f"disarm {self._number}".encode())
        except OSError as error:
            raise self._gone() from error
        answer = self._answer(ANSWER_LIMIT_S)
        if answer[0] == "fired":
            return self._fired(answer)
        self._deadline_ns = None
        return None

    def close(self) -> None:
        """End the process, without firing."""
        self._link.close()
        self._process.kill()
        self._process.wait()

    def _fired(self, answer: list[str]) -> Fired:
        assert answer[0] == "fired"
        assert self._deadline_ns is not None
        deadline_ns, self._deadline_ns = self._deadline_ns, None
        return Fired(deadline_ns, *map(int, answer[2:5]))

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
        return RigError("the cutter process has ended", mend="run it again; somebody has killed it")
