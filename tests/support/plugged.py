"""A rig of hardware in virtual time: a twin that is cut live, and whose inside nobody sees or copies."""

from __future__ import annotations

from dataclasses import replace

from harness.bench.registry import discover
from harness.model.instant import CutInstant
from harness.model.power_loss import SwitchDelay
from harness.model.rig_parts import LiveCutter
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig


class Plugged(TwinRig):
    """What is on its port is only known by asking it.

    :ivar given: how often power has come. :ivar at: before which of these times the other rig's key is put in.
    :ivar sent: what the other rig's key was sent: (endpoint, bytes).
    """

    evidence_kind = "hardware"
    vault = None
    given, at, other = 0, None, None

    def __init__(self, *terms, **more):
        super().__init__(*terms, **more)
        self._cutter, self.sent = RailCutter(self), []

    @property
    def presence(self):
        return replace(super().presence, enumeration=self.given)

    @property
    def cutter(self):
        return self._cutter

    def come(self):
        self.given += 1
        if self.given == self.at:
            self.board = self.clock._board = self.other.board
            deliver = self.board.deliver

            def noted(endpoint, data, at_us):
                self.sent.append((endpoint, data))
                deliver(endpoint, data, at_us)

            self.board.deliver = noted


class CountingSwitch:
    """The switch of the rig, which counts."""

    def __init__(self, rig):
        self._rig, self._switch = rig, rig.power

    def __getattr__(self, name):
        return getattr(self._switch, name)

    def on(self):
        if not self._switch.is_on:
            self._rig.come()
        self._switch.on()

    def cycle(self):
        self.off()
        self.on()

    def off(self):
        self._switch.off()


class RailCutter(LiveCutter):
    """Cuts exactly when it is to."""

    realtime = True
    delay = SwitchDelay(least_us=0, most_us=0)

    def __init__(self, rig):
        self._rig, self._cut = rig, CutInstant.planned(0)

    def arm(self, at_us, lead_us=0):
        self._cut = CutInstant.planned(max(at_us - lead_us, self._rig.clock.now_us))
        self._rig.board.rail.arm_at(self._cut.armed_us)

    def collect(self):
        rail, clock = self._rig.board.rail, self._rig.clock
        if rail.failed_us is None:
            clock.wait_us(max(0, self._cut.armed_us - clock.now_us))
        if rail.failed_us is None:
            rail.fail(self._cut.armed_us)
        lost_us = rail.failed_us
        self._rig.power.off()
        return self._cut.fired(self._cut.armed_us).seen(lost_us, took=True)

    def disarm(self):
        self._rig.board.rail.disarm()


def plugged(key, seed, *, name="mine", personality=None):
    """Such a rig, switched on."""
    plugins = discover()
    twin = plugins.twins[key]
    options = TwinOptions(personality=personality or twin.sound[0])
    rig = Plugged(name, plugins.keys[key], twin, options, seed, expendable=True)
    rig.power.on()
    return rig
