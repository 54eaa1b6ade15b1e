"""The simulated Nitrokey HSM 2 as a process: killed behind vpcd's protocol, and run in the reader of a pcscd."""

from __future__ import annotations

import json
import sys

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.key import Memory
from harness_rigs.emulator.private_pcscd import missing
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from harness_schsm.home import prepare
from harness_schsm.items import canaries
from support.emulator.emulated import namespaces_permitted
from support.hsm import NAME

COMMAND = [
    *(sys.executable, "-m", "harness", "twin", NAME, "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]
LACKS = missing()


def emulated() -> EmulatorRig:
    chosen: dict[str, object] = {"ready_s": 30, "answer_s": 5, "transport": "vpcd"}
    if not namespaces_permitted():
        chosen["isolation"] = "none"
    request = RigRequest("hsm-2", discover().keys[NAME], True, 1, EmulatorOptions(command=COMMAND, **chosen))
    return EmulatorRig(request)


@pytest.mark.long
def test_what_it_acknowledged_outlives_a_kill():
    rig, memory = emulated(), Memory()
    try:
        rig.power.on()
        rig.wait_until_up()
        prepare(rig, memory)
        identity = rig.key.identify(rig)
        rig.power.off()
        rig.power.on()
        seen = observe(rig, rig.key.items, memory, memory).values
        assert rig.key.identify(rig) == identity
    finally:
        rig.close()
    assert seen["schsm.user_pin"] == "current"
    assert seen["schsm.keys"] == canaries(memory)


@pytest.mark.long
@pytest.mark.skipif(LACKS is not None, reason=str(LACKS and LACKS.found))
def test_the_packaged_bench_runs_cases_and_cuts_through_a_pcscd(cli):
    """Few of both: a boot takes a second there. Cases that need a second card have one, in a reader of its own."""
    cases = "power_cut or restart or wrong_so_pin or another_dkek"
    options = ("--bench", "pcsc.toml", "--seed", "1", "--operation", "schsm.verify.wrong", "--cuts", 3)
    done = cli("run", "schsm", "endurance", *options, "--", "-k", cases)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert summary["evidence_kind"] == ["emulator"]
    assert len(summary["operations"]) == 1
    assert all(operation["cuts"] for operation in summary["operations"])
    assert summary["violations"] == []
    assert summary["rig_faults"] == 0
    suite = summary["suites"]["schsm"]
    assert suite["passed"]
    assert suite["not_offered"] == suite["failed"] == suite["error"] == 0
