"""Ask the person at the terminal, on /dev/tty, whatever stdin and stdout are; with a limit."""

from __future__ import annotations

import os
import select
import termios
from typing import Self

from harness.api import CallerError, Host, RigError


class Terminal:
    """The terminal that this process was started from.

    :param what: who needs a person, for messages.
    :raises CallerError: there is none, or this process runs in its background: nobody would answer.
    """

    def __init__(self, host: Host, what: str):
        self._what = what
        try:
            self._fd = os.open(host.dev / "tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            raise self._nobody("no terminal") from None
        try:
            if not os.isatty(self._fd):
                raise self._nobody("no terminal")
            if _is_in_background(self._fd):
                raise self._nobody("a job in the background")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, text: str) -> None:
        os.write(self._fd, f"\n>>> {text}\n".encode())

    def ask(self, text: str, limit_s: float) -> None:
        """Ask for something, and wait for Enter.

        :raises RigError: nobody presses Enter within the limit.
        """
        # What was typed before the question does not answer it.
        termios.tcflush(self._fd, termios.TCIFLUSH)
        self.say(f"{text}, then press Enter")
        if not select.select([self._fd], [], [], limit_s)[0] or not os.read(self._fd, 1024):
            raise RigError(
                f"{self._what}: nobody did it",
                found=f"no Enter within {limit_s:g} s",
                expected=text,
                mend="run it again when a person is there, or use a driver that needs none",
            )

    def _nobody(self, found: str) -> CallerError:
        return CallerError(
            self._what,
            found=found,
            expected="a person at a terminal, who is asked to do it",
            mend="run it in the foreground of a terminal; an unattended rig needs a hub, a relay or a board",
        )


def _is_in_background(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False
