"""A whole rig with these drivers: its power cut and its key touched through a relay board, or by its hub's port."""

from __future__ import annotations

import json

import pytest
from fido2.ctap2 import Ctap2

from harness.bench.bench import load_bench
from harness_transports.ctaphid import ctaphid
from support.command import Cli
from support.lab import Lab, TwinKey
from support.lab.labhost import LabHost
from support.paths import ABSENT
from support.power.fakehost import FakeBackend
from support.power.fakehubs import HubThing
from support.power.powertools import plugins
from support.power.serialboards import LcusBoard

PORT, NEIGHBOUR = "1-1.4.1", "1-1.4.2"
BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.4.1"
expendable = true
off_s = 0.01
"""
RELAYS = """
[rig.power]
driver = "lcus"
port = "/dev/ttyUSB0"
channel = 1
[rig.touch]
driver = "relay"
switch = { driver = "lcus", port = "/dev/ttyUSB0", channel = 2 }
"""
HUB = '[rig.power]\ndriver = "hub"\n'


class Wired(LcusBoard):
    """Relay 1 in a port's VBUS, relay 2 at its key's finger."""

    def __init__(self, node, port):
        self._port = port
        super().__init__(node, 2)
        self.relays[1] = True

    def switch(self, number, on):
        super().switch(number, on)
        if number == 1:
            self._port.power(on)
        else:
            self._port.thing.touch(0 if on else None)
            # It is asleep until its next packet is due, and a real finger is felt at once.
            self._port.thing._tell("touched")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Lab(tmp_path / "lab") as lab, lab.standing_in():
        lab.hub("1-1.4", 4)
        # In real time, like the relay: a key that is faster gives up before the finger is there.
        lab.plug(PORT, TwinKey(1, speed=1, boot_s=0.05))
        lab.plug(NEIGHBOUR, TwinKey(2))
        yield lab


@pytest.fixture
def board(lab):
    made = Wired(lab.tree.dev / "ttyUSB0", lab.port(PORT))
    yield made
    made.close()


def made(tmp_path, tables):
    (tmp_path / "lab.toml").write_text(BENCH + tables)
    return load_bench(tmp_path / "lab.toml", plugins()).make("mini-1", 1)


def ping_for_ever(device):
    while True:
        device.ping()


def cut_in_a_ping(rig, times=3):
    shots = []
    for _ in range(times):
        rig.power.on()
        rig.wait_until_up()
        device = ctaphid(rig)
        rig.cutter.prepare()
        rig.cutter.arm(rig.clock.now_us + 20_000)
        with pytest.raises(OSError):
            ping_for_ever(device)
        shots.append(rig.cutter.collect())
    return shots


def test_a_relay_cuts(tmp_path, lab, board):
    rig = made(tmp_path, RELAYS)
    assert rig.power.is_on
    for cut in cut_in_a_ping(rig):
        assert cut.took
        assert cut.fired_us <= cut.lost_us
    assert (lab.port(PORT).offs, lab.port(NEIGHBOUR).offs) == (3, 0)
    rig.close()


def test_a_relay_touches_within_our_own_request(tmp_path, lab, board):
    rig = made(tmp_path, RELAYS)
    rig.wait_until_up()
    ctap = Ctap2(ctaphid(rig))
    with rig.touch.pressing(delay_us=20_000):
        ctap.selection()
    assert not board.relays[2], "it was let go when the key had answered"
    moves = bytes(board.heard).replace(b"\xff", b"")
    assert moves == b"\xa0\x02\x01\xa3\xa0\x02\x00\xa2"
    rig.close()


def test_a_hub_s_port_cuts(tmp_path, lab, monkeypatch):
    class Things:
        sys, things = lab.tree.sys, {"1-1.4": HubThing(4)}

    monkeypatch.setattr(LabHost, "usb_backend", lambda self: FakeBackend(Things))
    rig = made(tmp_path, HUB)
    for cut in cut_in_a_ping(rig):
        assert cut.took
    assert (lab.port(PORT).offs, lab.port(NEIGHBOUR).offs) == (3, 0)
    rig.close()


@pytest.mark.long
def test_a_whole_run(tmp_path, lab, board):
    lab.port(PORT).unplug()
    # A run touches the key some hundred times; a faster one still waits longer than the relay takes.
    lab.plug(PORT, TwinKey(1, speed=5, boot_s=0.05))
    cli = Cli(tmp_path / "cwd")
    cli.cwd.mkdir()
    cli.env |= lab.environment() | {"KEYHARNESS_NODE": str(ABSENT)}
    bench = cli.cwd / "lab.toml"
    bench.write_text(BENCH + RELAYS)
    uuid = json.loads(cli("inspect", "mini-1", "--json", "--bench", "lab.toml").stdout)["identity"]
    bench.write_text(BENCH + f'identity = "{uuid}"\n' + RELAYS)
    run = (
        "run",
        "endurance",
        "--bench",
        "lab.toml",
        "--seed",
        "1",
        "--operation",
        "admin.power_up",
        "--cuts",
        "2",
    )
    done = cli(*run)
    # On a busy machine two cuts may both come too late: inconclusive then, and no fault of the switch.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert " 0 violations in " in done.stdout
    assert "rig faults 0" in done.stdout
    rows = [json.loads(line) for line in (cli.run_dir / "evidence.jsonl").open()]
    assert len(rows) >= 2
    cuts = [row for row in rows if row["planned"]["marker"] != "end"]
    assert cuts
    assert all(row["fired_us"] <= row["lost_us"] for row in cuts)
    assert lab.port(PORT).powered
    assert lab.port(NEIGHBOUR).offs == 0
    known = json.loads(cli("history", uuid, "--json").stdout)
    spent = {row["what"]: row["amount"] for row in known["spent"]}
    assert spent["relay_operations"] == lab.port(PORT).offs
