"""A person is asked to touch the key when it waits for a touch. Refused without a terminal.

No Enter is needed: the key's answer shows that it was touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from harness.api import ActuatorRequest, Touch, TouchDriver
from harness_rigs.power.board_errors import Part
from harness_rigs.power.terminal import Terminal
from harness_rigs.touch.finger import HeldTouch


class HandTouchOptions(BaseModel):
    """`[rig.touch]` by hand has no settings."""

    model_config = ConfigDict(extra="forbid")


class HandTouch(HeldTouch):
    """Asks a person.

    :raises CallerError: there is no terminal.
    """

    def __init__(self, request: ActuatorRequest):
        super().__init__(request)
        self._request = request
        with Terminal(request.host, self.place):
            pass

    @contextmanager
    def holding(self) -> Iterator[None]:
        where = f" at port {self._request.port}" if self._request.port else ""
        with Terminal(self._request.host, self.place) as terminal:
            terminal.say(f'rig "{self._request.rig}"{where}: touch the key')
            yield


def _make(request: ActuatorRequest) -> Touch:
    return HandTouch(Part(request.rig, request.options, request.port, request.host, request.clock, "touch"))


def _channel(options: HandTouchOptions) -> str:
    # A person can touch several keys, one after the other.
    return "a finger at {port}"


HAND = TouchDriver("hand", "a person who touches, prompted", HandTouchOptions, _make, _channel)
