"""Any other switch: a command that switches the power on, and one that switches it off.

    on = ["sispmctl", "-o", "1"]    off = ["sispmctl", "-f", "1"]    state = ["..."]: exit code 0 on, 1 off

No shell reads them. Exit code 0 means done. For a cut a shell is started beforehand; it waits for a line, which the
cutter writes. The cut's delay includes the start of the command; `keyharness calibrate` measures it.
"""

from __future__ import annotations

import shlex
import shutil
from typing import Literal

from pydantic import Field

from harness.api import ActuatorRequest, CallerError, CutAction, PowerDriver, PowerSwitch, RigError, Write
from harness_rigs.power.board_errors import place_of
from harness_rigs.power.off_timer import OffTimer
from harness_rigs.power.process import LimitPassed, Program
from harness_rigs.power.switch import SwitchOptions, is_presumed_on

Which = Literal["on", "off", "state"]


class CommandOptions(SwitchOptions):
    """Settings of `[rig.power]` with commands, each a list: program and arguments."""

    on: list[str] = Field(min_length=1)
    off: list[str] = Field(min_length=1)
    state: list[str] | None = Field(default=None, min_length=1)
    """Exits with 0 if the power is on, with 1 if it is off."""
    limit_s: float = Field(default=10.0, gt=0, le=600)


class CommandSwitch(PowerSwitch):
    """Runs commands.

    :raises CallerError: a program is not there.
    :raises RigError: `state` fails.
    """

    def __init__(self, request: ActuatorRequest):
        self._options: CommandOptions = request.options
        self._place = place_of(request)
        self.release_us = self._options.release_us
        self._off_timer = OffTimer(request.clock, self._options.off_time_s)
        self._cut_program: Program | None = None
        for which in ("on", "off", "state"):
            argv = getattr(self._options, which)
            if argv is not None and shutil.which(argv[0]) is None:
                raise CallerError(
                    f"{self._place}.{which}",
                    found=f"no program {argv[0]}",
                    expected="a list: a program that is there, and its arguments",
                    mend="install it, or give its absolute path",
                )
        told = self._state()
        self._is_on = is_presumed_on(request) if told is None else told

    @property
    def is_on(self) -> bool:
        return self._is_on

    def on(self) -> None:
        if not self._is_on:
            self._off_timer.wait()
        self._call_off()
        self._run("on")
        self._is_on = True
        self._confirm()

    def off(self) -> None:
        self._call_off()
        self._run("off")
        self._went()

    def cut_action(self) -> CutAction | None:
        self._call_off()
        self._cut_program = self._start("off", waits=True)
        return Write(self._cut_program.go, b"\n")

    def after_cut(self) -> None:
        program, self._cut_program = self._cut_program, None
        if program is not None:
            self._ended("off", program)
        self._went()

    def _went(self) -> None:
        self._is_on = False
        self._off_timer.begin()
        self._confirm()

    def _call_off(self) -> None:
        program, self._cut_program = self._cut_program, None
        if program is not None:
            program.kill()

    def _confirm(self) -> None:
        told = self._state()
        if told is not None and told != self._is_on:
            wanted, self._is_on = self._is_on, told
            raise RigError(
                f"{self._place}: the power did not switch",
                found=f"{self._shown('state')} says {'on' if told else 'off'}",
                expected="on" if wanted else "off",
                mend="run the commands by hand",
            )

    def _state(self) -> bool | None:
        if self._options.state is None:
            return None
        return self._run("state", (0, 1)) == 0

    def _run(self, which: Which, good: tuple[int, ...] = (0,)) -> int:
        return self._ended(which, self._start(which), good)

    def _start(self, which: Which, *, waits: bool = False) -> Program:
        try:
            return Program(getattr(self._options, which), waits=waits)
        except OSError as error:
            raise self._failed(which, str(error.strerror)) from None

    def _ended(self, which: Which, program: Program, good: tuple[int, ...] = (0,)) -> int:
        try:
            code, words = program.ended(self._options.limit_s)
        except LimitPassed:
            raise self._failed(which, f"it ran for more than {self._options.limit_s:g} s") from None
        if code not in good:
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise self._failed(which, f"{how}{': ' if words else ''}{words}")
        return code

    def _failed(self, which: Which, found: str) -> RigError:
        return RigError(
            f"{self._place}.{which}: command {self._shown(which)}",
            found=found,
            expected="exit code 0" + (" (on) or 1 (off)" if which == "state" else ""),
            mend="run it by hand, as the same user",
        )

    def _shown(self, which: Which) -> str:
        return shlex.join(getattr(self._options, which))


def _channel(options: CommandOptions) -> str:
    return f"command {shlex.join(options.off)}"


COMMAND = PowerDriver("command", "a command for on and one for off", CommandOptions, CommandSwitch, _channel)
