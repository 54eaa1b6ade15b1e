"""The finger of an emulator: a signal or a line on its stdin, inside our own pending request only."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from harness.base.clock import Clock
from harness.base.errors import CallerError, RigError
from harness.model.rig import Touch
from harness_rigs.emulator.process import Process

_KEEPALIVE, _UP_NEEDED, _MSG = 0xBB, 2, 0x83


class Finger(Touch):
    """Presses some time after the key has asked: by a keepalive, or as U2F does, by the request itself.

    :ivar process: the emulator that is touched; None while it is off.
    :ivar due_us: when the next press is due, None if nobody has asked.
    """

    def __init__(self, how: Literal["none", "signal", "stdin"], signal_name: str, clock: Clock):
        self._how, self._clock = how, clock
        self.process: Process | None = None
        self.due_us: int | None = None
        self._delay_us: int | None = None
        self._pressed = False
        try:
            self._signal = signal.Signals[signal_name]
        except KeyError:
            raise CallerError(
                "touch_signal", found=signal_name, expected="the name of a signal, e.g. SIGUSR1"
            ) from None

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        before, self._delay_us = self._delay_us, delay_us
        try:
            yield
        finally:
            self._delay_us, self.due_us = before, None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """A signal or a line is a press that is over at once: there is nothing to hold."""
        if self._how == "none":
            raise RigError("this rig has nothing that touches its key", mend='touch = "signal" or "stdin"')
        if self.process is None:
            raise RigError("a key without power cannot be touched", mend="switch it on first")
        self._press(self.process)
        yield

    def sent(self, packet: bytes) -> None:
        """The client has sent a packet."""
        if packet[4] & 0x80:
            self._pressed, self.due_us = False, None
            if packet[4] == _MSG:
                self._asked()

    def received(self, packet: bytes) -> None:
        """The client has got a packet."""
        if packet[4] == _KEEPALIVE and packet[7] == _UP_NEEDED and not self._pressed:
            self._asked()

    def asked_of_a_card(self) -> None:
        """A command APDU is sent: a card says nothing while it waits for a touch."""
        self._pressed, self.due_us = False, None
        self._asked()

    def _asked(self) -> None:
        if self._how != "none" and self._delay_us is not None and self.due_us is None:
            self.due_us = self._clock.now_us + self._delay_us

    def press_if_due(self) -> None:
        if self.due_us is None or self._clock.now_us < self.due_us or self.process is None:
            return
        self.due_us, self._pressed = None, True
        self._press(self.process)

    def _press(self, process: Process) -> None:
        if self._how == "signal":
            process.signal(self._signal)
        else:
            process.line()
