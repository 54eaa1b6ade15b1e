"""Wait for a key's answer, at most for the rig's limit, and touch the key meanwhile when a touch is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from harness.api import Clock

T = TypeVar("T")

GENERATION_S = 600
"""Longest wait for a card that makes a key pair: an RSA key of 4096 bits takes minutes. The card asks its reader for
more time meanwhile, which the daemon's clients do not see: to them it is as silent as one that hangs."""


class DueTouch(Protocol):
    """What the wait needs of a touch."""

    @property
    def due_us(self) -> int | None:
        """When the next press is due, on the rig's clock; None if the key has not asked for one."""

    def press_if_due(self) -> None: ...


class AnswerWait:
    """The waits of one rig for its key's answers.

    :ivar limit_s: longest wait for one answer.
    :ivar spent_us: time spent waiting so far, all answers together.
    """

    def __init__(self, clock: Clock, touch: DueTouch, limit_s: float):
        self._clock, self._touch, self.limit_s = clock, touch, limit_s
        self.spent_us = 0

    def limit_words(self, limit_s: float | None = None) -> str:
        """What to say when a limit passed, by default that of all answers."""
        return f"no answer within {self.limit_s if limit_s is None else limit_s:g} s"

    def limit_of(self, apdu: bytes) -> float:
        """Longest wait, in seconds, for the answer to a command APDU."""
        return max(self.limit_s, GENERATION_S) if makes_a_key_pair(apdu) else self.limit_s

    def until(self, take: Callable[[float], T | None], limit_s: float | None = None) -> T | None:
        """Return the first answer that `take` gives; None if the limit passed first.

        :param take: waits for an answer for at most the given seconds; returns None without one.
        :param limit_s: the limit, where it is not that of all answers.
        """
        with self.timed():
            until_us = self._clock.now_us + round((self.limit_s if limit_s is None else limit_s) * 1e6)
            while (now_us := self._clock.now_us) < until_us:
                due_us = self._touch.due_us
                wait_us = (until_us if due_us is None else min(due_us, until_us)) - now_us
                answer = take(max(0, wait_us) / 1e6)
                if answer is not None:
                    return answer
                self._touch.press_if_due()
        return None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time while entered as time spent waiting."""
        began_us = self._clock.now_us
        try:
            yield
        finally:
            self.spent_us += self._clock.now_us - began_us


def makes_a_key_pair(apdu: bytes) -> bool:
    """Is it GENERATE ASYMMETRIC KEY PAIR (ISO 7816-8)? Of OpenPGP, P1 81 only reads the public key (section 7.2.14)."""
    return apdu[1:2] == b"\x46" or (apdu[1:2] == b"\x47" and apdu[2:3] != b"\x81")
