"""A card in a reader, of which the power goes at a chosen command of a real client."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support import counting_twin
from support.limits import HUNG_S
from support.paths import with_support


class CountedCard:
    """A simulated card in a private reader.

    :ivar control: a folder: what the twin is told and what it counts. :ivar rig: where it has power.
    """

    def __init__(self, control: Path, key: str):
        self.control = control
        control.mkdir()
        command = [
            *(sys.executable, counting_twin.__file__, str(control), key),
            *("--state", "{state}", "--speed", "max", "--vpcd", "127.0.0.1:{port}"),
        ]
        environ = {"PYTHONPATH": with_support()["PYTHONPATH"]}
        options = EmulatorOptions(command=command, env=environ, transport="pcsc", ready_s=300, answer_s=300)
        self.rig = EmulatorRig(RigRequest("cut-1", discover().keys[key], True, 1, options))

    def boot(self, *, cut: int = 0) -> None:
        """Switch it off and on. :param cut: the command, from 1, at which it loses its power; 0 is none."""
        self.rig.power.off()
        (self.control / "cut").write_text(str(cut))
        (self.control / "count").write_text("0")
        self.rig.power.on()
        if not cut:
            self.rig.wait_until_up()

    @property
    def count(self) -> int:
        """Commands since the start, one that takes the power among them."""
        return int((self.control / "count").read_text())

    def require_cut(self, place: int) -> None:
        """See that the power went at a command of a client that has ended; none of its commands can come later."""
        assert self.count >= place, f"the client ended after {self.count} commands: no power cut at {place}"
        assert self.rig.emulated.process.wait(HUNG_S), f"the card did not die at command {place}"

    @property
    def commands(self) -> list[bytes]:
        """The commands since the start."""
        return [bytes.fromhex(line) for line in (self.control / "commands").read_text().split()]
