"""The simulated OpenPGP card as a process, killed behind vpcd's protocol: the generic key on an emulator's rig."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.memory import Memory
from harness_openpgp.home import as_admin, prepare
from harness_openpgp.items import canaries
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support.emulator.emulated import namespaces_permitted
from support.limits import HUNG_S
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


POWER_OFF, POWER_ON, RESET = b"\0", b"\1", b"\2"
"""Controls of vpcd's protocol, which nothing answers."""
SELECT, ASK = bytes.fromhex("00A4040006D27600012401"), bytes.fromhex("00200082")
VERIFY = bytes.fromhex("0020008206") + b"123456"


@pytest.mark.long
@pytest.mark.parametrize("key", [NAME, "nitrokey-pro"])
def test_a_reset_by_the_reader_ends_what_was_verified_as_after_a_host_has_slept(tmp_path, key):
    """A host that sleeps takes the power of the slot, or resets the card when it wakes: PW1 is asked for again."""
    with socket.create_server(("127.0.0.1", 0)) as reader:
        reader.settimeout(HUNG_S)
        command = [sys.executable, "-m", "harness", "twin", key, "--state", str(tmp_path / "state")]
        port = reader.getsockname()[1]
        process = subprocess.Popen([*command, "--speed", "max", "--vpcd", f"127.0.0.1:{port}"])
        try:
            slot, _ = reader.accept()
            slot.settimeout(HUNG_S)
            with slot, slot.makefile("rb") as answers:

                def send(frame: bytes) -> None:
                    slot.sendall(len(frame).to_bytes(2, "big") + frame)

                def status(apdu: bytes) -> str:
                    send(apdu)
                    return answers.read(int.from_bytes(answers.read(2), "big"))[-2:].hex()

                for controls in ([RESET], [POWER_OFF, POWER_ON]):
                    assert (status(SELECT), status(VERIFY), status(ASK)) == ("9000", "9000", "9000")
                    for control in controls:
                        send(control)
                    assert status(ASK) == "63c3"
        finally:
            process.kill()
            process.wait(HUNG_S)
