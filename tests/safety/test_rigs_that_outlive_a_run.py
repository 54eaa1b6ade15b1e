"""Rigs that outlive a run: who is at them, how their power is left, when they are not to be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from support.latched_lab import CASE

HOLD = """
import sys
from harness.host.locks import Lock
lock = Lock("rig real-1")
lock.take("a test that holds it")
print("held", flush=True)
sys.stdin.read()
"""


def held(lab):
    """A process that holds the rig's lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env=lab.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def rigs_of(lab):
    rows = json.loads(lab("rigs", "--json", "--bench", "lab.toml").stdout)["rigs"]
    return {row["rig"]: row for row in rows}


def rigs(lab):
    (row,) = rigs_of(lab).values()
    return row


def test_a_real_key_is_tested_and_given_back_as_it_was(lab):
    done = lab(*CASE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.switch.read_text() == "on", "it was on before"
    row = rigs(lab)
    assert (row["health"], row["holder"], row["quarantine"]) == ("free", None, None)


@pytest.mark.parametrize(
    "command", [["inspect", "real-1"], pytest.param(["recover", "real-1"], marks=pytest.mark.long)]
)
def test_a_held_rig_is_a_clear_error(lab, command):
    process = held(lab)
    try:
        done = lab(*command, "--bench", "lab.toml")
        assert done.returncode == 3, done.stdout + done.stderr
        assert f"held by process {process.pid} since 20" in done.stderr
        assert "a test that holds it" in done.stderr
        done = lab(*CASE)
        assert done.returncode == 3
        assert f"held by process {process.pid}" in (lab.run_dir / "results.jsonl").read_text()
        row = rigs(lab)
        assert row["health"] == "in use"
        assert row["holder"]["pid"] == process.pid
        assert row["quarantine"] is None, "being in use is no fault of the rig"
    finally:
        process.kill()
        process.wait()
    assert lab(*command, "--bench", "lab.toml").returncode == 0, "free when the holder has died"


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(own_state):
    from harness.host.locks import Lock

    fork = (
        "import os, sys, time\n"
        "from harness.host.locks import Lock\n"
        'lock = Lock("rig x"); lock.take("test")\n'
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    sys.stdin.read(); os._exit(0)\n"
        "print(pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", fork], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = int(process.stdout.readline())
    assert Lock("rig x").holder().pid == process.pid
    process.kill()
    process.wait()
    os.kill(child, 0)
    assert Lock("rig x").holder() is None
    with Lock("rig x") as lock:
        lock.take("mine now")
    process.stdin.close()


@pytest.mark.parametrize(
    "command",
    ["rigs", pytest.param("recover", marks=pytest.mark.long), pytest.param("run", marks=pytest.mark.long)],
)
def test_power_that_a_killed_process_left_off_is_put_back(lab, command):
    lab.env["LATCHED_KILL"] = "1"
    killed = lab(*CASE)
    assert killed.returncode == 3
    assert lab.switch.read_text() == "off", "as the kill left it"
    del lab.env["LATCHED_KILL"]
    if command == "rigs":
        assert rigs(lab)["health"] == "power put back"
    elif command == "recover":
        assert lab("recover", "real-1", "--bench", "lab.toml").returncode == 0
    else:
        assert lab(*CASE).returncode == 0
    assert lab.switch.read_text() == "on"
    assert rigs(lab)["health"] == "free", "once is enough"


def test_a_rig_fault_quarantines_that_rig_and_the_others_go_on(lab):
    lab.bench.write_text(
        lab.bench.read_text()
        + '[[rig]]\nname = "twin-1"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
    )
    lab.env["LATCHED_FAULT"] = f"off {lab.switch.name}"
    done = lab(*CASE)
    assert done.returncode == 3, done.stdout + done.stderr
    assert " 1 passed" in done.stdout, "the twin's case"
    del lab.env["LATCHED_FAULT"]
    rows = rigs_of(lab)
    assert {name: row["health"] for name, row in rows.items()} == {"real-1": "quarantined", "twin-1": "free"}
    assert "relay switch" in rows["real-1"]["quarantine"]["why"]

    done = lab(*CASE, "--rig", "real-1")
    assert done.returncode == 3, "nothing that was to be tested was"
    run = max(lab.cwd.glob("reports/*/summary.json"), key=lambda path: path.stat().st_mtime)
    summary = json.loads(run.read_text())
    assert summary["verdict"] == "inconclusive"
    assert any("rig real-1 is in quarantine" in reason for reason in summary["reasons"])

    assert lab("quarantine", "real-1", "--clear", "--bench", "lab.toml").returncode == 4, "no reason given"
    done = lab("quarantine", "real-1", "--clear", "--reason", "new relay", "--bench", "lab.toml")
    assert done.returncode == 0
    assert rigs_of(lab)["real-1"]["health"] == "free"


def test_recover_switches_a_dead_key_and_says_that_it_stays_dead(lab):
    lab.env["LATCHED_DEAD"] = "1"
    done = lab("recover", "real-1", "--bench", "lab.toml")
    assert done.returncode == 3
    for word in ("opened it again", "switched it off and on", "left it off for 10 s", "nothing on the bus"):
        assert word in done.stdout


def test_a_preserved_key_is_left_untouched(lab):
    lab.bench.write_text(lab.bench.read_text() + 'on_stuck = "preserve"\n')
    lab.env["LATCHED_DEAD"] = "1"
    lab.env["LATCHED_FAULT"] = f"off {lab.switch.name}"
    done = lab("recover", "real-1", "--bench", "lab.toml")
    assert done.returncode == 3
    assert "left it as it is" in done.stdout
    assert "off and on" not in done.stdout


@pytest.fixture
def broken_off(lab):
    """A key on which an update to 1.9.0 was broken off, and that update's container."""
    from harness.base.seeds import child
    from harness_nitrokey3 import containers
    from harness_nitrokey3.images import Recipe

    lab.env["LATCHED_BOOTLOADER"] = "1.9.0"
    container = containers.make(child(1, "twin", "nitrokey3-mini"), Recipe("1.9.0"))
    (lab.cwd / "update.zip").write_bytes(container.data)
    return lab


def test_recover_runs_an_update_again_that_was_broken_off(broken_off):
    done = broken_off("recover", "real-1", "--bench", "lab.toml")
    assert done.returncode == 3
    assert "it is in its bootloader" in done.stdout
    assert "the bench names no `firmware`" in done.stdout
    assert "left it off" not in done.stdout, "a key that is up does not come up better after 10 s"
    broken_off.bench.write_text(broken_off.bench.read_text() + 'firmware = "update.zip"\n')
    done = broken_off("recover", "real-1", "--bench", "lab.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed update.zip" in done.stdout
    assert "the key answers" in done.stdout


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("expendable = false", "not expendable: nothing is written"),
        ('on_stuck = "preserve"', "left it as it is"),
    ],
)
def test_a_key_in_its_bootloader_is_written_to_only_if_it_may_be(broken_off, line, word):
    text = broken_off.bench.read_text()
    if "expendable" in line:
        text = text.replace("expendable = true\n", "")
    broken_off.bench.write_text(f'{text}{line}\nfirmware = "update.zip"\n')
    done = broken_off("recover", "real-1", "--bench", "lab.toml")
    assert done.returncode == 3, done.stdout + done.stderr
    assert word in done.stdout
    assert "installed update.zip" not in done.stdout


def test_recover_resets_only_what_may_be_written_to(lab):
    done = lab("recover", "real-1", "--reset", "--bench", "lab.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reset: reset the FIDO2 application" in done.stdout
    lab.bench.write_text(lab.bench.read_text().replace("expendable = true", "expendable = false"))
    done = lab("recover", "real-1", "--reset", "--bench", "lab.toml")
    assert done.returncode == 4
    assert "expendable" in done.stderr


def test_a_twin_is_nobodys_to_quarantine(cli):
    done = cli("quarantine", "nk3-mini")
    assert done.returncode == 4
    assert "every run makes anew" in done.stderr


def test_the_parent_of_nobody_is_told_at_once():
    """A process whose parent has died before it could say so ends as well."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import signal; from harness.base.signals import end_with; "
            "end_with(1 << 30, signal.SIGTERM); raise SystemExit(0)",
        ],
        check=False,
    )
    assert done.returncode == -signal.SIGTERM


def test_a_plan_does_not_touch_a_real_key(lab):
    lab.env["LATCHED_FAULT"] = f"off {lab.switch.name}"
    done = lab("run", "endurance", "--plan", "--bench", "lab.toml", "--operation", "fido2.reset")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fido2.reset" in done.stdout
    assert "a run writes to the key on rig real-1 " in done.stdout
    assert "nowhere else" not in done.stdout
    assert not lab.switch.exists()
    assert not (lab.state / "keyharness").exists()
