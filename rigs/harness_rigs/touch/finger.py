"""Touch by a switch: pressed while it is held, and never left pressed.

The rig decides when to press, because it sees the requests: it holds the switch from when the key has asked until the
key has answered. `press_s` ends a press earlier, for keys to which a long press means something else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from pydantic import BaseModel, ConfigDict, Field

from harness.api import ActuatorRequest, KeyharnessError, PowerSwitch, RigError, Touch
from harness_rigs.power.board_errors import place_of

APART_US = 100_000
"""Pause between release and press, so that a key sees two touches (python-fido2's controller waits as long)."""


class FingerOptions(BaseModel):
    """Settings of every touch by a switch."""

    model_config = ConfigDict(extra="forbid")

    press_s: float | None = Field(default=None, gt=0, le=60)
    """Release after this time, even if the key has not answered; by default when the key has answered."""


class HeldTouch(Touch):
    """A touch that cannot tell by itself when to press: the rig holds it."""

    def __init__(self, request: ActuatorRequest):
        self.place = place_of(request)

    def pressing(self, *, delay_us: int = 200_000) -> AbstractContextManager[None]:
        """:raises RigError: always: a switch sees no request, so it cannot tell when the key asks."""
        raise RigError(
            f"{self.place}: this touch does not see when the key asks",
            expected="a rig that holds it within its own requests, as `usb` does",
        )


class SwitchTouch(HeldTouch):
    """Presses by switching something on.

    :param switch: on is pressed.
    """

    def __init__(self, request: ActuatorRequest, switch: PowerSwitch, press_s: float | None):
        super().__init__(request)
        self._switch, self._press_s, self._clock = switch, press_s, request.clock
        self._known = False
        self._lock = threading.Lock()
        self._pressed = False
        self._failed: KeyharnessError | None = None

    @property
    def press_us(self) -> int | None:
        return round(self._press_s * 1e6) if self._press_s is not None else None

    @contextmanager
    def holding(self) -> Iterator[None]:
        if not self._known and self._switch.is_on:
            # A killed run may have left it pressed: then the key would see no touch begin.
            self._switch.off()
            self._clock.wait_us(APART_US)
        self._known = True
        self._failed = None
        try:
            self._switch.on()
        except KeyharnessError:
            # It may be pressed or not: an answer may have been lost.
            self._known = False
            with suppress(KeyharnessError):
                self._switch.off()
            raise
        self._pressed = True
        ends = threading.Timer(self._press_s, self._end) if self._press_s is not None else None
        if ends is not None:
            ends.daemon = True
            ends.start()
        try:
            yield
        finally:
            if ends is not None:
                ends.cancel()
            self._end()
        if self._failed is not None:
            raise self._failed

    def _end(self) -> None:
        with self._lock:
            if not self._pressed:
                return
            self._pressed = False
            try:
                self._switch.off()
            except KeyharnessError as error:
                # Raised in `holding`: this may be another thread.
                self._failed = error
                self._known = False
