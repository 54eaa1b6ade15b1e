"""What a run has kept of an abnormal cut is booted and looked at again, and shows the same."""

from __future__ import annotations

import json
import random
import re

import pytest

from support.emulator.emulated import TINY_COMMAND
from support.paths import ROOT


def kept(cli):
    """The rows and folders of the cuts that the only run keeps."""
    paths = sorted(cli.run_dir.glob("abnormal/*/row.json"))
    return [(json.loads(path.read_text()), path.parent) for path in paths]


def again(cli, row, bench):
    return cli("replay", row["id"], "--bench", bench, "--from-evidence", cli.run_dir)


@pytest.mark.long
def test_the_image_of_a_twin_is_looked_at_again(cli):
    bench = ROOT / "rigs" / "late-replay.toml"
    done = cli(
        *("run", "endurance", "--bench", bench, "--seed", "1", "--cuts", "60"),
        *("--operation", "fido2.make_credential.resident"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    row, folder = kept(cli)[0]
    assert {"state/board.json", "state/ifs.bin.z"} <= {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    }
    seen = again(cli, row, bench)
    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert f"outcome    {row['outcome']}" in seen.stdout

    # It is the kept image that is looked at: without it, nothing is.
    (folder / "state" / "ifs.bin.z").write_bytes(b"\xff" * 64)
    damaged = again(cli, row, bench)
    assert damaged.returncode == 4
    assert "Traceback" not in damaged.stderr
    assert "the files of a kept state, whole" in damaged.stderr


@pytest.mark.long
def test_a_cut_update_is_kept_with_the_updaters_own_log(cli):
    """What a user is told to take from nitropy.log: of the update, not of the looks at the key that followed."""
    (cli.cwd / "update.toml").write_text(
        '[[rig]]\nname = "nk3"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        'twin = { defects = ["settings-lost-open"] }\n'
    )
    done = cli(
        *("run", "endurance", "--bench", "update.toml", "--seed", "1", "--cuts", "60"),
        *("--operation", "update.install"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    row, folder = kept(cli)[0]
    log = (folder / "admin.log").read_text()
    for said in (
        "Firmware version before update: v1.8.3",
        "Executing admin command UPDATE",
        "dfu_transport_serial",
    ):
        assert said in log
    seen = again(cli, row, "update.toml")
    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert f"outcome    {row['outcome']}" in seen.stdout


@pytest.mark.long
def test_the_state_of_an_emulator_is_looked_at_again(cli):
    port = random.randrange(20_000, 30_000)
    command = [*TINY_COMMAND, "--tcp", "{port}", "--fault", "forget-when-dirty"]
    (cli.cwd / "emu.toml").write_text(
        '[[rig]]\nname = "emu"\nkey = "fido2"\ndriver = "emulator"\nexpendable = true\nanswer_s = 2\n'
        f'transport = "ctaphid-tcp"\nport = {port}\ncommand = {json.dumps(command)}\n'
    )
    done = cli(
        *("run", "endurance", "--bench", "emu.toml", "--seed", "1", "--cuts", "4"),
        *("--operation", "fido2.make_credential.non_resident"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (row, folder), *_ = [one for one in kept(cli) if one[0]["outcome"] == "lost"]
    assert re.search(r"^\d+ > [0-9a-f]{128}$", (folder / "transport.log").read_text(), re.MULTILINE)
    assert (folder / "state" / "directory.json").exists()
    seen = again(cli, row, "emu.toml")
    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert f"outcome    {row['outcome']}" in seen.stdout


def test_a_cut_that_is_not_kept_is_named(cli):
    (cli.cwd / "run" / "abnormal").mkdir(parents=True)
    bench = ROOT / "rigs" / "late-replay.toml"
    shown = cli(
        "replay", "kh1:nk3-mini/fido2.reset:1:op1.torn1:abcdef", "--bench", bench, "--from-evidence", "run"
    )
    assert shown.returncode == 4
    check = re.search(r"expected  ([0-9a-f]{6}),", shown.stderr)[1]
    ident = f"kh1:nk3-mini/fido2.reset:1:op1.torn1:{check}"
    shown = cli("replay", ident, "--bench", bench, "--from-evidence", "run")
    assert shown.returncode == 4
    assert "this run keeps none" in shown.stderr
