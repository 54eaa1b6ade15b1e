"""Budgets, goals and searches as their users ask for them: a process, its exit code and its words."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from support.emulator.emulated import TINY

CHANGE, LOGIN = "fido2.client_pin.change", "fido2.get_assertion"


@pytest.fixture
def cli(cli):
    cli.env["COLUMNS"] = "200"
    return cli


def run(cli, *more, operations=(CHANGE,)):
    chosen = [part for name in operations for part in ("--operation", name)]
    return cli("run", "endurance", "--seed", "1", *chosen, *more)


def operations_of(cli):
    return json.loads((cli.run_dir / "summary.json").read_text())["operations"]


def test_a_search_by_time_says_what_it_proves(cli):
    del cli.env["KEYHARNESS_NO_PICTURES"]
    done = run(cli, "--search", "time", "--confidence", "90", "--below", "20%")
    assert done.returncode == 0, done.stdout + done.stderr
    (op,) = operations_of(cli)
    assert op["bound"]["confidence"] == 0.9
    assert op["bound"]["below"] <= 0.2
    assert op["window_ms"] > 0
    assert op["exhaustive"] is False
    words = f"{CHANGE}: no violation in {op['covering_cuts']} evenly spread cuts: below "
    assert words in done.stdout
    assert "would have been found (95 %)" in done.stdout
    drawn = {path.name.split(".")[-2] for path in (cli.run_dir / "pictures").iterdir()}
    assert drawn == {"cut-map", "risk"}
    row = json.loads((cli.run_dir / "evidence.jsonl").read_text().splitlines()[3])
    again = cli("replay", row["id"])
    assert again.returncode == 0, again.stderr
    assert f"outcome    {row['outcome']}" in again.stdout


def test_a_goal_that_is_not_reached_is_named(cli):
    done = run(cli, "--search", "time", "--cuts", "12", "--confidence", "99", "--below", "1%")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "INCONCLUSIVE" in done.stdout
    assert not list((cli.run_dir / "pictures").iterdir()), "the environment said that none are wanted"
    (op,) = operations_of(cli)
    said = f"the goal of below 1 % (99 %) was not reached in {op['covering_cuts']} evenly spread cuts"
    assert f"{CHANGE} on nk3-mini: {said}" in done.stdout


def test_a_budget_in_cuts_is_spent_on_all_together(cli):
    done = run(cli, "--cuts", "60", "--search", "random", operations=(CHANGE, LOGIN))
    assert done.returncode == 0, done.stdout + done.stderr
    one, other = operations_of(cli)
    # Each also has the run that nobody cut.
    assert one["cuts"] + other["cuts"] == 60 + 2
    assert min(one["cuts"], other["cuts"]) >= 1 + 21
    assert "test_where_outcomes_are_new" in (cli.run_dir / "results.jsonl").read_text()


@pytest.mark.long
def test_the_same_budget_gives_the_same_bytes(cli, tmp_path):
    evidence = []
    for number in range(2):
        cli.cwd = tmp_path / str(number)
        cli.cwd.mkdir()
        assert run(cli, "--cuts", "40", operations=(CHANGE, LOGIN)).returncode == 0
        evidence.append((cli.run_dir / "evidence.jsonl").read_bytes())
    assert evidence[0] == evidence[1]


def test_a_budget_in_time_is_kept_and_what_it_leaves_out_is_no_walk(cli):
    done = run(cli, "--budget", "1s", operations=("fido2.reset",))
    assert done.returncode == 0, done.stdout + done.stderr
    (op,) = operations_of(cli)
    assert op["cuts"] >= 64
    assert op["exhaustive"] == ("every modelled flash operation" in done.stdout)


def test_a_budget_without_a_bound_is_a_sample_and_says_so(cli):
    """--cuts on a walk leaves operations without a bound: also one whose share is 0."""
    done = run(cli, "--cuts", "1", operations=(CHANGE, LOGIN))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS (sample: 2 of 2 operations have no bound)" in done.stdout
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert summary["proof"] == "sample"
    assert [(op["proof"], op["cuts"]) for op in summary["operations"]] == [("sample", 0), ("sample", 1)]
    assert sum(op["cuts"] for op in summary["operations"]) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("required", "more", "code", "said"),
    [
        ("bounded", ("--cuts", "20"), 3, "--require bounded: 1 of 1 operation is not bounded"),
        ("bounded", ("--cuts", "20", "--search", "time"), 0, "PASS (bounded: below "),
    ],
)
def test_a_pass_needs_the_proof_that_is_required(cli, required, more, code, said):
    done = run(cli, "--require", required, *more)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout


def test_what_it_would_cost_is_said_beforehand(cli):
    done = run(cli, "--plan", "--search", "time", "--confidence", "99", "--below", "0.1%")
    assert done.returncode == 0, done.stderr
    assert "hours" in done.stdout
    # 4,603 covering cuts, as many others, and a run without a cut; each has the same erases.
    assert "about 9207 cuts (at most 36825)" in done.stdout
    told = re.search(
        r"about ([\d,]+) erases of its hottest page; at 5,000 a key that takes (\d+) keys", done.stdout
    )
    erases = int(told[1].replace(",", ""))
    assert erases % 9207 == 0
    assert int(told[2]) == -(-erases // 5000)
    assert list(cli.cwd.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--search", "bisect", "hybrid"),
        ("--budget", "soon", "90s"),
        ("--confidence", "0", "between"),
        ("--below", "x", "between"),
        ("--require", "sample", "exhaustive"),
    ],
)
def test_what_cannot_be_meant_is_refused(cli, option, value, word):
    done = run(cli, option, value)
    assert done.returncode == 4
    assert option in done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr


BENCH = f"""\
[[rig]]
name = "tiny"
key = "fido2"
driver = "emulator"
expendable = true
command = [
    "{sys.executable}", "{TINY}", "--state", "{{state}}",
    "--udp", "{{port}}:{{answer_port}}", "--fault", "neither",
]
transport = "ctaphid-udp"
"""


@pytest.mark.long
def test_a_killed_live_run_goes_on_where_it_was(cli):
    """Killed among the repetitions of an abnormal cut: they are not begun anew, and the search goes on."""
    (cli.cwd / "tiny.toml").write_text(BENCH)
    asked = ["run", "endurance", "--seed", "1", "--bench", "tiny.toml", "--cuts", "16"]
    asked += ["--operation", "fido2.make_credential.over"]
    process = subprocess.Popen(
        [*cli.command, *asked],
        cwd=cli.cwd,
        env=cli.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    rows: list[bytes] = []
    while len(rows) < 9:
        assert process.poll() is None, "it is over before it could be killed"
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            rows = [
                line for path in cli.cwd.glob("reports/*/journal/*.over.jsonl") for line in path.open("rb")
            ]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (journal,) = cli.cwd.glob("reports/*/journal/*.over.jsonl")
    kept = journal.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    done = cli("run", "--resume", cli.run_dir.name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert journal.read_bytes().startswith(kept)
    judged = [json.loads(line) for line in journal.read_text().splitlines()]
    searched = [row for row in judged if row["stream"] != "replay"]
    assert len(searched) == 1 + 16
    assert len(judged) - len(searched) == 5, "each kind of finding is made again five times, and no more"
    assert "came back" in done.stdout
