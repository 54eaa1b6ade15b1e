"""`keyharness list`: rigs with port and switch, whether they are there or not, and narrowed to a part."""

from __future__ import annotations

import json

import pytest

from harness.base.errors import CallerError
from harness.commands.listing import Only, listing

BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
port = "250-1"
power = { driver = "lcus", port = "/dev/ttyUSB9", channel = 2 }
touch = { driver = "hand" }

[[rig]]
name = "card-1"
key = "nitrokey-hsm2"
driver = "virtual"
expendable = true
"""


@pytest.fixture
def bench(cli):
    (cli.cwd / "lab.toml").write_text(BENCH)
    return cli


def asked(bench, *more):
    done = bench.inside("list", "--bench", "lab.toml", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(bench, *more):
    return json.loads(asked(bench, "--json", *more))


def names(rows):
    return [row["name"] for row in rows]


def test_each_rig_is_shown_with_port_and_switch(bench):
    first, second = table(bench)["rigs"]
    assert first["port"] == "250-1"
    assert first["power"] == {"driver": "lcus", "channel": "lcus /dev/ttyUSB9 channel 2"}
    assert first["touch"]["driver"] == "hand"
    assert (second["port"], second["power"], second["touch"]) == (None, None, None)
    line = next(line for line in asked(bench).splitlines() if line.startswith("  mini-1"))
    assert "nitrokey3-mini at 250-1 · driver usb · power lcus /dev/ttyUSB9 channel 2 · touch hand, " in line
    assert line.endswith("not expendable: never written to")


def test_narrowed_by_rig_it_shows_that_rig_and_its_key(bench):
    found = table(bench, "--rig", "card-1")
    assert (names(found["rigs"]), names(found["keys"])) == (["card-1"], ["nitrokey-hsm2"])
    text = asked(bench, "--rig", "card-1")
    assert "mini-1" not in text
    assert "\ndrivers\n" not in text


def test_narrowed_by_key_it_shows_that_key_and_its_rigs(bench):
    found = table(bench, "--key", "nitrokey3-mini")
    assert (names(found["rigs"]), names(found["keys"])) == (["mini-1"], ["nitrokey3-mini"])


@pytest.mark.parametrize("pattern", ["fido2.client_pin.*", "fido2.reset", "*.reset?register"])
def test_narrowed_by_a_pattern_it_shows_the_operations_that_fit(bench, pattern):
    from fnmatch import fnmatchcase

    everything = [key for key in table(bench)["keys"] if key["name"] == "nitrokey3-mini"]
    wanted = [name for name in names(everything[0]["operations"]) if fnmatchcase(name, pattern)]
    (key,) = table(bench, "--key", "nitrokey3-mini", "--operation", pattern)["keys"]
    assert names(key["operations"]) == wanted != []
    assert key["items"] == []


@pytest.mark.parametrize(
    ("only", "word"),
    [
        (Only(keys=("nitrokey4",)), "nitrokey3-mini"),
        (Only(rigs=("nk3",)), "nk3-mini"),
        (Only(operations=("fido3.*",)), "fido2"),
    ],
)
def test_what_does_not_exist_is_explained(only, word):
    with pytest.raises(CallerError) as error:
        listing(None, only)
    assert word in str(error.value)
