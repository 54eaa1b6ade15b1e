"""A relay that presses: across a button, or with a servo, a solenoid or a piece of grounded foil behind it.

    [rig.touch]
    driver = "relay"
    switch = { driver = "lcus", port = "/dev/ttyUSB0", channel = 2 }

Any power driver can be the switch, also one of another plugin. On means pressed.
"""

from __future__ import annotations

from typing import Any

from pydantic import PrivateAttr, field_validator, model_validator

from harness.api import ActuatorRequest, Touch, TouchDriver
from harness_rigs.power.board_errors import Part
from harness_rigs.power.nested import Nested, nested
from harness_rigs.touch.finger import FingerOptions, SwitchTouch


class RelayTouchOptions(FingerOptions):
    """`[rig.touch]` by a switch."""

    switch: dict[str, Any]
    """A power driver and its settings."""
    _made: Nested | None = PrivateAttr(default=None)

    @field_validator("switch")
    @classmethod
    def _fits(cls, switch: dict[str, Any]) -> dict[str, Any]:
        nested(switch, "switch")
        return switch

    @model_validator(mode="after")
    def _look_up(self) -> RelayTouchOptions:
        self._made = nested(self.switch, "switch")
        return self

    @property
    def made(self) -> Nested:
        assert self._made is not None
        return self._made


def _make(request: ActuatorRequest) -> Touch:
    options: RelayTouchOptions = request.options
    mine = Part(request.rig, options, None, request.host, request.clock, "touch")
    # No port: what the relay switches is not the key's power.
    switch = options.made.make(mine, "switch", port=None, momentary=True)
    return SwitchTouch(mine, switch, options.press_s)


def _channel(options: RelayTouchOptions) -> str:
    return options.made.channel


RELAY = TouchDriver("relay", "a relay that presses, by any power driver", RelayTouchOptions, _make, _channel)
