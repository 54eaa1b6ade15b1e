"""How long a run, or a rig in it, has worked: kept through kills, and right when the clock of the host is set.

The monotonic clock of Linux is one for all processes, so each process of a run may note the time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from harness.base.atomic_file import replace_file

_WIDTH = 20
"""Characters of a field: seconds with six digits after the point, and a space or a newline behind."""
Clock = Callable[[], float]


class WorkedTime:
    """A file of one line, three fields of seconds: when the work began on the monotonic clock, how long the work had
    taken before that, and how long it had taken when that was last noted.
    """

    def __init__(self, path: Path, clock: Clock = time.monotonic):
        """Open a file that `begin` has made.

        :raises OSError, ValueError: there is none, or it holds something else.
        """
        self._path = path
        self._clock = clock
        self._began_s, self._before_s, self._noted_s = _read(path)

    @classmethod
    def begin(cls, path: Path, clock: Clock = time.monotonic, *, before_s: float = 0.0) -> WorkedTime:
        """Begin to work, or go on after an interruption: the time until now does not count.

        :param before_s: seconds of work before, if the file does not say it.
        """
        before_s = noted_s(path, otherwise=before_s)
        replace_file(path, _field(clock()) + " " + _field(before_s) + " " + _field(before_s) + "\n")
        return cls(path, clock)

    @property
    def before_s(self) -> float:
        """Seconds of work before the last interruption."""
        return self._before_s

    @property
    def seconds(self) -> float:
        """Seconds of work until now."""
        return self._before_s + max(0.0, self._clock() - self._began_s)

    def note(self) -> None:
        """Write down the seconds until now: a kill after this does not lose them."""
        file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, _field(self.seconds).encode(), 2 * _WIDTH)
        finally:
            os.close(file)


def noted_s(path: Path, *, otherwise: float = 0.0) -> float:
    """Return the seconds that were noted last.

    :param otherwise: the answer if there is no such file, or a damaged one.
    """
    try:
        return _read(path)[2]
    except (OSError, ValueError):
        return otherwise


def _read(path: Path) -> tuple[float, float, float]:
    began_s, before_s, noted = path.read_text(encoding="ascii").split()
    return float(began_s), float(before_s), float(noted)


def _field(seconds: float) -> str:
    return f"{seconds:0{_WIDTH - 1}.6f}"
