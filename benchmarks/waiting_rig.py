"""A plugin for the benchmark of many rigs: simulated keys whose power takes its real time, said to be hardware.

What a real rig does is waiting: for the charge to go, for the key to enumerate. So does this one, in real time;
the rest is a twin's virtual time. All that hardware has is there: lock, power log, budget, ledger, journal.
Before its first power-on a rig reports to the socket in $WAITING_START and waits until all may go.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from harness.bench.plugin_api import Driver, RigRequest, hookimpl
from harness.model.instant import CutInstant
from harness.model.power_loss import SwitchDelay
from harness.model.rig_parts import LiveCutter, PowerSwitch
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig

BACK_S, REST_S = 0.7, 0.25
"""From power to a key that answers, and how long it rests: a good rig takes 0.7 to 1.0 s with boot and check."""


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int


class Switch(PowerSwitch):
    """The twin's, with the time that it takes."""

    def __init__(self, inner: PowerSwitch, name: str):
        self._inner, self._name = inner, name
        self.starved_ns: int | None = None
        """What this process had waited for a core when all were let go; None before that."""
        self.began_ns = 0

    @property
    def is_on(self) -> bool:
        return self._inner.is_on

    def on(self) -> None:
        self._wait_for_all()
        if not self.is_on:
            threading.Event().wait(REST_S + BACK_S)
            self._inner.on()

    def off(self) -> None:
        self._inner.off()

    def _wait_for_all(self) -> None:
        start = os.environ.get("WAITING_START")
        if self.starved_ns is None and start:
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(start)
                link.send(f"{self._name} {time.process_time() * 1000:.0f}".encode())
                link.recv(1)
            self.starved_ns, self.began_ns = starved_ns(), time.monotonic_ns()


def starved_ns() -> int:
    """How long this process was ready to run and had no core (proc(5), schedstat)."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return 0


class Cutter(LiveCutter):
    """In the twin's time."""

    realtime = True
    delay = SwitchDelay(least_us=0, most_us=0)

    def __init__(self, rig: WaitingRig):
        self._rig = rig
        self._cut = CutInstant.planned(0)

    def arm(self, at_us: int, lead_us: int = 0) -> None:
        self._cut = CutInstant.planned(max(at_us - lead_us, self._rig.clock.now_us))
        self._rig.board.rail.arm_at(self._cut.armed_us)

    def collect(self) -> CutInstant:
        rail, clock = self._rig.board.rail, self._rig.clock
        if rail.failed_us is None:
            clock.wait_us(max(0, self._cut.armed_us - clock.now_us))
        if rail.failed_us is None:
            rail.fail(self._cut.armed_us)
        lost_us = rail.failed_us
        self._rig.power.off()
        return self._cut.fired(self._cut.armed_us).seen(lost_us, took=True)

    def disarm(self) -> CutInstant | None:
        self._rig.board.rail.disarm()
        return None


class WaitingRig(TwinRig):
    """See above."""

    evidence_kind = "hardware"
    vault = None

    def __init__(self, request: RigRequest):
        number = request.options.number
        super().__init__(request.name, request.key, request.twin, TwinOptions(), number, request.expendable)
        self.seed = request.seed
        self._switch = Switch(self.power, request.name)
        self.power = self._switch
        self._cutter = Cutter(self)

    @property
    def cutter(self) -> LiveCutter:
        return self._cutter

    def close(self) -> None:
        if (before := self._switch.starved_ns) is not None:
            with open(os.environ["WAITING_START"] + ".starved", "a") as file:
                lasted_ns = time.monotonic_ns() - self._switch.began_ns
                file.write(f"{self.name} {(starved_ns() - before) / lasted_ns}\n")


@hookimpl
def keyharness_drivers() -> list[Driver]:
    return [Driver("waiting", "a twin whose power takes its time", Options, WaitingRig)]
