"""The touch of Yubico's Pico rig: GET /usb<N>/touch/on and off.

Source: Yubico/python-fido2 at d1fd711, tests/device/__init__.py (PicoController).
"""

from __future__ import annotations

from harness.api import ActuatorRequest, Touch, TouchDriver
from harness_rigs.power.board_errors import Part
from harness_rigs.power.pico import Pico
from harness_rigs.power.pico_port import PicoPort
from harness_rigs.power.switch import ChannelSwitch
from harness_rigs.touch.finger import FingerOptions, SwitchTouch


class PicoTouchOptions(PicoPort, FingerOptions):
    """`[rig.touch]` of a Pico rig."""


def _make(request: ActuatorRequest) -> Touch:
    options: PicoTouchOptions = request.options
    mine = Part(request.rig, options, None, request.host, request.clock, "touch", True)
    switch = ChannelSwitch(mine, Pico(options.url, options.usb, "touch"), off_time_s=0.0)
    return SwitchTouch(mine, switch, options.press_s)


def _channel(options: PicoTouchOptions) -> str:
    return f"touch of {options.shown}"


PICO = TouchDriver("pico", "the touch of a Pico rig (HTTP)", PicoTouchOptions, _make, _channel)
