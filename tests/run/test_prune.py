"""Old runs are removed, and no run that goes on or can be continued unless that is asked for."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.host.locks import Lock
from harness.run.ledger_entry import began
from harness.run.prune import Pruning, age, prune

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ENDED = {"complete": True, "interrupted": False}


@pytest.fixture
def reports(own_state):
    return own_state / "reports"


def run(reports, name, days=0.0, finish=ENDED):
    path = reports / name
    (path / "logs").mkdir(parents=True)
    (path / "logs" / "a.log").write_text("x" * 100)
    when = f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    (path / "run.json").write_text(json.dumps({"started": when}))
    if finish is not None:
        (path / "finish.json").write_text(json.dumps({**finish, "ended": when}))
    return path


def removed(reports, dry_run=False, **how):
    return {one.run for one in prune(reports, Pruning(**how), NOW, dry_run=dry_run) if one.kept_for is None}


def test_the_newest_stay(reports):
    paths = {name: run(reports, name) for name in ("a", "b", "c")}
    assert removed(reports, keep=2, dry_run=True) == {"a"}
    assert paths["a"].exists()
    assert removed(reports, keep=2) == {"a"}
    assert [path.exists() for path in paths.values()] == [False, True, True]
    assert {path.name for path in reports.iterdir()} == {"b", "c"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["ended", "interrupted", "killed"])), max_size=6),
    st.none() | st.integers(0, 4),
    st.none() | st.integers(0, 60),
    st.booleans(),
)
def test_what_is_removed_is_old_enough_finished_and_not_among_the_newest(
    own_state, runs, keep, days, unfinished
):
    reports = own_state / f"reports-{os.urandom(4).hex()}"
    finish = {"ended": ENDED, "interrupted": {"complete": False, "interrupted": True}, "killed": None}
    for number, (old, how) in enumerate(runs):
        run(reports, f"r{number}", old, finish[how])
    if keep is None and days is None:
        with pytest.raises(CallerError):
            removed(reports)
        return
    older = None if days is None else timedelta(days=days)
    gone = removed(reports, keep=keep, older_than=older, unfinished=unfinished)
    newest = len(runs) - (keep or 0)
    assert gone == {
        f"r{number}"
        for number, (old, how) in enumerate(runs)
        if (unfinished or how == "ended")
        and (keep is None or number < newest)
        and (days is None or old > days)
    }


def test_a_run_that_goes_on_stays_whatever_is_asked_for(reports):
    held, own = run(reports, "a", finish=None), run(reports, "b", finish=None)
    began(own.absolute())
    with Lock(f"run {held.absolute()}") as lock:
        lock.take("run")
        fates = {
            one.run: one.kept_for for one in prune(reports, Pruning(0, unfinished=True), NOW, dry_run=False)
        }
    assert fates == {"a": "it goes on", "b": "it goes on"}


def test_what_is_no_run_stays_and_what_a_killed_prune_left_goes(reports):
    kept = run(reports.with_name("elsewhere"), "a")
    run(reports, "b")
    (reports / "link").symlink_to(kept)
    (reports / "benches").mkdir()
    (reports / "history.jsonl").write_text("")
    (reports / ".pruned-old").mkdir()
    assert removed(reports, keep=0) == {"b"}
    assert {path.name for path in reports.iterdir()} == {"link", "benches", "history.jsonl"}
    assert kept.exists()


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1.5d", "9" * 30 + "w"])
def test_a_wrong_age_is_explained(text):
    with pytest.raises(CallerError, match="--older-than"):
        age(text)


def test_the_command(cli):
    for name in ("a", "b"):
        run(cli.cwd / "reports", name)
    done = cli.inside("reports", "prune", "--keep", "1", "--dry-run", "--json")
    found = json.loads(done.stdout)
    assert (found["schema"], found["command"], found["dry_run"]) == (1, "reports prune", True)
    assert {one["run"]: one["kept_for"] for one in found["runs"]} == {"a": None, "b": "one of the 1 newest"}
    done = cli.inside("reports", "prune", "--keep", "1")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 of 2 runs removed, 0.0 MB")
    assert not (cli.cwd / "reports" / "a").exists()
    done = cli.inside("reports", "prune")
    assert done.returncode == 4
    assert "--keep" in done.stderr
