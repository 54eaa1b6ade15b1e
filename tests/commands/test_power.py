"""`keyharness power` and `keyharness touch`: a rig that is switched by hand is one in custody."""

from __future__ import annotations

import json

import pytest

from support.rig_commands import IDENTITY, InProcess, going_on, latched, switch

TOUCHED = 'rig "a": touched for 0.05 s\n'


@pytest.fixture
def command(cli, monkeypatch, capsys):
    return InProcess(cli, monkeypatch, capsys)


@pytest.fixture
def lab(cli, command):
    latched(cli, "a")
    return lambda *arguments: command(*arguments, "--bench", "lab.toml")


def test_it_stays_as_it_was_left_and_is_counted(cli, lab, command):
    assert lab("power", "off", "a").stdout == 'rig "a": off\n'
    assert switch(cli, "a").read_text() == "off"
    done = lab("power", "on", "a")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('rig "a": on; the key is up, ')
    assert switch(cli, "a").read_text() == "on"
    assert lab("power", "cycle", "a").stdout.startswith('rig "a": off and on; the key is up, ')
    (log,) = (cli.state / "keyharness" / "power").iterdir()
    noted = json.loads(log.read_text())
    assert (noted["on"], noted["before"], noted["given_back"]) == (True, True, True)
    done = command("history", IDENTITY, "--json")
    spent = {row["what"]: row["amount"] for row in json.loads(done.stdout)["spent"]}
    assert spent["relay_operations"] == 2, "one off, and one in the cycle"


def test_what_is_not_granted_is_not_switched(cli, command):
    latched(cli, "a", more="budget.relay_operations = 1\n")
    assert command("power", "off", "a", "--bench", "lab.toml").returncode == 0
    assert command("power", "on", "a", "--bench", "lab.toml").returncode == 0
    done = command("power", "off", "a", "--bench", "lab.toml")
    assert done.returncode == 3
    assert "budget.relay_operations" in done.stderr
    assert switch(cli, "a").read_text() == "on"


def test_a_key_that_does_not_come_up_is_said_to_be_missing(cli, lab):
    cli.env["LATCHED_DEAD"] = "1"
    done = lab("power", "cycle", "a")
    assert done.returncode == 3
    assert "no key came up: " in done.stdout
    assert "nothing on the bus" in done.stdout


def test_a_switch_that_fails_is_a_rig_fault(cli, lab):
    cli.env["LATCHED_FAULT"] = "off switch-a"
    done = lab("power", "off", "a")
    assert done.returncode == 3
    assert done.stderr.startswith("relay switch-a\n")


def test_a_rig_in_use_is_refused_with_its_holder(cli, lab):
    with going_on(cli, "serve", "--bench", "lab.toml") as process:
        assert "usb1" in process.stdout.readline()
        done = lab("power", "off", "a")
        assert done.returncode == 3
        assert f"held by process {process.pid} since 20" in done.stderr
        assert ": serve, rig a" in done.stderr
        assert lab("touch", "a").returncode == 3


def test_a_simulated_rig_can_be_tried(cli, command):
    assert command("power", "cycle", "nk3-mini").stdout.startswith(
        'rig "nk3-mini": off and on; the key is up, '
    )
    done = cli("power", "off", "nk3-mini")
    assert done.returncode == 4
    assert "each command makes it anew" in done.stderr


def test_touch(cli, lab):
    assert lab("touch", "a", "--seconds", "0.05").stdout == TOUCHED
    lab("power", "off", "a")
    done = lab("touch", "a", "--seconds", "0.05")
    assert done.returncode == 3
    assert "keyharness power on a" in done.stderr
    assert lab("power", "sideways", "a").returncode == 4
    assert lab("power", "on", "b").returncode == 4
