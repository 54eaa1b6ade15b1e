"""Decide when to touch the key: a delay after it asks, and only while a request of ours is pending.

A CTAPHID key asks by a keepalive with status 2 (CTAP 2.1, section 11.2.9.2.5). A U2F request (CTAPHID_MSG) and an
APDU to a card ask by being sent: such a key says nothing while it waits for a touch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from harness.api import Clock, Touch

_KEEPALIVE, _UP_NEEDED, _MSG, _FIRST_PACKET = 0xBB, 2, 0x83, 0x80


class TouchWhenAsked(Touch):
    """Presses `delay_us` after the key has asked, once for each time that it asks.

    :ivar due_us: when the next press is due, on the rig's clock; None if the key has not asked.
    """

    def __init__(self, clock: Clock):
        self._clock = clock
        self.due_us: int | None = None
        self._delay_us: int | None = None
        self._pressed = False

    @property
    @abstractmethod
    def can_press(self) -> bool:
        """Is there something that can press now?"""

    @abstractmethod
    def press(self) -> None:
        """Begin to touch the key."""

    @abstractmethod
    def release(self) -> None:
        """Stop touching the key; nothing happens if it is not touched."""

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        before, self._delay_us = self._delay_us, delay_us
        try:
            yield
        finally:
            self._delay_us = before
            self.answered()

    def sent(self, packet: bytes) -> None:
        """Note a CTAPHID packet that the client has sent."""
        if packet[4] & _FIRST_PACKET:
            self.answered()
            if packet[4] == _MSG:
                self._asked()

    def received(self, packet: bytes) -> None:
        """Note a CTAPHID packet that the client has received."""
        if packet[4] == _KEEPALIVE and packet[7] == _UP_NEEDED:
            if not self._pressed:
                self._asked()
        elif self._pressed:
            self.answered()

    def asked_of_a_card(self) -> None:
        """Note an APDU that the client has sent."""
        self.answered()
        self._asked()

    def answered(self) -> None:
        """Note that no request is pending any more."""
        self.due_us, self._pressed = None, False
        self.release()

    def press_if_due(self) -> None:
        if self.due_us is not None and self._clock.now_us >= self.due_us and self.can_press:
            self.due_us, self._pressed = None, True
            self.press()

    def _asked(self) -> None:
        if self.can_press and self._delay_us is not None and self.due_us is None:
            self.due_us = self._clock.now_us + self._delay_us
