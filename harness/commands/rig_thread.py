"""A thread that has one rig in hand, and does with it what others ask for, one thing after the other.

One thread for a rig's whole time, because what a rig starts may end with the thread that started it
(PR_SET_PDEATHSIG counts threads), and because no rig is made to be used from two at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TypeVar

from harness.base.errors import CallerError, RigError
from harness.model.rig import Rig

T = TypeVar("T")


class Hand:
    """One rig: its power, and a touch that ends by itself.

    :param held_s: a touch is never longer than this, whoever forgets to end it.
    """

    def __init__(self, rig: Rig, held_s: float):
        self.rig, self._held_s = rig, held_s
        self._press: AbstractContextManager[None] | None = None
        self._ends: threading.Timer | None = None
        self._wishes: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"rig {rig.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (wish := self._wishes.get()) is not None:
            wish()

    def ask(self, do: Callable[[], T], limit_s: float) -> T:
        """Have something done in the rig's thread; what it returns or raises.

        :raises TimeoutError: it is not done yet; it will be.
        """
        done: Future[T] = Future()

        def wish() -> None:
            try:
                done.set_result(do())
            except BaseException as error:
                done.set_exception(error)

        self._wishes.put(wish)
        return done.result(limit_s)

    # Only in the rig's thread.

    @property
    def touched(self) -> bool:
        return self._press is not None

    def power(self, on: bool) -> None:
        """Switch it; a key without power is not touched any more."""
        if on:
            self.rig.power.on()
        else:
            self.release()
            self.rig.power.off()

    def press(self) -> None:
        """Begin to touch the key.

        :raises CallerError: a key that may not be written to: a touch consents to whatever somebody asks it.
        :raises RigError: it has no power, or nothing touches it.
        """
        if not self.rig.expendable:
            raise CallerError(
                f'rig "{self.rig.name}" · expendable',
                found="not set",
                expected="expendable = true: a touch lets whoever talks to the key do what he likes, a reset for one",
            )
        if not self.rig.power.is_on:
            raise RigError(f'rig "{self.rig.name}"', found="off", expected="a key with power")
        if self._press is not None:
            return
        press = self.rig.touch.holding()
        press.__enter__()
        self._press = press
        self._ends = threading.Timer(self._held_s, lambda: self._wishes.put(self.release))
        self._ends.daemon = True
        self._ends.start()

    def release(self) -> None:
        """End the touch, if there is one."""
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        press, self._press = self._press, None
        if press is not None:
            press.__exit__(None, None, None)

    def close(self, limit_s: float) -> None:
        """Let the key go, and end the thread. The power of a real one is left to custody."""

        def put_away() -> None:
            self.release()
            if self.rig.evidence_kind != "hardware":
                # What is a process ends with the thread that has started it, and must not do so by surprise.
                self.rig.power.off()

        try:
            self.ask(put_away, limit_s)
        finally:
            self._wishes.put(None)
            self._thread.join(limit_s)
