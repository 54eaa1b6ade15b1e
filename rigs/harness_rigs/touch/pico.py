"""The finger of Yubico's Pico rig: GET /usb<N>/touch/on and off.

Source: Yubico/python-fido2 at d1fd711, tests/device/__init__.py (PicoController).
"""

from __future__ import annotations

from pydantic import Field, field_validator

from harness.bench.plugin_api import ActuatorRequest, TouchDriver
from harness.model.rig import Touch
from harness_rigs.power.board_errors import Part
from harness_rigs.power.pico import Pico, http_url, shown_url
from harness_rigs.power.switch import ChannelSwitch
from harness_rigs.touch.finger import Finger, FingerOptions


class PicoTouchOptions(FingerOptions):
    """`[rig.touch]` of a Pico rig."""

    url: str
    usb: int = Field(default=1, ge=0)

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return http_url(url)


def _make(request: ActuatorRequest) -> Touch:
    options: PicoTouchOptions = request.options
    mine = Part(request.rig, options, None, request.host, request.clock, "touch", True)
    switch = ChannelSwitch(mine, Pico(options.url, options.usb, "touch"), off_time_s=0.0)
    return Finger(mine, switch, options.press_s)


def _channel(options: PicoTouchOptions) -> str:
    return f"touch of pico {shown_url(options.url)} usb{options.usb}"


PICO = TouchDriver("pico", "the finger of a Pico rig (HTTP)", PicoTouchOptions, _make, _channel)
