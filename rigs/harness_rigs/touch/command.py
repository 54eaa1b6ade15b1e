"""Touch by commands: one presses, one releases (a tool of a SwitchBot or a servo)."""

from __future__ import annotations

import shlex

from pydantic import Field

from harness.api import ActuatorRequest, Touch, TouchDriver
from harness_rigs.power.board_errors import Part
from harness_rigs.power.command import CommandOptions, CommandSwitch
from harness_rigs.touch.finger import FingerOptions, SwitchTouch


class CommandTouchOptions(FingerOptions):
    """`[rig.touch]` by commands, each as a list: program and arguments."""

    on: list[str] = Field(min_length=1)
    """Presses."""
    off: list[str] = Field(min_length=1)
    """Releases."""
    limit_s: float = Field(default=10.0, gt=0, le=600)


def _make(request: ActuatorRequest) -> Touch:
    options: CommandTouchOptions = request.options
    commands = CommandOptions(on=options.on, off=options.off, limit_s=options.limit_s)
    mine = Part(request.rig, commands, None, request.host, request.clock, "touch")
    return SwitchTouch(mine, CommandSwitch(mine), options.press_s)


def _channel(options: CommandTouchOptions) -> str:
    return f"touch by {shlex.join(options.on)}"


COMMAND = TouchDriver(
    "command", "a command that presses, and one that releases", CommandTouchOptions, _make, _channel
)
