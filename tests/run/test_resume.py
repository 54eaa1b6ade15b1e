"""A run that is killed at any instant goes on where it was, and comes to the same end."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.base.archive import unpacked
from harness.bench.registry import discover
from harness.evidence.chain import linked
from harness.evidence.journal import Journal, read_journal
from harness.evidence.journal_archive import NAME
from harness.host.locks import Lock
from harness.model.row import Judged

# On a flash layer that loses data: the findings have to come out the same, too.
ASKED = [
    *("run", "endurance", "--seed", "1", "--bench", "late-replay.toml"),
    *("--operation", "fido2.client_pin.wrong", "--operation", "fido2.get_assertion"),
]
CLOCKS = ("run", "started", "duration_s", "cuts_per_s", "distinct_states_per_s")


def summary(cli):
    """The summary of the only run, less what no two runs share."""
    table = json.loads((cli.run_dir / "summary.json").read_text())
    for name in CLOCKS:
        del table[name]
    for operation in table["operations"]:
        del operation["duration_s"]
    return table


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Where the run is that nobody disturbs."""
    from support.command import Cli

    cli = Cli(tmp_path_factory.mktemp("whole"))
    done = cli(*ASKED)
    assert done.returncode == 1, done.stdout + done.stderr
    return cli


@pytest.fixture(scope="module")
def whole(undisturbed):
    """Its evidence, summary and exit code."""
    return (undisturbed.run_dir / "evidence.jsonl").read_bytes(), summary(undisturbed), 1


def killed_at(cli, arguments, rows, *, later_s=0.0, all_of_it=True):
    """Start a command and SIGKILL it as soon as `rows` rows are judged; True if it was still going on.

    Returns when nothing of it is left.
    """
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [*cli.command, *arguments],
        cwd=cli.cwd,
        env=cli.env,
        stdout=theirs,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        while judged(cli) < rows:
            try:
                process.wait(timeout=0.01)
                return False
            except subprocess.TimeoutExpired:
                continue
        try:
            process.wait(timeout=max(later_s, 0.001))
            return False
        except subprocess.TimeoutExpired:
            pass
        if all_of_it:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        return True
    finally:
        # The pipe is at its end when the last process that could write to it has closed it. One that was killed while
        # it was being forked closes its copy of a lock only after that.
        with os.fdopen(ours, "rb") as pipe:
            pipe.read()
        for path in Path(cli.env["KEYHARNESS_RUNTIME"]).glob("*.lock"):
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)


def judged(cli):
    """How many rows the journals of the only run hold."""
    return sum(path.read_bytes().count(b"\n") for path in cli.cwd.glob("reports/*/journal/*.jsonl"))


def go_on(cli):
    (run,) = {path.parent.name for path in cli.cwd.glob("reports/*/run.json")}
    return cli("run", "--resume", run)


def check_same(cli, whole, done):
    evidence, expected, code = whole
    assert done.returncode == code, done.stdout + done.stderr
    assert (cli.run_dir / "evidence.jsonl").read_bytes() == evidence
    assert summary(cli) == expected
    suite = ET.parse(cli.run_dir / "junit.xml").getroot().find("testsuite")
    cases = {json.loads(row)["nodeid"] for row in (cli.run_dir / "results.jsonl").read_bytes().splitlines()}
    assert (suite.get("tests"), suite.get("failures")) == (str(len(cases)), "2")


def stages(whole):
    """Rows after which a run is killed: nothing judged yet, one row, in each campaign, between both, all judged."""
    operations = [json.loads(row)["operation"] for row in whole[0].splitlines()]
    first, total = operations.count(operations[0]), len(operations)
    return 0, 1, first // 2, first, (first + total) // 2, total


@pytest.mark.long
@pytest.mark.parametrize("later_s", [0.0, 0.15])
def test_a_run_that_is_killed_at_each_stage_ends_as_the_undisturbed_one(cli, whole, later_s):
    """Each time it is taken up it is killed again, as soon as it is there or a little later."""
    hits = 0
    for rows in stages(whole):
        runs = [path.parent.name for path in cli.cwd.glob("reports/*/run.json")]
        if not killed_at(cli, ["run", "--resume", runs[0]] if runs else ASKED, rows, later_s=later_s):
            break
        hits += 1
    assert hits >= 5, "it was over before it could be killed"
    if (cli.run_dir / "finish.json").exists():
        # It was hit when all that was left was the report.
        done = cli("report")
        assert "FAIL" in done.stdout
        assert (cli.run_dir / "evidence.jsonl").read_bytes() == whole[0]
        assert summary(cli) == whole[1]
    else:
        check_same(cli, whole, go_on(cli))


@pytest.mark.long
def test_the_run_ends_when_only_its_parent_is_killed(cli, whole):
    assert killed_at(cli, ASKED, 70, all_of_it=False)
    finish = json.loads((cli.run_dir / "finish.json").read_text())
    assert finish["interrupted"], "the child ends as by Ctrl-C"
    check_same(cli, whole, go_on(cli))


def test_a_killed_run_is_in_the_history_and_no_judged_cut_is_judged_again(cli, whole):
    assert killed_at(cli, ASKED, 70)
    rows = judged(cli)
    before = {path: path.read_bytes() for path in cli.run_dir.glob("journal/*.jsonl")}
    (key,) = json.loads(cli("history", "--json").stdout)["keys"]
    assert 0 < key["cuts"] <= rows
    table = json.loads(cli("history", key["id"], "--json").stdout)
    assert [run["verdict"] for run in table["runs"]] == ["killed"]
    check_same(cli, whole, go_on(cli))
    table = json.loads(cli("history", key["id"], "--json").stdout)
    assert [run["verdict"] for run in table["runs"]] == ["fail"], "the same run, with its end"
    assert sum(row["cuts"] for row in table["outcomes"]) == whole[0].count(b"\n")
    for path, data in before.items():
        kept = data[: data.rfind(b"\n") + 1]
        # A run that came to its end may have packed its journals.
        packed = {} if path.exists() else unpacked(path.with_name(NAME), bytes_max=1 << 30, files_max=9)
        now = linked(packed[path.name]) if path.name in packed else path.read_bytes()
        assert now.startswith(kept), "what was judged is where it was"
        rows = [json.loads(text)["id"] for text in now.splitlines()]
        assert len(rows) == len(set(rows))


@pytest.mark.long
@pytest.mark.parametrize("left", [b'{"acknowledged":tr', b"\0" * 512 + b"\n"], ids=["torn line", "rubbish"])
def test_what_a_kill_left_half_written_is_cut_off(cli, whole, left):
    assert killed_at(cli, ASKED, 200)
    (journal,) = cli.run_dir.glob("journal/*.jsonl")
    for path, more in ((journal, left), (cli.run_dir / "results.jsonl", b'{"nodeid":"endurance/test_pow')):
        with path.open("ab") as file:
            file.write(more)
    check_same(cli, whole, go_on(cli))


def test_a_run_that_came_to_its_end_is_not_taken_up(undisturbed, whole):
    done = go_on(undisturbed)
    assert done.returncode == 4
    assert summary(undisturbed) == whole[1]
    assert "came to its end" in done.stderr


def test_a_run_is_taken_up_with_the_bench_it_was_begun_with(cli):
    bench = cli.cwd / "mine.toml"
    ours = discover().bench_file("late-replay.toml")
    bench.write_text(ours.read_text())
    assert killed_at(cli, [*ASKED[:5], "mine.toml", *ASKED[6:]], 1)
    bench.write_text(bench.read_text() + "# another comment\n")
    done = go_on(cli)
    assert done.returncode == 4
    assert "another bench" in done.stderr


def test_a_run_that_goes_on_is_not_taken_up(cli, monkeypatch):
    assert killed_at(cli, ASKED, 1)
    monkeypatch.setenv("KEYHARNESS_RUNTIME", cli.env["KEYHARNESS_RUNTIME"])
    with Lock(f"run {cli.run_dir}") as lock:
        lock.take("run")
        done = go_on(cli)
    assert done.returncode == 3
    assert f"held by process {os.getpid()}" in done.stderr


def test_options_do_not_go_with_resume(cli):
    done = cli("run", "--resume", "x", "--seed", "2")
    assert done.returncode == 4
    assert "only --reports" in done.stderr


def test_another_plan_is_not_continued(tmp_path):
    """The ids of the rows have to be those of the plan."""
    from harness.base.errors import CallerError
    from harness.campaign.common import CampaignTerms
    from harness.campaign.home import go_home
    from harness.campaign.walk import Campaign
    from harness.twin.model import TwinOptions
    from harness.twin.rig import TwinRig

    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    operation = rig.key.operations["fido2.client_pin.wrong"]
    earlier = [Judged({"id": "kh1:nk3/fido2.client_pin.wrong:1:op1.before:ffffff"}, {})]
    with pytest.raises(CallerError, match="journal of fido2"):
        Campaign(rig, operation, go_home(rig), CampaignTerms(earlier=earlier)).run()


def test_a_row_and_its_note_are_one_line(tmp_path):
    path = tmp_path / "one.jsonl"
    with Journal(path) as journal:
        journal.keep([Judged({"id": "a", "z": 1}, {"writes": True}), Judged({"id": "b"}, {})])
    assert [one.note for one in read_journal(path)] == [{"writes": True}, {}]
    assert len(path.read_text().splitlines()) == 2
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kept = read_journal(path)
        assert len(kept) == whole[:length].count(b"\n")
        assert path.read_bytes() == whole[: whole[:length].rfind(b"\n") + 1]
