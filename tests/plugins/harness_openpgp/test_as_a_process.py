"""The simulated OpenPGP card as a process, killed behind vpcd's protocol: the generic key on an emulator's rig."""

from __future__ import annotations

import sys

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.key import Memory
from harness_openpgp.home import as_admin, prepare
from harness_openpgp.items import canaries
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support.emulator.emulated import namespaces_permitted
from support.openpgp import NAME

COMMAND = [
    *(sys.executable, "-m", "harness", "twin", NAME, "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]


@pytest.mark.long
def test_what_it_acknowledged_outlives_a_kill():
    chosen: dict[str, object] = {"ready_s": 300, "answer_s": 300, "transport": "vpcd"}
    if not namespaces_permitted():
        chosen["isolation"] = "none"
    options = EmulatorOptions(command=COMMAND, **chosen)
    rig, memory = EmulatorRig(RigRequest("card-2", discover().keys[NAME], True, 1, options)), Memory()
    try:
        rig.power.on()
        rig.wait_until_up()
        prepare(rig, memory)
        identity = rig.key.identify(rig)
        as_admin(rig, memory).put(0xC4, b"\x01")
        rig.power.off()
        rig.power.on()
        seen = observe(rig, rig.key.items, memory, memory).values
        assert rig.key.identify(rig) == identity
    finally:
        rig.close()
    assert seen["openpgp.pw1"] == seen["openpgp.pw3"] == "current"
    assert seen["openpgp.keys"] == canaries(memory)
    assert seen["openpgp.pw1_mode"] == "many signatures"
