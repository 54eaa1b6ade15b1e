"""A run as its users meet it: a process with options, files, exit codes and a report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ET

import pytest

from harness.report.schema import check_evidence, check_summary
from support.limits import HUNG_S
from support.report.results import allure_results, parameter

LATE = ["--bench", "late-replay.toml"]
QUICK = ["run", "endurance", "--seed", "1", "--operation", "fido2.client_pin.wrong"]


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """One run that passes, looked at by several tests."""
    from support.command import Cli

    cli = Cli(tmp_path_factory.mktemp("passed"), allure=True, pictures=True)
    done = cli(
        "run", "--seed", "1", "--operation", "fido2.client_pin.change", "--", "-k", "basics or power_cut"
    )
    return cli, done


def summary_of(cli):
    return json.loads((cli.run_dir / "summary.json").read_text())


def test_a_sound_key_passes_and_says_what_that_proves(passed):
    _, done = passed
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS (exhaustive)   model run: simulated key, no vendor firmware executed" in done.stdout
    assert "every modelled flash operation" in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].strip().startswith("report reports/")


def test_the_files_of_the_contract_are_there(passed):
    cli, _ = passed
    names = {path.name for path in cli.run_dir.iterdir()}
    contract = {
        "summary.json",
        "evidence.jsonl",
        "allure-results.zip",
        "index.html",
        "junit.xml",
        "logs",
        "pictures",
    }
    assert contract <= names
    summary = check_summary((cli.run_dir / "summary.json").read_text())
    assert summary.verdict == "pass"
    lines = (cli.run_dir / "evidence.jsonl").read_text().splitlines()
    assert len(lines) == summary.cuts > 100
    for text in lines:
        check_evidence(text)
    assert ET.parse(cli.run_dir / "junit.xml").getroot().find("testsuite").get("failures") == "0"
    assert list((cli.run_dir / "pictures").glob("*.svg"))


def test_every_cut_of_the_operation_is_judged_once(passed):
    cli, _ = passed
    rows = [json.loads(text) for text in (cli.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    first = [row["planned"] for row in rows if row["stream"] == "exhaustive"]
    numbers = sorted({planned["flash_op"] for planned in first})
    assert numbers == list(range(1, len(numbers) + 1))
    phases = {planned["phase"] for planned in first if planned["flash_op"] == 1}
    assert phases == {"before", "torn1", "torn2", "torn3", "torn4", "after"}
    assert first[-1]["phase"] == "end"
    assert rows[[row["planned"] for row in rows].index(first[-1])]["acknowledged"]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(cli, tmp_path):
    evidence = []
    for number, seed in enumerate(("7", "7", "8")):
        cli.cwd = tmp_path / str(number)
        cli.cwd.mkdir()
        assert cli(*QUICK[:3], seed, *QUICK[4:]).returncode == 0
        evidence.append((cli.run_dir / "evidence.jsonl").read_bytes())
    assert evidence[0] == evidence[1] != evidence[2]


def test_a_budget_of_cuts_is_kept_and_not_called_exhaustive(cli):
    done = cli(*QUICK, "--cuts", "20")
    assert done.returncode == 0, done.stdout
    (operation,) = summary_of(cli)["operations"]
    assert operation["cuts"] == operation["covering_cuts"] == 20
    assert operation["exhaustive"] is False
    assert "every modelled flash operation" not in done.stdout


@pytest.mark.parametrize("bench", ["late-replay.toml", "unjournaled.toml"])
def test_a_key_that_loses_data_fails_and_each_replay_command_shows_its_cut(cli, bench):
    done = cli("run", "endurance", "--seed", "1", "--bench", bench, "--operation", "fido2.get_assertion")
    assert done.returncode == 1, done.stdout
    assert "FAIL   model run" in done.stdout
    violations = summary_of(cli)["violations"]
    assert violations
    for violation in violations:
        assert violation["item"] in done.stdout
        command = f"keyharness replay {violation['first']} --bench {bench}"
        assert command in done.stdout
    for violation in violations[:2]:
        again = cli("replay", violation["first"], "--bench", bench)
        assert again.returncode == 1, again.stdout + again.stderr
        name, *_, what = violation["text"].splitlines()
        assert f"{name}: {what}\n" in again.stdout
        assert "cut live too: the same image" in again.stdout


def test_a_sound_cut_replays_too(passed):
    cli, _ = passed
    row = json.loads((cli.run_dir / "evidence.jsonl").read_text().splitlines()[30])
    again = cli("replay", row["id"])
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"outcome    {row['outcome']}" in again.stdout


def test_a_report_is_made_again_from_the_files(passed):
    cli, _ = passed
    (cli.run_dir / "index.html").unlink()
    done = cli("report")
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert (cli.run_dir / "index.html").stat().st_size > 10_000


def test_plan_says_what_would_be_done_and_does_nothing(cli):
    done = cli("run", "--plan", "--seed", "1", "--operation", "fido2.reset")
    assert done.returncode == 0, done.stderr
    for word in ("fido2.reset", "cuts", "minutes", "touches", "erases"):
        assert word in done.stdout
    assert list(cli.cwd.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_with_what_was_done_reported(cli, how):
    # In this order; the last one is long enough to be interrupted.
    chosen = ("fido2.make_credential.non_resident", "fido2.client_pin.change", "fido2.reset.register")
    operations = [word for name in chosen for word in ("--operation", name)]
    process = subprocess.Popen(
        [*cli.command, "run", "endurance", "--seed", "1", *operations],
        cwd=cli.cwd,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    seen = []
    for text in process.stdout:
        seen.append(text)
        if "make_credential" in text:
            if how == signal.SIGINT:
                # As a terminal does it: to the whole group.
                os.killpg(process.pid, how)
            else:
                process.send_signal(how)
            break
    rest = process.stdout.read()
    assert process.wait(HUNG_S) == 2, rest
    assert "INTERRUPTED" in rest
    assert f"      resume keyharness run --resume {cli.run_dir.name}\n" in rest
    assert "Traceback" not in rest
    assert ET.parse(cli.run_dir / "junit.xml").getroot().find("testsuite") is not None
    summary = summary_of(cli)
    assert summary["verdict"] == "interrupted"
    assert summary["complete"] is False
    assert summary["cuts"] > 0
    assert len((cli.run_dir / "evidence.jsonl").read_text().splitlines()) == summary["cuts"]
    assert (cli.run_dir / "index.html").exists()


def test_list_shows_what_there_is(cli):
    done = cli("list")
    assert done.returncode == 0
    for word in (
        "nk3-mini",
        "nitrokey3-mini",
        "fido2.reset",
        "reference",
        "no-journal",
        "endurance",
        "virtual",
    ):
        assert word in done.stdout
    table = json.loads(cli("list", "--json").stdout)
    assert len(table["keys"][0]["operations"]) >= 9


def test_a_closed_pipe_is_no_crash(cli):
    done = subprocess.run(
        f"{cli.command[0]} -m harness list | head -1", shell=True, cwd=cli.cwd, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr


def test_pytest_in_the_checkout_takes_plain_options(cli):
    from support.paths import ROOT

    cli.command = [cli.command[0], "-m", "pytest"]
    done = cli(
        str(ROOT / "suites"),
        *("-k", "client_pin.wrong or basics", "-x", "-n", "2", "--kh-seed", "1"),
        *("--junitxml", "junit.xml", "-p", "no:cacheprovider", "--rootdir", str(ROOT)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ET.parse(cli.cwd / "junit.xml").getroot().find("testsuite").get("tests") == "9"
    assert summary_of(cli)["verdict"] == "pass"


@pytest.mark.long
def test_the_tests_of_a_rig_stay_on_one_worker(cli):
    bench = "".join(
        f'[[rig]]\nname = "{name}"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        for name in ("one", "two-b")
    )
    (cli.cwd / "bench.toml").write_text(bench)
    done = cli(
        "run", "--bench", "bench.toml", "--seed", "1", "--", "-n", "2", "-k", "basics or client_pin.wrong"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    workers: dict[str, set[str]] = {}
    for result in allure_results(cli.run_dir):
        rig = str(parameter(result, "rig"))
        thread = next(label["value"] for label in result["labels"] if label["name"] == "thread")
        workers.setdefault(rig, set()).add(thread.split("-")[0])
    assert {rig: len(threads) for rig, threads in workers.items()} == {"one": 1, "two-b": 1}
