"""A thread that owns one rig and does jobs with it, one after the other.

A rig is not safe to use from two threads. The thread lives as long as the rig, because a process that the rig starts
may end with the thread that started it (PR_SET_PDEATHSIG counts threads).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TypeVar

from harness.base.errors import CallerError, KeyharnessError, RigError
from harness.model.rig import Rig
from harness.safety.identity_guard import AnotherKey

T = TypeVar("T")


class RigThread:
    """The power of one rig, and a touch that ends by itself.

    :param held_s: longest touch in seconds, if nobody ends it.
    :param prove: proves that the key, which is up, is the named one; raises RigError if it is another one.
    """

    def __init__(self, rig: Rig, held_s: float, prove: Callable[[], None] = lambda: None):
        self.rig, self._held_s = rig, held_s
        self._prove = prove
        self._stopped: AnotherKey | None = None
        self._press: AbstractContextManager[None] | None = None
        self._ends: threading.Timer | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"rig {rig.name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def ask(self, do: Callable[[], T], limit_s: float) -> T:
        """Do something in the rig's thread; return what it returns, or raise what it raises.

        :raises TimeoutError: it is not done within the limit; it will still be done.
        """
        done: Future[T] = Future()

        def job() -> None:
            try:
                done.set_result(do())
            except BaseException as error:
                done.set_exception(error)

        self._jobs.put(job)
        return done.result(limit_s)

    # The rest runs in the rig's thread only.

    @property
    def touched(self) -> bool:
        return self._press is not None

    def give_power(self) -> None:
        """Switch the power on, unless it is on, and ask the key who it is if one comes up.

        :raises RigError: it is another key than the named one.
        """
        if not self.rig.power.is_on:
            self.rig.power.on()
        self.ask_key()
        self._refuse_another()

    def power(self, on: bool) -> None:
        """Switch the power; switching off ends a touch.

        :raises RigError: another key than the named one was on the rig when it was asked last.
        """
        if on:
            self._refuse_another()
            self.rig.power.on()
        else:
            self.release()
            self.rig.power.off()

    def ask_key(self) -> None:
        """Ask the key who it is, if it is there and can be asked. Each touch asks again if that is not known.

        Do this before another program talks to the key: two programs at once disturb each other.
        """
        try:
            self._prove()
        except AnotherKey as error:
            self._stopped = error
        except (KeyharnessError, OSError):
            return

    def _refuse_another(self) -> None:
        if self._stopped is not None:
            raise self._stopped

    def press(self) -> None:
        """Begin to touch the key.

        :raises CallerError: the key is not expendable: a touch consents to whatever any program asks of the key.
        :raises RigError: the key has no power, nothing can touch it, or it is not known to be the named one.
        """
        if not self.rig.expendable:
            raise CallerError(
                f'rig "{self.rig.name}" · expendable',
                found="not set",
                expected="expendable = true: a touch lets any program that talks to the key write to it, or reset it",
            )
        if not self.rig.power.is_on:
            raise RigError(f'rig "{self.rig.name}"', found="off", expected="a key with power")
        if self._press is not None:
            return
        self._refuse_another()
        self._prove()
        press = self.rig.touch.holding()
        press.__enter__()
        self._press = press
        self._ends = threading.Timer(self._held_s, lambda: self._jobs.put(self.release))
        self._ends.daemon = True
        self._ends.start()

    def release(self) -> None:
        """End the touch; do nothing if there is none."""
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        press, self._press = self._press, None
        if press is not None:
            press.__exit__(None, None, None)

    def close(self, limit_s: float) -> None:
        """End the touch and the thread. The claim gives back the power of a real key."""

        def put_away() -> None:
            self.release()
            if self.rig.evidence_kind != "hardware":
                # A process ends with the thread that started it: switch it off in order.
                self.rig.power.off()

        try:
            self.ask(put_away, limit_s)
        finally:
            self._jobs.put(None)
            self._thread.join(limit_s)
