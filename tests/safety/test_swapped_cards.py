"""Cards, and a key with a card and a HID side, exchanged for one of the same model while their power is off."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.base.errors import RigError
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.observe import observe
from harness.safety.budget import Grants
from harness.safety.claim import Claims
from harness.safety.identity import identity
from harness.safety.quarantine import clear, quarantined
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig


class Plugged(TwinRig):
    """A rig of hardware: what is on its port is only known by asking it.

    :ivar given: how often power has come. :ivar at: before which of these times the other rig's key is put in.
    """

    evidence_kind = "hardware"
    vault = None
    given, at, other = 0, None, None

    @property
    def presence(self):
        return replace(super().presence, enumeration=self.given)

    def come(self):
        self.given += 1
        if self.given == self.at:
            self.board = self.clock._board = self.other.board


class Switch:
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


def rig_with(key, seed):
    plugins = discover()
    rig = Plugged("mine", plugins.keys[key], plugins.twins[key], TwinOptions(), seed, expendable=True)
    rig.power.on()
    return rig


def used_by_a_campaign(rig):
    """The power-ups of a cut: the home state, where the operation is prepared, where it starts, and the look."""
    home = go_home(rig)
    operation = next(iter(rig.key.operations.values()))
    rig.power.on()
    rig.wait_until_up()
    if operation.arrange is not None:
        operation.arrange(rig, home.memory)
    rig.power.cycle()
    operation.act(rig, home.memory)
    rig.power.off()
    observe(rig, rig.key.items, home.memory, home.memory)
    rig.power.off()


def pages(rig):
    """What is on the flash of the rig's key."""
    return {name: chip.pages for name, chip in rig.inside.snapshot().chips.items()}


def run(key, at):
    """Exchange the key before that power-up; returns the rig, and what it raised."""
    mine, other = rig_with(key, 1), rig_with(key, 2)
    named = identity(mine)
    other.power.cycle()
    other.power.off()
    policy = SimpleNamespace(
        identity=named, bootloader=None, budget=Grants(relay_operations=1000, one_way_settings=100)
    )
    mine.other, mine.before = other, pages(other)
    mine.power.off()
    mine.power = Switch(mine)
    claims, stopped = Claims(lambda name: policy, "test"), None
    claims.take(mine)
    mine.given, mine.at = 0, at
    try:
        used_by_a_campaign(mine)
    except RigError as error:
        stopped = error
    mine.power.off()
    return mine, stopped, claims


@pytest.mark.parametrize(
    "key",
    ["openpgp", *(pytest.param(name, marks=pytest.mark.long) for name in ("nitrokey-hsm2", "nitrokey-pro"))],
)
def test_a_key_of_the_same_model_is_not_written_to_at_whatever_power_up_it_came(own_state, key):
    rig, stopped, claims = run(key, None)
    assert stopped is None
    claims.release()
    power_ups = rig.given
    assert power_ups >= 4
    for at in range(1, power_ups + 1):
        rig, stopped, claims = run(key, at)
        assert stopped is not None, f"power-up {at}"
        assert "another key is in it" in str(stopped)
        assert pages(rig.other) == rig.before, f"power-up {at}"
        assert "another key is in it" in quarantined("rig mine").why
        claims.release()
        clear("rig mine", "the right key is back")
