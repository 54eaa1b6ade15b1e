"""`keyharness run --firmware` on benches of every kind."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.bench.bench import load_bench
from harness.bench.registry import discover
from harness.commands.update_matrix import matrix
from harness_nitrokey3 import containers
from harness_nitrokey3.images import Recipe

USB = """\
# the relay of the lab
[[rig]]
name = "real"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.4.1"          # left
expendable = true
identity = "uuid:1234"

[rig.power]
driver = "lcus"
port = "/dev/ttyUSB0"
channel = 2

[rig.budget]
forced_updates = 3
"""
EMULATOR = """\
[[rig]]
name = "emulated"
key = "nitrokey3-mini"
driver = "emulator"
command = ["keyharness", "twin", "nitrokey3-mini", "--state", "{state}"]
env = { LEVEL = "1", "odd name" = "x y" }
transport = "ctaphid-udp"
reboot_codes = [12, 13]
"""
VIRTUAL = """\
name = "twins"            # two of them
[[rig]]
name = "one"
key = "nitrokey3-mini"
driver = "virtual"
expendable = true
twin.version = "1.7.2"    # replaced
twin.profile = "nor-torn"
twin.defects = ["pin-compared-first", "unjournaled"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Containers of two versions."""
    made = tmp_path / "firmware"
    made.mkdir()
    for version in ("1.8.3", "1.9.0"):
        data = containers.make(child(1, "twin", "nitrokey3-mini"), Recipe(version)).data
        (made / f"firmware-nk3-v{version}.zip").write_bytes(data)
    return made


@pytest.fixture
def made(tmp_path: Path, folder: Path):
    """Make the bench of `--firmware` from the text of a bench: (its rigs, what it is)."""

    def make(
        text: str, *, start: tuple[str, ...] = (), target: tuple[str, ...] = (), rigs: tuple[str, ...] = ()
    ):
        bench = tmp_path / "lab.toml"
        bench.write_text(text)
        update = matrix(folder, start, target, bench, tmp_path / "reports", rigs)
        assert load_bench(update.file, discover()).rigs, "it is a bench that a run takes"
        return tomllib.loads(update.file.read_text())["rig"], update

    return make


@pytest.mark.parametrize("text", [USB, EMULATOR], ids=["usb", "emulator"])
def test_a_rig_with_one_key_keeps_its_name_and_all_its_settings(made, folder, text):
    rigs, update = made(text, target=("1.9.0",))
    (before,) = tomllib.loads(text)["rig"]
    assert rigs == [{**before, "firmware": str(folder / "firmware-nk3-v1.9.0.zip")}]
    assert update.operations == ("update.install", "update.refused")


def test_twins_start_from_every_version_and_keep_their_other_settings(made):
    rigs, _ = made(VIRTUAL)
    assert [(rig["name"], rig["twin"]["version"]) for rig in rigs] == [
        ("one.1.8.3-to-1.8.3", "1.8.3"),
        ("one.1.8.3-to-1.9.0", "1.8.3"),
        ("one.1.9.0-to-1.8.3", "1.9.0"),
        ("one.1.9.0-to-1.9.0", "1.9.0"),
    ]
    assert {tuple(rig["twin"]["defects"]) for rig in rigs} == {("pin-compared-first", "unjournaled")}
    assert {rig["twin"]["profile"] for rig in rigs} == {"nor-torn"}


def test_rigs_of_every_kind_stand_in_one_bench(made):
    rigs, _ = made(VIRTUAL + USB + EMULATOR, target=("v1.9.0",))
    assert [rig["name"] for rig in rigs] == ["one.1.8.3-to-1.9.0", "one.1.9.0-to-1.9.0", "real", "emulated"]


def test_rigs_are_chosen_by_their_names(made):
    rigs, _ = made(VIRTUAL + USB, start=("1.8.3",), rigs=("one",))
    assert [rig["name"] for rig in rigs] == ["one.1.8.3-to-1.8.3", "one.1.8.3-to-1.9.0"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, ["2 containers (1.8.3, 1.9.0)", 'rig "real"', "--to"]),
        ({"start": ("1.8.3",), "target": ("1.9.0",)}, ["--from 1.8.3", 'rig "real"', "twins"]),
        ({"target": ("1.9.0",), "rigs": ("reel",)}, ['rig "reel"', "real"]),
    ],
)
def test_what_a_real_key_cannot_do_is_refused(made, asked, words):
    with pytest.raises(CallerError) as caught:
        made(USB, **asked)
    for word in words:
        assert word in str(caught.value)


def test_a_replay_id_of_the_run_is_replayed_with_the_bench_that_it_names(cli, folder):
    (cli.cwd / "lab.toml").write_text(
        VIRTUAL.replace('twin.defects = ["pin-compared-first", "unjournaled"]\n', "")
    )
    options = (
        "--bench",
        "lab.toml",
        "--firmware",
        folder,
        "--from",
        "1.8.3",
        "--to",
        "1.9.0",
        "--rig",
        "one",
    )
    done = cli("run", *options, "--seed", 1, "--cuts", 2)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    (bench,) = (cli.cwd / "reports" / "benches").glob("*.toml")
    (evidence,) = (cli.cwd / "reports").glob("*/evidence.jsonl")
    first = evidence.read_text().split('"id":"')[1].split('"')[0]
    again = cli("replay", first, "--bench", bench)
    assert again.returncode == 0, again.stdout + again.stderr
