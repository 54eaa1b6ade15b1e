"""The simulated Nitrokey HSM 2 as a process: killed behind vpcd's protocol, and run in the reader of a pcscd."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.memory import Memory
from harness_rigs.emulator.private_pcscd import daemon, driver, missing
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from harness_schsm.home import prepare
from harness_schsm.items import canaries
from support.emulator.emulated import namespaces_permitted
from support.hsm import NAME
from support.paths import ROOT

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


@pytest.mark.long
def test_a_card_of_an_unknown_model_that_takes_a_share_twice_is_not_blamed(cli):
    """No sheet says that the applet knows a share again; a Nitrokey HSM 2 of ours must."""
    twin = ["keyharness", "twin", NAME, "--state", "{state}", "--personality", "open-order", "--speed", "max"]
    rig = [
        *("[[rig]]", 'name = "unknown"', 'key = "sc-hsm"', 'driver = "emulator"', "expendable = true"),
        *('transport = "vpcd"', "ready_s = 300", "answer_s = 300"),
        f"command = {json.dumps([*twin, '--vpcd', '127.0.0.1:{port}'])}",
        "" if namespaces_permitted() else 'isolation = "none"',
    ]
    (cli.cwd / "unknown.toml").write_text("\n".join(rig))
    case = "taken_is_not_taken_again or taken_before_the_last_one"
    done = cli("run", "schsm", "--bench", "unknown.toml", "--seed", "1", "--", "-k", case)
    assert done.returncode == 5, done.stdout + done.stderr
    suite = json.loads((cli.run_dir / "summary.json").read_text())["suites"]["schsm"]
    assert (suite["not_offered"], suite["failed"], suite["error"]) == (2, 0, 0)


DIES = """#!/bin/sh
case "$*" in *--version*) exec {daemon} "$@";; esac
# It is handed its socket as its own process, and dies when somebody writes into the FIFO.
sh -c 'export LISTEN_PID=$$; exec {daemon} "$@"' sh "$@" &
read word < {fifo}
kill -9 $!
"""
TWO_RIGS = """
[[rig]]
name = "in-process"
key = "nitrokey-hsm2"
driver = "virtual"
expendable = true
"""


@pytest.mark.long
@pytest.mark.skipif(LACKS is not None, reason=str(LACKS and LACKS.found))
def test_a_pcscd_that_dies_in_mid_run_is_no_fault_of_the_key_and_the_other_rig_goes_on(tmp_path):
    """The daemon may die while nobody asks it: then the next power-up starts another, and nothing has happened."""
    root, fifo = tmp_path / "root", tmp_path / "die"
    os.mkfifo(fifo)
    for original in (daemon(), driver()):
        copy = root / original.relative_to("/")
        copy.parent.mkdir(parents=True)
        copy.symlink_to(original)
    wrapper = root / daemon().relative_to("/")
    wrapper.unlink()
    wrapper.write_text(DIES.format(daemon=daemon(), fifo=fifo))
    wrapper.chmod(0o755)
    (tmp_path / "two.toml").write_text((ROOT / "rigs" / "pcsc.toml").read_text() + TWO_RIGS)
    words = [
        "run",
        "schsm",
        "--bench",
        "two.toml",
        "--seed",
        "1",
        "--",
        "-v",
        "-k",
        "shows_the_applet or class",
    ]
    environ = {**os.environ, "KEYHARNESS_PCSC_ROOT": str(root), "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        said = []
        for line in run.stdout:
            said.append(line)
            if "[hsm-pcsc" in line and not fifo.with_name("dead").exists():
                fifo.with_name("dead").touch()
                fifo.write_text("die\n")
    text = "".join(said)
    assert run.returncode in (0, 3), text
    summary = json.loads(next((tmp_path / "reports").glob("*/summary.json")).read_text())
    suite = summary["suites"]["schsm"]
    assert suite["failed"] == 0, text
    asked = [line.split()[1:] for line in said if "::" in line and line[0].isdigit()]
    others = [words[0] for words in asked if "[in-process" in words[1]]
    assert others == ["passed"] * (len(asked) // 2), text
    assert (suite["error"] > 0) == (run.returncode == 3)
