"""A rig that is not there keeps no other rig from its tests, and the run does not call itself a pass."""

from __future__ import annotations

import json

import pytest

from support.lab import Lab

TWIN = '[[rig]]\nname = "here"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
GONE = """\
[[rig]]
name = "gone"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.7.2"
expendable = true
[rig.power]
driver = "lab"
port = "1-1.7.2"
[rig.touch]
driver = "lab"
"""
RUN = ("run", "endurance", "--bench", "two.toml", "--seed", "1", "--operation", "fido2.client_pin.wrong")


@pytest.fixture
def lab(tmp_path):
    with Lab(tmp_path / "lab") as made:
        yield made


@pytest.fixture
def two(lab, cli):
    """A bench with a twin and with a rig whose hub is not plugged in."""
    cli.env |= lab.environment()
    (cli.cwd / "two.toml").write_text(GONE + TWIN)
    return cli


@pytest.mark.parametrize("workers", [[], ["--", "-n", "auto"]], ids=["alone", "auto"])
def test_the_others_go_on_with_the_whole_budget(two, workers):
    done = two(*RUN, "--cuts", "20", *workers)
    assert done.returncode == 3, done.stdout + done.stderr
    assert 'warn: rig "gone" is left out' in done.stderr
    assert "no hub is at 1-1.7" in done.stderr
    summary = json.loads((two.run_dir / "summary.json").read_text())
    assert summary["verdict"] == "inconclusive"
    assert "hardware run: 0 keys took part; model run" in done.stdout
    assert any("rig gone is not there" in reason for reason in summary["reasons"])
    assert {rig["name"] for rig in summary["rigs"]} == {"gone", "here"}
    (row,) = summary["operations"]
    assert (row["rig"], row["cuts"]) == ("here", 20)


def test_a_plan_says_it(two):
    done = two(*RUN, "--plan")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gone   is not there" in done.stdout


def test_where_none_is_there_nothing_is_begun(two):
    done = two(*RUN, "--rig", "gone")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "no hub is at 1-1.7" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (two.cwd / "reports").exists()


def test_where_none_of_several_is_there_each_is_named(two):
    more = GONE.replace('"gone"', '"lost"').replace("1-1.7.2", "1-1.7.3").partition("[rig.touch]")[0]
    (two.cwd / "two.toml").write_text(GONE + more)
    done = two(*RUN)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "none of the 2 rigs is there" in done.stderr
    assert 'rig "gone"' in done.stderr
    assert 'rig "lost"' in done.stderr
