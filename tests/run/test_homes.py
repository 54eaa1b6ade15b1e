"""Operations are cut from named homes, and an owner goes on after some cuts: evidence, replay ids, options."""

from __future__ import annotations

import json

import pytest

from harness.bench.registry import discover
from harness.campaign.home import in_turn
from harness.report.schema import check_evidence
from support.command import Cli

OPERATION = "fido2.client_pin.wrong"


def rows_of(cli):
    (file,) = cli.cwd.glob("reports/*/evidence.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """A run that names no home."""
    cli = Cli(tmp_path_factory.mktemp("usual"))
    done = cli("run", "endurance", "--seed", 3, "--operation", OPERATION)
    assert done.returncode == 0, done.stdout + done.stderr
    return cli


@pytest.mark.long
def test_a_run_that_names_no_home_takes_a_few_cuts_from_each(usual):
    rows = rows_of(usual)
    for row in rows:
        check_evidence(json.dumps(row))
    wanted = in_turn(discover().keys["nitrokey3-mini"], OPERATION)
    at_home = {name: [row for row in rows if row["home"] == name] for name in wanted}
    assert {name: len(found) for name, found in at_home.items()} == wanted
    assert all(row["stream"] == "home" for found in at_home.values() for row in found)
    assert all(row["home"] == "fresh" for row in rows if row["stream"] != "home")


@pytest.mark.long
def test_the_owner_goes_on_after_some_cuts(usual):
    rows = [row for row in rows_of(usual) if row["stream"] == "next"]
    assert len(rows) == 8
    assert len({row["next"] for row in rows}) > 3
    assert all(row["next"] is None for row in rows_of(usual) if row["stream"] != "next")


@pytest.mark.long
def test_every_kind_of_cut_is_made_again_from_its_id(usual):
    rows = rows_of(usual)
    for stream, said in (("home", "home       "), ("next", "the owner's next action: "), ("nested", "boot1")):
        row = next(row for row in rows if row["stream"] == stream)
        done = usual("replay", row["id"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert said in done.stdout
        assert f"outcome    {row['outcome']}" in done.stdout


@pytest.mark.long
def test_the_check_of_an_id_stands_for_home_and_action(usual):
    row = next(row for row in rows_of(usual) if row["stream"] == "home")
    other = next(row for row in rows_of(usual) if row["stream"] == "exhaustive")
    wrong = row["id"].rpartition(":")[0] + ":" + other["id"].rpartition(":")[2]
    assert row["id"].rpartition(":")[2] != other["id"].rpartition(":")[2]
    done = usual("replay", wrong)
    assert done.returncode == 4
    assert "home" in done.stderr


@pytest.mark.long
def test_a_named_home_takes_the_place_of_the_fresh_one(cli):
    done = cli(
        *("run", "endurance", "--seed", 3, "--operation", OPERATION),
        *("--home", "coloured", "--home", "full", "--cuts", 12),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(cli)
    # A budget is spent on the first home alone.
    assert {(row["home"], row["stream"]) for row in rows} == {("coloured", "cover")}
    assert len(rows) == 12
    assert all(f"{OPERATION}@coloured:" in row["id"] for row in rows)


@pytest.mark.long
def test_a_bench_names_homes_and_a_sample(cli):
    (cli.cwd / "few.toml").write_text(
        '[[rig]]\nname = "one"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        f'operations = ["{OPERATION}"]\nhomes = ["same-boot", "fresh"]\nhome_cuts = 4\ncuts = 5\n'
        "second_cuts = false\n"
    )
    done = cli("run", "endurance", "--seed", 3, "--bench", "few.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(cli)
    assert [row["home"] for row in rows if row["stream"] == "cover"] == ["same-boot"] * 5
    assert [row["home"] for row in rows if row["stream"] == "home"] == ["fresh"] * 4
    assert not [row["id"] for row in rows if row["stream"] == "nested"]


def test_a_home_that_there_is_not_is_named(cli):
    done = cli("run", "endurance", "--home", "empty")
    assert done.returncode == 4
    assert 'home "empty"' in done.stderr
    assert "same-boot" in done.stderr
