"""Run a program to its end, with a limit: for boards that only a tool of their own can switch."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence

WAITING = 'read -r go && exec "$@" </dev/null'
"""A shell that runs the command when a line is sent to it, and ends when its stdin closes."""
WORDS_MAX = 400
"""Bytes at the end of a program's output that a message shows."""


class LimitPassed(Exception):
    """The program did not end in time, and was killed."""


class Program:
    """A program that has been started.

    :param waits: the program starts only when a line is written to `go`.
    :raises OSError: it cannot be started.
    """

    def __init__(self, argv: Sequence[str], *, waits: bool = False):
        self._output = os.memfd_create("output", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", WAITING, "sh", *argv] if waits else list(argv),
            stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=_environment(os.environ),
            start_new_session=True,
        )

    @property
    def go(self) -> int:
        """The descriptor to write a line to."""
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def ended(self, limit_s: float) -> tuple[int, str]:
        """Wait for its end; returns its exit code and the end of its output.

        :raises LimitPassed: it did not end in time.
        """
        pidfd = os.pidfd_open(self._process.pid)
        try:
            if not select.select([pidfd], [], [], limit_s)[0]:
                self.kill()
                raise LimitPassed
        finally:
            os.close(pidfd)
        code = self._process.wait()
        size = os.fstat(self._output).st_size
        words = os.pread(self._output, WORDS_MAX, max(0, size - WORDS_MAX)).decode("utf-8", "replace").strip()
        self._close()
        return code, words

    def kill(self) -> None:
        """End it and whatever it has started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._output >= 0:
            os.close(self._output)
            self._output = -1
        if self._process.stdin is not None:
            # The reader may have gone: what is still in the buffer is lost then.
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.kill()
        else:
            os.close(self._output)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    # PINs are in KEYHARNESS_ variables: a relay's tool must not see them.
    return {name: value for name, value in ours.items() if not name.startswith("KEYHARNESS")}
