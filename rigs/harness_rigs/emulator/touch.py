"""Touch an emulator: by a signal, or by a line on its stdin."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from harness.api import CallerError, Clock, RigError
from harness_rigs.emulator.process import Process
from harness_rigs.touch.when_asked import TouchWhenAsked


class ProcessTouch(TouchWhenAsked):
    """A press is over at once: there is nothing to release.

    :ivar process: the emulator that is touched; None while it has no power.
    """

    def __init__(self, how: Literal["none", "signal", "stdin"], signal_name: str, clock: Clock):
        super().__init__(clock)
        self._how = how
        self.process: Process | None = None
        try:
            self._signal = signal.Signals[signal_name]
        except KeyError:
            raise CallerError(
                "touch_signal", found=signal_name, expected="the name of a signal, e.g. SIGUSR1"
            ) from None

    press_us = 0

    @property
    def can_withhold(self) -> bool:
        # A firmware with nothing that touches it counts each request as touched, or it could do nothing.
        return self._how != "none"

    @property
    def can_press(self) -> bool:
        return self._how != "none" and self.process is not None

    def press(self) -> None:
        assert self.process is not None
        if self._how == "signal":
            self.process.signal(self._signal)
        else:
            self.process.line()

    def release(self) -> None:
        """Nothing to do: the press was over at once."""

    @contextmanager
    def holding(self) -> Iterator[None]:
        if self._how == "none":
            raise RigError("this rig has nothing that touches its key", mend='touch = "signal" or "stdin"')
        if self.process is None:
            raise RigError("a key without power cannot be touched", mend="switch it on first")
        self.press()
        yield
