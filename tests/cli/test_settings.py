"""Bench, reports and seed from options, the environment and files; completions of a shell."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess

import pytest

from support.limits import HUNG_S

VIRTUAL = '[[rig]]\nname = "{}"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'


@pytest.fixture
def benches(cli):
    for name in ("option", "environment", "file"):
        (cli.cwd / f"{name}.toml").write_text(VIRTUAL.format(f"of-{name}"))
    return cli


def rig(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rigs"][0]["name"]


@pytest.mark.parametrize("file, text", [("keyharness.toml", ""), ("pyproject.toml", "[tool.keyharness]\n")])
def test_an_option_goes_first_then_the_environment_then_the_file(benches, file, text):
    assert rig(benches.inside("list", "--json")) == "nk3-mini"
    (benches.cwd / file).write_text(f'{text}bench = "file.toml"\n')
    assert rig(benches.inside("list", "--json")) == "of-file"
    benches.env["KEYHARNESS_BENCH"] = "environment.toml"
    assert rig(benches.inside("list", "--json")) == "of-environment"
    assert rig(benches.inside("list", "--json", "--bench", "option.toml")) == "of-option"


def test_a_file_counts_up_to_the_top_of_the_repository(benches):
    (benches.cwd / "keyharness.toml").write_text('bench = "file.toml"\n')
    inner = benches.cwd / "deep" / "er"
    inner.mkdir(parents=True)
    top, benches.cwd = benches.cwd, inner
    assert rig(benches.inside("list", "--json")) == "nk3-mini", "this is no repository"
    (top / ".git").mkdir()
    assert rig(benches.inside("list", "--json")) == "of-file"
    (top / "deep" / ".git").mkdir()
    assert rig(benches.inside("list", "--json")) == "nk3-mini", "another repository"


def test_seed_and_reports(cli):
    (cli.cwd / "keyharness.toml").write_text('seed = 5\nreports = "there"\n')
    asked = ("run", "endurance", "--operation", "fido2.client_pin.wrong", "--plan", "--json")
    found = json.loads(cli.inside(*asked).stdout)
    assert found["seed"] == 5
    assert "below there/" in found["writes"]
    cli.env["KEYHARNESS_SEED"] = "6"
    assert json.loads(cli.inside(*asked).stdout)["seed"] == 6
    assert json.loads(cli.inside(*asked, "--seed", "7").stdout)["seed"] == 7


def test_settings_do_not_stand_in_the_way_of_an_earlier_run(cli):
    """What a run was begun with goes before them, also where it is continued."""
    (cli.cwd / "keyharness.toml").write_text('bench = "late-replay.toml"\nseed = 5\n')
    for words in (("--resume", "x"), ("--last-failed",)):
        done = cli.inside("run", *words)
        assert done.returncode == 4
        assert "no run" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "file, text, words",
    [
        (
            "keyharness.toml",
            'bench = "absent.toml"',
            ["bench absent.toml", "set in    keyharness.toml: bench"],
        ),
        ("keyharness.toml", "bench = 3", ["keyharness.toml: bench", "the path of a bench file"]),
        ("keyharness.toml", 'sed = "3"', ["keyharness.toml: sed", "seed"]),
        ("keyharness.toml", "bench = [", ["keyharness.toml", "TOML"]),
        ("pyproject.toml", '[tool.keyharness]\nbench = ""', ["pyproject.toml: tool.keyharness.bench"]),
        ("pyproject.toml", "[tool]\nkeyharness = 1", ["pyproject.toml: tool.keyharness", "a table"]),
        (None, "KEYHARNESS_BENCH=absent.toml", ["bench absent.toml", "set in    KEYHARNESS_BENCH"]),
        (None, "KEYHARNESS_SEED=many", ["KEYHARNESS_SEED", "many", "a whole number"]),
    ],
)
def test_an_error_names_where_the_setting_stands(cli, file, text, words):
    if file is None:
        name, _, value = text.partition("=")
        cli.env[name] = value
    else:
        (cli.cwd / file).write_text(text)
    done = cli.inside("run", "--plan")
    assert (done.returncode, done.stdout) == (4, "")
    for word in words:
        assert word in done.stderr


def test_a_bench_of_a_plugin_keeps_its_bare_name(cli):
    (cli.cwd / "keyharness.toml").write_text('bench = "late-replay.toml"\n')
    assert json.loads(cli.inside("list", "--json").stdout)["bench"] == "late-replay.toml"


@pytest.mark.parametrize(
    "words, expected",
    [
        ("keyharness qu", {"quarantine"}),
        ("keyharness run --oper", {"--operation"}),
        ("keyharness power ", {"on", "off"}),
        ("keyharness run --rig nk3-", {"nk3-mini", "nk3-all"}),
        ("keyharness run --bench late-replay.toml --rig ", {"nk3-mini"}),
        ("keyharness run --operation fido2.res", {"fido2.reset", "fido2.reset.register"}),
        ("keyharness inspect h", {"hsm-1"}),
    ],
)
def test_a_shell_is_told_completions(cli, words, expected):
    cli.env |= {
        "_KEYHARNESS_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = cli()
    assert done.returncode == 0, done.stderr
    assert expected <= set(done.stdout.split())
    # A bench that was typed, and no other.
    assert "late-replay" not in words or set(done.stdout.split()) == expected


def test_a_bench_that_cannot_be_read_completes_nothing_and_says_nothing(cli):
    words = "keyharness run --bench absent.toml --rig "
    cli.env |= {"_KEYHARNESS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "5"}
    done = cli()
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_what_bash_loads_completes_a_command(cli):
    """As a user does: load the script that --show-completion writes, and ask bash for completions."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("this machine has no bash")
    command = shlex.join(cli.command)
    (cli.cwd / "keyharness").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (cli.cwd / "keyharness").chmod(0o755)
    script = """
        PATH=$PWD:$PATH
        script=$(keyharness --show-completion) || exit 1
        eval "$script"
        COMP_WORDS=(keyharness quar) COMP_CWORD=1
        _keyharness_completion keyharness
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        [bash, "-c", script],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.stdout.split() == ["quarantine"], done.stderr
