"""The finger of a hardware rig: presses what the bench names, inside our own pending request only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from harness.base.clock import Clock
from harness.model.rig import Touch

_KEEPALIVE, _UP_NEEDED, _MSG = 0xBB, 2, 0x83


class Finger(Touch):
    """Presses some time after the key has asked, by a keepalive, or as U2F does by the request itself; lets go
    when the key has answered.

    :param actuator: what touches it; None touches nothing. One that can only be told beforehand (it has no
        `holding`) sees to the rest itself.
    :ivar due_us: when the next press is due, None if nobody has asked.
    """

    def __init__(self, actuator: Touch | None, clock: Clock):
        self._actuator, self._clock = actuator, clock
        self._holds = actuator is not None and type(actuator).holding is not Touch.holding
        self.due_us: int | None = None
        self._delay_us: int | None = None
        self._pressed = False
        self._press = ExitStack()

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        if self._actuator is not None and not self._holds:
            with self._actuator.pressing(delay_us=delay_us):
                yield
            return
        before, self._delay_us = self._delay_us, delay_us
        try:
            yield
        finally:
            self._delay_us = before
            self._let_go()

    def holding(self) -> AbstractContextManager[None]:
        return self._actuator.holding() if self._actuator is not None else super().holding()

    def sent(self, packet: bytes) -> None:
        """The client has sent a packet."""
        if packet[4] & 0x80:
            self._let_go()
            if packet[4] == _MSG:
                self._asked()

    def received(self, packet: bytes) -> None:
        """The client has got a packet."""
        if packet[4] == _KEEPALIVE and packet[7] == _UP_NEEDED:
            if not self._pressed:
                self._asked()
        elif self._pressed:
            self._let_go()

    def asked_of_a_card(self) -> None:
        """An APDU has been sent: a card that waits for touch sends nothing meanwhile, so it may be asked for now."""
        self._let_go()
        self._asked()

    def answered(self) -> None:
        """Its answer has come."""
        self._let_go()

    def _asked(self) -> None:
        if self._holds and self._delay_us is not None and self.due_us is None:
            self.due_us = self._clock.now_us + self._delay_us

    def press_if_due(self) -> None:
        if self.due_us is None or self._clock.now_us < self.due_us:
            return
        self.due_us, self._pressed = None, True
        assert self._actuator is not None
        self._press.enter_context(self._actuator.holding())

    def _let_go(self) -> None:
        self.due_us, self._pressed = None, False
        self._press.close()
