"""A ceremony is played and cut at every step: sound devices leave only what the people know to go on from."""

from __future__ import annotations

import re
import tomllib

import pytest

from support.paths import ROOT

SHIPPED = ROOT / "plugins" / "harness_schsm" / "ceremonies" / "root-key.toml"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    from support.command import Cli

    return Cli(tmp_path_factory.mktemp("ceremony")).inside("ceremony", "root-key.toml", "--seed", "1")


def test_the_shipped_script_leads_on_from_every_cut(played):
    assert played.returncode == 0, played.stdout + played.stderr
    steps = tomllib.loads(SHIPPED.read_text())["step"]
    assert re.findall(r"^(\d+)  ", played.stdout, re.MULTILINE) == [str(n) for n in range(1, len(steps) + 1)]
    for step in steps:
        assert f"{step['role']}, device {step['device']}:" in played.stdout
        assert step["expect"] in played.stdout
    states = played.stdout.count("   power lost, ")
    assert states >= 16
    for word in ("next", "never", "lost"):
        assert played.stdout.count(f"      {word}  ") == states


def test_a_half_made_key_is_told_from_none_and_from_a_whole_one(played):
    third = played.stdout.split("\n3  ")[1].split("\n4  ")[0]
    assert "key 1 without description\n      next   write the description of key 1" in third
    assert third.count("power lost") == 3


def test_the_same_seed_says_the_same(played, cli):
    assert cli.inside("ceremony", "root-key.toml", "--seed", "1").stdout == played.stdout
    assert cli.inside("ceremony", str(SHIPPED), "--seed", "2").stdout != played.stdout


@pytest.mark.parametrize(
    ("defect", "said"),
    [
        ("key-in-pieces", "the next action fails"),
        ("share-counted-later", "the next action leads to"),
        ("initialize-erases-last", "FAULT"),
    ],
)
def test_a_device_with_a_known_bug_leaves_what_nobody_can_go_on_from(cli, defect, said):
    done = cli.inside("ceremony", "root-key.toml", "--seed", "1", "--defect", defect)
    assert done.returncode == 1
    assert said in done.stdout


def test_words_that_are_not_seen_end_the_ceremony(cli):
    (cli.cwd / "mine.toml").write_text(
        SHIPPED.read_text().replace("1 share outstanding", "2 shares outstanding", 1)
    )
    done = cli.inside("ceremony", "mine.toml")
    assert done.returncode == 1
    assert "expected: 2 shares outstanding" in done.stdout
    assert "1 of 8 steps" in done.stdout


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('do = "generate"', 'do = "generat"', "step 3 · do"),
        ('role = "auditor"', 'role = "auditer"', "step 8 · role"),
        ('device = "B"', 'device = "C"', "step 5 · device"),
        ('key = "nitrokey-hsm2"', 'key = "nitrokey3-mini"', "a key with ceremonies"),
        ('title = "', "title = ", "mend that line"),
        ("devices = [", "device = [", 'expected  "devices"'),
    ],
)
def test_a_script_that_names_what_is_not_there_is_explained(cli, before, after, said):
    text = SHIPPED.read_text()
    assert before in text
    (cli.cwd / "mine.toml").write_text(text.replace(before, after, 1))
    done = cli.inside("ceremony", "mine.toml")
    assert done.returncode == 4
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_that_is_not_there_and_a_bug_that_nobody_knows_are_explained(cli):
    assert "ceremony none.toml" in cli.inside("ceremony", "none.toml").stderr
    assert 'defect "nonsense"' in cli.inside("ceremony", "root-key.toml", "--defect", "nonsense").stderr


def test_a_script_that_does_not_fit_says_where_and_what(cli):
    (cli.cwd / "own.toml").write_text(SHIPPED.read_text().replace("role = ", "rolle = ", 1))
    done = cli.inside("ceremony", "own.toml")
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "ceremony own.toml · step · 1 · role"
    assert '  found     nothing\n  expected  "role"\n' in done.stderr
