"""What is spent of a real key, by a run and by a replay, counted in the laboratory and in the ledger."""

from __future__ import annotations

import json

import pytest

from support.lab import TwinKey
from support.paths import ABSENT
from support.usb import PORT, laboratory

BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
expendable = true
port = "1-1.4.1"
up_s = 10.0
off_s = 0.01
[rig.power]
driver = "lab"
port = "1-1.4.1"
[rig.touch]
driver = "lab"
"""
GRANTS = "[rig.budget]\nerases_per_boot = 2\n"
RUN = ("run", "endurance", "--bench", "lab.toml", "--seed", "1", "--cuts", "2")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, TwinKey(1, boot_s=0.1))
        yield lab


@pytest.fixture
def bench(lab, cli):
    cli.env |= lab.environment() | {"KEYHARNESS_NODE": str(ABSENT)}
    (cli.cwd / "lab.toml").write_text(BENCH + GRANTS)
    cli.identity = json.loads(cli("inspect", "mini-1", "--json", "--bench", "lab.toml").stdout)["identity"]
    named = BENCH.replace("expendable = true", f'expendable = true\nidentity = "{cli.identity}"')
    (cli.cwd / "lab.toml").write_text(named + GRANTS)
    return cli


def spent(bench):
    known = json.loads(bench("history", bench.identity, "--json").stdout)
    return {row["what"]: row["amount"] for row in known["spent"]}


@pytest.mark.long
def test_a_replay_spends_as_a_run_does_and_every_release_is_counted(bench, lab):
    done = bench(*RUN, "--operation", "fido2.client_pin.wrong")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    after_run = spent(bench)
    assert after_run["pin_tries"] >= 3, "each of the uncut runs has guessed wrong"
    assert after_run["relay_operations"] == lab.port(PORT).offs
    assert after_run["erases"] > 2 * lab.port(PORT).offs
    row = json.loads((bench.run_dir / "evidence.jsonl").read_text().splitlines()[-1])
    # The key holds what the run has left on it: that is known to be ours.
    done = bench("replay", row["id"], "--bench", "lab.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    after_replay = spent(bench)
    assert after_replay["pin_tries"] > after_run["pin_tries"]
    assert after_replay["relay_operations"] == lab.port(PORT).offs > after_run["relay_operations"]


def test_what_nothing_gives_back_is_not_offered_on_a_real_key(bench):
    done = bench(*RUN, "--operation", "fido2.config.min_pin")
    assert "no power was cut" in done.stdout
    assert "not granted: one_way_settings" in (bench.run_dir / "results.jsonl").read_text()
