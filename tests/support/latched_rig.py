"""A driver for tests: a twin behind a switch that keeps its position when the harness is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.base.errors import RigError
from harness.bench.plugin_api import Driver, RigRequest, Suite, hookimpl
from harness.model.rig import KeyGone
from harness.model.rig_parts import PowerSwitch
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_transports.ctaphid import ctaphid


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    switch: Path
    port: str | None = None


class Latched(PowerSwitch):
    """Its position is a file. $LATCHED_KILL=n: the process is killed when it was switched off n times."""

    def __init__(self, inner: PowerSwitch, path: Path):
        self.inner, self.path, self.offs = inner, path, 0
        if self.is_on:
            inner.on()

    @property
    def is_on(self) -> bool:
        return not self.path.exists() or self.path.read_text() == "on"

    def on(self) -> None:
        self._fault("on")
        self.path.write_text("on")
        self.inner.on()

    def off(self) -> None:
        self._fault("off")
        self.path.write_text("off")
        self.inner.off()
        self.offs += 1
        if os.environ.get("LATCHED_KILL") == str(self.offs):
            os.kill(os.getpid(), signal.SIGKILL)

    def _fault(self, what: str) -> None:
        if os.environ.get("LATCHED_FAULT") == f"{what} {self.path.name}":
            raise RigError(f"relay {self.path.name}", found="no answer", expected="an echo")


class LatchedRig(TwinRig):
    evidence_kind = "hardware"
    vault = None

    def __init__(self, request: RigRequest):
        super().__init__(request.name, request.key, request.twin, TwinOptions(), 1, request.expendable)
        self.seed = request.seed
        self.shared = request.options.port
        self.dead = os.environ.get("LATCHED_DEAD")
        request.options.switch.parent.mkdir(parents=True, exist_ok=True)
        if os.environ.get("LATCHED_PIN"):
            self._somebody_elses_pin()
        if os.environ.get("LATCHED_BOOTLOADER"):
            self._break_an_update_off()
        self.power = Latched(self.power, request.options.switch)

    def _break_an_update_off(self) -> None:
        """Let it take the init packet of an update and no more: it has no firmware that runs then."""
        from harness.bench.firmware_updates import ACCEPTED
        from harness_nitrokey3 import bootloader_probe, images, signing

        self.power.on()
        bootloader_probe.enter_bootloader(self)
        image = images.make(images.Recipe(os.environ["LATCHED_BOOTLOADER"]), signing.seed_of(self))
        assert bootloader_probe.offer(self, image) == ACCEPTED
        self.power.off()

    def _somebody_elses_pin(self) -> None:
        from fido2.ctap2 import ClientPin, Ctap2

        self.power.on()
        ClientPin(Ctap2(ctaphid(self))).set_pin(os.environ["LATCHED_PIN"])
        self.power.off()

    def wait_until_up(self) -> None:
        if self.dead:
            raise KeyGone(f'rig "{self.name}": nothing on the bus')
        super().wait_until_up()


@hookimpl
def keyharness_drivers() -> list[Driver]:
    def enrol(found):
        switch = Path(os.environ["LATCHED_SWITCH"]) if "LATCHED_SWITCH" in os.environ else None
        return {"switch": str(switch)} if found.kind == "hidraw" and switch else None

    return [Driver("latched", "a twin behind a latching switch", Options, LatchedRig, enrol)]


@hookimpl
def keyharness_suites() -> list[Suite]:
    return [Suite("small", "does it answer?", Path(__file__).parent / "latched" / "small")]
