"""A scenario on an emulator: how often it shows, and its kept state in a bundle, booted on another machine."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from harness.evidence.bundle import read_bundle
from support.command import Cli
from support.emulator.emulated import TINY, TINY_COMMAND

OPERATION = "fido2.make_credential.non_resident"
SCENARIO = f"""
[scenario]
id = "forgot"
[replay]
key = "fido2"
operations = ["{OPERATION}"]
then = ["update"]
[[replay.sees]]
item = "fido2.non_resident_credential"
value = "absent"
[[step]]
act = "bounce"
times = 2
on_ms = [1, 20]
[[step]]
act = "connect"
"""


def write_bench(cli: Cli, name: str, fault: str, firmware: Path = TINY) -> None:
    port = random.randrange(20_000, 30_000)
    command = [str(firmware) if word == str(TINY) else word for word in TINY_COMMAND]
    command += ["--tcp", "{port}", "--fault", fault]
    (cli.cwd / name).write_text(
        '[[rig]]\nname = "emu"\nkey = "fido2"\ndriver = "emulator"\nexpendable = true\nanswer_s = 5\n'
        f'transport = "ctaphid-tcp"\nport = {port}\ncommand = {json.dumps(command)}\n'
    )


@pytest.fixture(scope="module")
def forgot(tmp_path_factory):
    """The scenario, replayed on an emulator that forgets after a cut: (the command line, what it printed as JSON)."""
    cli = Cli(tmp_path_factory.mktemp("forgot"))
    (cli.cwd / "forgot.toml").write_text(SCENARIO)
    write_bench(cli, "emu.toml", "forget-when-dirty")
    done = cli(
        *("run", "--scenario", "forgot.toml", "--bench", "emu.toml"), "--seed", "3", "--trials", "6", "--json"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return cli, json.loads(done.stdout)


@pytest.fixture(scope="module")
def elsewhere(forgot, tmp_path_factory):
    """The bundle of that run, in a folder of another machine."""
    cli, _ = forgot
    made = cli("bundle", "forgot.zip")
    assert made.returncode == 0, made.stderr
    other = Cli(tmp_path_factory.mktemp("elsewhere"))
    (cli.cwd / "forgot.zip").rename(other.cwd / "forgot.zip")
    return other


@pytest.mark.long
def test_it_is_counted_on_an_emulator(forgot):
    cli, document = forgot
    (tried,) = document["tried"]
    assert (tried["evidence"], tried["walked"], tried["whole"]) == ("emulator", 0, False)
    assert 1 <= tried["shown"] <= tried["trials"] <= 6
    assert tried["trials"] + tried["left_out"] == 6
    low, high = tried["interval"]
    assert low <= tried["shown"] / tried["trials"] <= high
    assert tried["after"] == {"update": "tried on twins only"}
    rows = [json.loads(line) for line in (cli.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert all(len(row["planned"]["burst"]) == len(row["planned"]["gaps_us"]) == 2 for row in rows)


@pytest.mark.long
def test_its_bundle_holds_the_state_directory_and_starts_no_program_here(elsewhere):
    manifest, files = read_bundle(elsewhere.cwd / "forgot.zip")
    assert manifest.replays
    assert any(name.startswith("abnormal/") and name.endswith("/state/directory.json") for name in files)
    bench = files["bench.toml"].decode()
    assert f'"<here>/{TINY.name}"' in bench
    assert str(TINY.parent) not in bench
    refused = elsewhere("replay", "forgot.zip")
    assert refused.returncode == 4
    assert "the driver emulator, which runs programs" in refused.stderr
    assert "write this machine's own folders in place of <here>" in refused.stderr
    assert "--bench" in refused.stderr


@pytest.mark.long
def test_another_machine_boots_the_kept_state_with_its_own_copy_of_the_firmware(elsewhere):
    firmware = elsewhere.cwd / "firmware"
    shutil.copytree(TINY.parent, firmware)
    write_bench(elsewhere, "own.toml", "forget-when-dirty", firmware / TINY.name)
    done = elsewhere("replay", "forgot.zip", "--bench", "own.toml", "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    replayed = json.loads(done.stdout)["replayed"]
    assert replayed
    for one in replayed:
        assert one["cut_again"] is None
        assert one["violated"] is True
        assert one["kept"]["outcome"] == one["kept"]["then"] == "lost"


@pytest.mark.long
def test_data_lines_before_power_are_beyond_a_process(elsewhere):
    write_bench(elsewhere, "emu.toml", "none")
    text = SCENARIO.replace('act = "bounce"', 'act = "data-before-power"')
    (elsewhere.cwd / "data.toml").write_text(text)
    done = elsewhere("run", "--scenario", "data.toml", "--bench", "emu.toml", "--trials", "1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "not offered: data-before-power: this rig switches power" in done.stdout


@pytest.mark.long
def test_another_firmware_is_not_taken_for_it(elsewhere):
    write_bench(elsewhere, "other.toml", "none")
    refused = elsewhere("replay", "forgot.zip", "--bench", "other.toml")
    assert refused.returncode == 4
    assert "which stands for firmware" in refused.stderr
