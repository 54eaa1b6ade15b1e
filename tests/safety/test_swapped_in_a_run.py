"""A key that is exchanged while `keyharness run` works with it: no fail, no write, a rig in quarantine."""

from __future__ import annotations

import json

import pytest

from harness.safety.quarantine import quarantined
from support.lab import TwinKey
from support.paths import ABSENT
from support.substitute import Substitute
from support.usb import PORT, laboratory, make_rig

BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
expendable = true
port = "1-1.4.1"
off_s = 0.01
identity = "{identity}"
[rig.power]
driver = "lab"
[rig.touch]
driver = "lab"
"""
RUN = ("run", "endurance", "--seed", "1", "--cuts", "2", "--operation", "fido2.get_assertion")


def exchange(lab, number, substitute):
    """Exchange the key while its port is off, before power comes for the `number`-th time."""
    port = lab.port(PORT)
    given, power = 0, port.power

    def switched(on):
        nonlocal given
        given += on and not port.powered
        if on and given == number and port.thing is not substitute:
            port.unplug()
            port.plug(substitute)
        power(on)

    port.power = switched


@pytest.mark.long
def test_another_key_stops_the_rig_and_is_neither_written_to_nor_judged(cli, tmp_path, monkeypatch):
    other = Substitute(2, boot_s=0.1)
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, TwinKey(1, boot_s=0.1))
        cli.env |= lab.environment() | {"KEYHARNESS_NODE": str(ABSENT)}
        rig = make_rig()
        rig.wait_until_up()
        mine = f"uuid:{rig.key.identify(rig)['uuid']}"
        rig.close()
        (cli.cwd / "lab.toml").write_text(BENCH.format(identity=mine))
        exchange(lab, 3, other)
        done = cli(*RUN, "--bench", "lab.toml")
        assert done.returncode == 3, done.stdout + done.stderr
        assert "another key is in it than when it was claimed" in done.stdout
        summary = json.loads((cli.run_dir / "summary.json").read_text())
        assert summary["verdict"] == "inconclusive"
        evidence = (cli.run_dir / "evidence.jsonl").read_text().splitlines()
        assert [json.loads(row)["blame"] for row in evidence if json.loads(row)["blame"]] == []
        assert other.commands, "it was asked who it is"
        assert other.writes == []
        monkeypatch.setenv("XDG_STATE_HOME", cli.env["XDG_STATE_HOME"])
        assert mine in quarantined(f"port usb:{PORT}").why
