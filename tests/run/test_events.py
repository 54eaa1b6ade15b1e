"""A run as JSON lines; only what failed; an end at the first failure; a command that is told the end."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import pytest

from harness.run.notify import notify
from support.command import Cli

BAD, OTHER = "fido2.client_pin.wrong", "fido2.get_assertion"
BENCH = ("--bench", "late-replay.toml")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run of two operations on flash that loses writes, as lines, with a command that fails at its end."""
    cli = Cli(tmp_path_factory.mktemp("events"))
    command = 'sh -c "cp $1 told.json; echo $KEYHARNESS_EXIT_CODE > code; exit 7" told'
    operations = ("--operation", BAD, "--operation", OTHER)
    done = cli(
        "run", "endurance", *BENCH, *operations, "--seed", "1", "--cuts", "24", "--json", "--notify", command
    )
    return cli, done


@pytest.fixture(scope="module")
def lines(told):
    return [json.loads(line) for line in told[1].stdout.splitlines()]


def rows_of(run, name="results.jsonl"):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def failed(run):
    return {row["nodeid"] for row in rows_of(run) if row["outcome"] == "failed"}


def of(lines, event):
    return [line for line in lines if line["event"] == event]


def test_each_line_is_an_object_with_schema_event_and_time(told, lines):
    cli, done = told
    assert done.returncode == 1, done.stdout + done.stderr
    assert [line["schema"] for line in lines] == [1] * len(lines)
    assert [line["at_s"] for line in lines] == sorted(line["at_s"] for line in lines)
    assert (lines[0]["event"], lines[-1]["event"]) == ("start", "verdict")
    assert lines[0]["run"] == lines[-1]["run"] == cli.run_dir.name


def test_lines_tell_files_of_cases_failures_and_campaigns(told, lines):
    run = told[0].run_dir
    assert {one["nodeid"] for one in of(lines, "case")} == failed(run) != set()
    counted = Counter()
    for one in of(lines, "cases"):
        counted.update(one["counts"])
    assert counted == Counter(row["outcome"] for row in rows_of(run))
    ended = {one["operation"]: (one["cuts"], one["violations"]) for one in of(lines, "campaign")}
    kept = rows_of(run, "operations.jsonl")
    assert ended == {row["operation"]: (row["cuts"], row["violations"]) for row in kept}
    progress = of(lines, "progress")
    assert {one["operation"] for one in progress} == {BAD, OTHER}
    assert all(0 <= one["done"] <= one["total"] for one in progress)


def test_the_last_line_is_the_verdict_of_the_summary(told, lines):
    summary = json.loads((told[0].run_dir / "summary.json").read_text())
    last = lines[-1]
    assert (last["verdict"], last["exit_code"], last["cuts"]) == ("fail", 1, summary["cuts"])
    assert last["reasons"] == summary["reasons"]
    assert last["violations"] == len(summary["violations"])
    assert last["resume"] is None


def test_the_command_at_the_end_is_told_the_summary_and_changes_nothing(told):
    cli, done = told
    assert (cli.cwd / "told.json").read_bytes() == (cli.run_dir / "summary.json").read_bytes()
    assert (cli.cwd / "code").read_text() == "1\n"
    assert "--notify" in done.stderr
    assert "exit code 7; the verdict stays" in done.stderr


def test_only_what_failed_is_asked_again_with_the_same_options(told):
    cli, _ = told
    told_run = cli.run_dir
    cli.env["KEYHARNESS_SEED"] = "99"
    try:
        done = cli("run", "--last-failed", "-q")
    finally:
        del cli.env["KEYHARNESS_SEED"]
    assert done.returncode == 1, done.stdout + done.stderr
    (new,) = (path for path in (cli.cwd / "reports").iterdir() if path.is_dir() and path != told_run)
    head = json.loads((new / "run.json").read_text())
    assert (head["seed"], head["bench"]) == (1, "late-replay.toml")
    asked = {row["nodeid"] for row in rows_of(new)}
    assert asked == failed(told_run) != {row["nodeid"] for row in rows_of(told_run)}
    shutil.rmtree(new)


def test_where_nothing_failed_that_is_said(cli):
    run = cli.cwd / "reports" / "20261120-093012-7c1e"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    done = cli.inside("run", "--last-failed")
    assert done.returncode == 4
    assert "no case failed" in done.stderr


def test_the_first_failure_ends_the_run_and_it_can_be_continued(cli):
    operations = ("--operation", BAD, "--operation", OTHER)
    done = cli("run", "endurance", *BENCH, *operations, "--seed", "1", "--cuts", "24", "--fail-fast")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cut short" in done.stdout
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    asked = {op["operation"] for op in summary["operations"]}
    assert len(asked) == 1
    assert f"keyharness run --resume {cli.run_dir.name}" in done.stdout
    done = cli("run", "--resume", cli.run_dir.name)
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert (summary["complete"], len(summary["operations"])) == (True, 2), done.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3;", "exit code 3"),
        ("kill -9 $$;", "signal 9"),
        ("sleep 1000;", "ended after"),
        ("no-such-program", "127"),
    ],
)
def test_a_command_that_fails_is_a_warning(tmp_path, capfd, command, said):
    summary = tmp_path / "summary.json"
    summary.write_text("{}")
    notify(command, summary, 0, limit_s=0.2 if "sleep" in command else 60)
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert "the verdict stays" in err


def test_without_a_summary_nothing_is_called(tmp_path, capfd):
    notify(f"touch {tmp_path}/called;", tmp_path / "summary.json", 4)
    assert not (tmp_path / "called").exists()
    assert "left no summary" in capfd.readouterr().err


def test_a_reader_that_ends_does_not_end_the_run():
    from harness.base.clock import VirtualClock
    from harness.report.events import RunEvents

    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise AssertionError

    events = RunEvents(Gone(), clock=VirtualClock())
    events.waits("a.py::b", 30)
    events.waits("a.py::b", 30)
