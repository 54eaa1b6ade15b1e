"""Rigs with an emulator in them, for tests: the tiny one of this folder, or `keyharness twin`."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from harness.bench.plugin_api import RigRequest
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.timed_live import LiveCampaign
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.private_pcscd import DAEMON
from harness_rigs.emulator.rig import EmulatorRig
from support.limits import HUNG_S
from support.terms import terms

TINY = Path(__file__).with_name("tiny.py")
# Without site-packages: it needs none, and starts in half the time.
TINY_COMMAND = [sys.executable, "-S", "-E", str(TINY), "--state", "{state}"]
TWIN_COMMAND = [
    *(sys.executable, "-m", "harness", "twin", "nitrokey3-mini"),
    *("--state", "{state}", "--touch", "always", "--ctaphid-tcp", "{port}"),
]
KEY = "fido2"


def namespaces_permitted() -> bool:
    """May this process make a network namespace?"""
    for way in (["-n"], ["-U", "-r", "-n"]):
        if subprocess.run(["unshare", *way, "true"], capture_output=True, check=False).returncode == 0:
            return True
    return False


def kill_the_daemon() -> None:
    """Kill the pcscd of this process's rigs; return when it is dead."""
    assert DAEMON.pid is not None
    daemon = os.pidfd_open(DAEMON.pid)
    try:
        signal.pidfd_send_signal(daemon, signal.SIGKILL)
        ended = select.poll()
        ended.register(daemon, select.POLLIN)
        assert ended.poll(HUNG_S * 1000), "it outlived its SIGKILL"
    finally:
        os.close(daemon)


def make_rig(command, *, name="emu", seed=1, **options) -> EmulatorRig:
    chosen = {"transport": "ctaphid-udp", "ready_s": 5, "answer_s": 2, **options}
    if not namespaces_permitted():
        # Then each rig needs ports of its own.
        chosen.setdefault("isolation", "none")
    request = RigRequest(
        name, discover().key(KEY, "test"), True, seed, EmulatorOptions(command=command, **chosen)
    )
    return EmulatorRig(request)


def tiny(fault="", *more, **options) -> EmulatorRig:
    if options.get("transport") == "ctaphid-tcp":
        where = ["--tcp", "{port}"]
    else:
        where = ["--udp", "{port}:{answer_port}"]
    return make_rig([*TINY_COMMAND, *where, "--fault", fault, *map(str, more)], **options)


def twin(*more, **options) -> EmulatorRig:
    return make_rig([*TWIN_COMMAND, *map(str, more)], transport="ctaphid-tcp", **{"ready_s": 20, **options})


def cut(rig: EmulatorRig, operation: str, cuts: int, *, rechecks: int = 0, strategy="hybrid", **more):
    """Run a campaign; returns (result, campaign). By default abnormal outcomes are not checked again."""
    campaign = LiveCampaign(
        rig,
        rig.key.operations[operation],
        go_home(rig),
        terms(cuts, **more),
        strategy=strategy,
        rechecks=rechecks,
    )
    return campaign.run(), campaign
