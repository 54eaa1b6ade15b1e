"""An emulator as a process: start it, kill it, see how it ended."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from harness.api import HarnessFault, RigError

PROGRAM = Path(__file__).with_name("host.py")
PYTHON = (sys.executable, "-I", "-S")
"""Runs our own programs, which need the standard library only: a start costs a millisecond."""
HOST_LIMIT_S = 60.0
DEATH_LIMIT_S = 60.0
"""A busy host may take long for a start and for an end; it is a fault only if neither comes."""

Isolation = Literal["auto", "namespace", "none"]


class ProcessHost:
    """Where the emulators of one rig run: in a network namespace of their own, or in this process's.

    :param beside: run in the network namespace of this host's programs.
    :param mounts: whether file systems are mounted there, which nothing outside sees.
    :ivar isolated: is it a namespace of its own? Then other emulators may use the same ports.
    :raises RigError: a namespace is required and not permitted.
    """

    def __init__(self, isolation: Isolation, beside: ProcessHost | None = None, *, mounts: bool = False):
        self.isolated = False
        self._way: list[str] = []
        self._asking = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        ways: dict[Isolation, list[list[str]]] = {
            "auto": [["unshare", "-n", "--"], ["unshare", "-U", "-r", "-n", "--"], []],
            "namespace": [["unshare", "-n", "--"], ["unshare", "-U", "-r", "-n", "--"]],
            "none": [["unshare", "-m", "--"], ["unshare", "-U", "-r", "-m", "--"]] if mounts else [[]],
        }
        if mounts and isolation != "none":
            ways[isolation] = [[*way[:-1], "-m", "--"] for way in ways[isolation] if way]
        for way in ways[isolation] if beside is None else [beside.entering()]:
            if self._start(way):
                self.isolated, self._way = "-n" in way, way
                return
        raise RigError(
            "a network namespace could not be made",
            found="`unshare -n` and `unshare -U -r -n` are not permitted, or not there",
            expected="the right to make one (CAP_SYS_ADMIN, or unprivileged user namespaces)",
            mend='use isolation = "none": then no other emulator may use the same ports meanwhile',
        )

    def entering(self) -> list[str]:
        """The command that enters the network namespace of this host's programs."""
        assert self._process is not None, "closed"
        owner = ["-U", "--preserve-credentials"] if "-U" in self._way else []
        return ["nsenter", "-t", str(self._process.pid), *owner, "-n", "--"]

    def _start(self, way: list[str]) -> bool:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mode = "namespace" if "-n" in way else "none"
        command = [*way, *PYTHON, str(PROGRAM), str(os.getpid()), mode]
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                )
            except FileNotFoundError:
                return False
        try:
            self._answer()
        except RigError:
            self.close()
            return False
        return True

    def _answer(self) -> tuple[dict[str, Any], list[int]]:
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if not poll.poll(HOST_LIMIT_S * 1000):
            raise RigError("the emulator's host process does not answer")
        message, fds, _, _ = socket.recv_fds(self._link, 1 << 16, 2)
        if not message:
            raise RigError(
                "the emulator's host process has ended", mend="run it again: the process was killed"
            )
        for fd in fds:
            os.set_inheritable(fd, False)
        return json.loads(message), fds

    def _ask(self, fds: Sequence[int] = (), **wish: Any) -> tuple[dict[str, Any], list[int]]:
        # A touch comes from the thread of the client that waits for it.
        with self._asking:
            try:
                socket.send_fds(self._link, [json.dumps(wish).encode()], list(fds))
            except OSError as error:
                raise RigError("the emulator's host process has ended") from error
            answer, passed = self._answer()
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(max(0, answer["errno"])))
        return answer, passed

    def spawn(self, argv: list[str], env: Mapping[str, str], cwd: Path, output: int) -> Process:
        """Start an emulator; its output goes to a file descriptor.

        :raises OSError: it cannot be executed.
        """
        touch_r, touch_w = os.pipe()
        try:
            answer, (guard, program) = self._ask(
                (touch_r, output), do="spawn", argv=argv, env=dict(env), cwd=str(cwd)
            )
        except OSError:
            os.close(touch_w)
            raise
        finally:
            os.close(touch_r)
        return Process(self, answer["pid"], guard, program, touch_w)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to the processes of an emulator that catch it; to its program if none does."""
        self._ask(do="signal", pid=pid, number=number)

    def is_alone(self, pid: int) -> bool:
        """Return whether the program of an emulator has started no other process."""
        return bool(self._ask(do="is_alone", pid=pid)[0]["alone"])

    def reap(self, pid: int) -> int:
        return int(self._ask(do="reap", pid=pid)[0]["status"])

    def socket(self, kind: Literal["udp", "listen", "connect"], port: int) -> socket.socket:
        """A socket on the emulators' loopback interface.

        :raises OSError: no program listens ("connect"), or the port is taken.
        """
        _, (fd,) = self._ask(do=kind, port=port)
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        return sock

    def acknowledge_at_once(self) -> None:
        """In a namespace of its own: let an answer in parts arrive as it is sent, where that is permitted."""
        if self.isolated:
            with suppress(OSError):
                self._ask(do="acknowledge_at_once")

    def close(self) -> None:
        """End the process, and with it all that it has started."""
        self._link.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Process:
    """One boot of an emulator: from its start to its death."""

    def __init__(self, host: ProcessHost, pid: int, guard: int, program: int, stdin: int):
        """
        :param pid: process number of the guard, with which all that the program started ends.
        :param guard: pidfd of the guard. :param program: pidfd of the program.
        """
        self._host, self.pid, self.guard, self.pidfd, self._stdin = host, pid, guard, program, stdin
        self._status: int | None = None

    @property
    def alive(self) -> bool:
        return self._status is None and not self.wait(0)

    def wait(self, limit_s: float) -> bool:
        """Has it ended within the limit?

        If the program has, the end of all the rest is waited for: only then is it known how the program ended.
        """
        return self._status is not None or (_ended(self.pidfd, limit_s) and _ended(self.guard, DEATH_LIMIT_S))

    def signal(self, number: int) -> None:
        """Send a signal to the firmware, which a shell may have started; nothing happens if it has ended.

        SIGKILL takes the power of all that the program has started.
        """
        if self._status is not None:
            return
        if number != signal.SIGKILL:
            self._host.signal(self.pid, number)
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.power(), number)

    def power(self) -> int:
        """Return the pidfd to kill when the power goes.

        It is the program's if that is alone: if it is ending by itself already, its guard still says how. Else it is
        the guard's, with which all processes end at once.
        """
        return self.pidfd if self._host.is_alone(self.pid) else self.guard

    def line(self) -> None:
        """Write an empty line to its stdin."""
        if self._status is not None:
            return
        try:
            os.write(self._stdin, b"\n")
        except BrokenPipeError:
            return

    def kill(self) -> int:
        """Send SIGKILL if it has not ended by itself, and reap it; returns the status of waitpid."""
        if self.alive:
            self.signal(signal.SIGKILL)
        return self.reap()

    def reap(self) -> int:
        """Wait for its end; returns the status of waitpid."""
        if self._status is None:
            if not _ended(self.guard, DEATH_LIMIT_S):
                raise HarnessFault(f"process {self.pid} outlived its SIGKILL for {DEATH_LIMIT_S:.0f} s")
            self._status = self._host.reap(self.pid)
            for fd in (self.guard, self.pidfd, self._stdin):
                os.close(fd)
        return self._status


def _ended(pidfd: int, limit_s: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(limit_s * 1000))


def death(status: int) -> str:
    """How a process ended: "crashed: SIGSEGV", "exited by itself with code 3"."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"crashed: {signal.Signals(number).name}"
        except ValueError:
            return f"crashed: signal {number}"
    return f"exited by itself with code {os.WEXITSTATUS(status)}"


def was_killed(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
