"""Which enumeration of a key it is, and what but our own switch has interrupted its port."""

from __future__ import annotations

import pytest

from harness.model.rig import KeyGone
from harness_transports.ctaphid import ctaphid
from support.lab import TwinKey
from support.usb import PORT, laboratory, make_rig


@pytest.fixture
def lab(tmp_path, own_state):
    with laboratory(tmp_path) as lab:
        yield lab


@pytest.fixture
def usb(lab):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    rig.wait_until_up()
    yield rig
    rig.close()


def replug(lab):
    port = lab.port(PORT)
    port.plug(port.unplug())


def test_our_own_switch_is_no_interruption(lab, usb):
    seen = [usb.presence]
    for _ in range(2):
        usb.power.cycle()
        usb.wait_until_up()
        seen.append(usb.presence)
    usb.cutter.prepare()
    usb.cutter.arm(usb.clock.now_us + 20_000)
    usb.clock.wait_us(60_000)
    seen.append(usb.presence)
    usb.cutter.collect()
    usb.power.on()
    usb.wait_until_up()
    seen.append(usb.presence)
    assert [one.interruptions for one in seen] == [0] * 5
    assert [one.power_ups for one in seen] == [0, 1, 2, 2, 3]
    assert len({(one.power_ups, one.enumeration) for one in seen}) == 5


@pytest.mark.parametrize("when", ["at the next look", "before the power goes"])
def test_a_key_that_was_plugged_in_again_has_been_interrupted(lab, usb, when):
    before = usb.presence
    replug(lab)
    if when == "before the power goes":
        usb.power.cycle()
    usb.wait_until_up()
    assert usb.presence.interruptions > before.interruptions
    assert usb.presence.enumeration != before.enumeration


def test_a_key_that_left_by_itself_before_the_cut_has_been_interrupted(lab, usb):
    device = ctaphid(usb)
    usb.cutter.prepare()
    usb.cutter.arm(usb.clock.now_us + 300_000)
    lab.port(PORT).unplug()
    with pytest.raises((OSError, KeyGone)):
        device.ping()
    usb.clock.wait_us(350_000)
    usb.cutter.collect()
    assert usb.presence.interruptions == 1
