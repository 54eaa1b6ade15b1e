"""A person takes the key out and puts it back when the terminal asks. Refused without a terminal.

Good for a first look at a key without any hardware. There is no cut action: the cut comes when the person has pressed
Enter, seconds later than planned. So a campaign tests only plugging.
"""

from __future__ import annotations

from pydantic import Field

from harness.api import ActuatorRequest, PowerDriver, PowerSwitch
from harness_rigs.power.board_errors import place_of
from harness_rigs.power.off_timer import OffTimer
from harness_rigs.power.switch import SwitchOptions, is_presumed_on
from harness_rigs.power.terminal import Terminal


class HandOptions(SwitchOptions):
    """Settings of `[rig.power]` by hand."""

    limit_s: float = Field(default=120.0, gt=0, le=3600)
    """How long a person is waited for."""


class HandSwitch(PowerSwitch):
    """Asks a person.

    :raises CallerError: there is no terminal.
    """

    def __init__(self, request: ActuatorRequest):
        options: HandOptions = request.options
        self._request, self._limit_s = request, options.limit_s
        self.release_us = options.release_us
        self._off_timer = OffTimer(request.clock, options.off_time_s)
        self._is_on = is_presumed_on(request)
        with self._terminal():
            pass

    @property
    def is_on(self) -> bool:
        return self._is_on

    def on(self) -> None:
        if not self._is_on:
            self._off_timer.wait()
            self._ask("plug the key in")
        self._is_on = True

    def off(self) -> None:
        if self._is_on:
            self._ask("take the key out")
            self._off_timer.begin()
        self._is_on = False

    def _ask(self, what: str) -> None:
        where = f" at port {self._request.port}" if self._request.port else ""
        with self._terminal() as terminal:
            terminal.ask(f'rig "{self._request.rig}"{where}: {what}', self._limit_s)

    def _terminal(self) -> Terminal:
        return Terminal(self._request.host, place_of(self._request))


def _channel(options: HandOptions) -> str:
    # A person can serve several rigs, one after the other.
    return "a hand at {port}"


HAND = PowerDriver("hand", "a person who plugs, prompted", HandOptions, HandSwitch, _channel)
