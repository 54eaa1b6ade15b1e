"""`-n auto`: one worker a rig, and all that is done on a rig is done by one."""

from __future__ import annotations

import json
from collections import defaultdict
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import RigError
from harness.bench.bench import NAME
from harness.pytest_plugin.xdist import pytest_xdist_auto_num_workers, rig_ids, rig_of
from harness.run.head import run_head
from harness.run.session import Session
from harness.run.wanted import Wanted
from support.paths import ABSENT
from support.rig_commands import with_plugin

SUITE = """\
import os
import pytest

def note(rig):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{rig} {os.environ.get('PYTEST_XDIST_WORKER')}\\n")

@pytest.mark.parametrize("n", range(4))
def test_first(rig, n):
    note(rig.name)

def test_second(rig):
    note(rig.name)
"""
PLUGIN = """\
from pathlib import Path
from harness.bench.plugin_api import Suite, hookimpl

@hookimpl
def keyharness_suites():
    return [Suite("noting", "who is it?", Path(__file__).parent / "noting")]
"""


@pytest.fixture
def noting(cli):
    """`cli` with a suite that notes which worker runs which rig."""
    plugin = cli.state / "noting_plugin.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(PLUGIN)
    with_plugin(cli, "noting_plugin", plugin)
    for number in (1, 2):
        folder = cli.state / "plugins" / "noting"
        folder.mkdir(exist_ok=True)
        (folder / f"test_{number}.py").write_text(SUITE)
    cli.env |= {"NOTES": str(cli.state / "notes"), "KEYHARNESS_NODE": str(ABSENT)}
    # A name that is the beginning of another, and one with the character that joins parameters.
    cli.names = ["mini", "mini-1", "mini-1-b"]
    (cli.cwd / "three.toml").write_text(
        "".join(
            f'[[rig]]\nname = "{name}"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
            for name in cli.names
        )
    )
    return cli


def workers(cli):
    """rig -> the workers that its tests ran on."""
    found = defaultdict(list)
    for line in (cli.state / "notes").read_text().splitlines():
        rig, worker = line.split()
        found[rig].append(worker)
    return found


def test_auto_is_one_worker_a_rig(noting):
    done = noting("run", "noting", "--bench", "three.toml", "--seed", "1", "--", "-n", "auto")
    assert done.returncode == 0, done.stdout + done.stderr
    found = workers(noting)
    assert sorted(found) == noting.names
    for rig, used in found.items():
        assert len(used) == 10, "two files of five tests"
        assert len(set(used)) == 1, f"{rig} stays on its worker"
    assert sorted(used[0] for used in found.values()) == ["gw0", "gw1", "gw2"]
    summary = json.loads((noting.run_dir / "summary.json").read_text())
    assert summary["suites"]["noting"]["passed"] == 30


@pytest.mark.long
def test_auto_counts_the_rigs_that_were_asked_for_and_fewer_workers_will_do(noting):
    run = ("run", "noting", "--bench", "three.toml", "--seed", "1")
    assert noting(*run, "--rig", "mini", "--rig", "mini-1-b", "--", "-n", "auto").returncode == 0
    assert len({worker for used in workers(noting).values() for worker in used}) == 2
    (noting.state / "notes").unlink()
    assert noting(*run, "--", "-n", "2").returncode == 0
    found = workers(noting)
    assert all(len(set(used)) == 1 for used in found.values())
    assert {worker for used in found.values() for worker in used} == {"gw0", "gw1"}


def test_a_wrong_bench_is_a_usage_error_and_no_traceback(noting):
    (noting.cwd / "three.toml").write_text("[[rig]]\n")
    done = noting("run", "noting", "--bench", "three.toml", "--", "-n", "auto")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_other_tests_keep_xdists_own_count():
    here = SimpleNamespace(dir=ABSENT)
    config = SimpleNamespace(args=[str(ABSENT / "test_x.py")], invocation_params=here)
    assert pytest_xdist_auto_num_workers(config) is None


def test_the_rig_in_a_node_id():
    ids = rig_ids(["mini", "mini-1", "mini-1-b", "other"])
    assert ids == {"mini": "mini~", "mini-1": "mini-1~", "mini-1-b": "mini-1-b", "other": "other"}
    assert rig_of("a.py::test[mini-1-b-fido2.reset]", ids) == "mini-1-b"
    assert rig_of("a.py::test[mini-1~]", ids) == "mini-1"
    assert rig_of("a.py::test[mini~-1]", ids) == "mini"
    assert rig_of("a.py::test[mini-2]", ids) is None
    assert rig_of("a.py::test", ids) is None


@settings(deadline=None)  # a busy host is no failure
@given(st.sets(st.from_regex(NAME, fullmatch=True), min_size=1, max_size=6), st.data())
def test_no_two_rigs_share_a_node_id(rigs, data):
    """Whatever parameters follow."""
    ids = rig_ids(sorted(rigs))
    more = data.draw(st.lists(st.from_regex("[a-z0-9.-]{1,6}", fullmatch=True), max_size=2))
    for rig in rigs:
        assert rig_of(f"a.py::test[{'-'.join([ids[rig], *more])}]", ids) == rig


def test_a_worker_does_not_speak_to_the_boards_of_others(tmp_path):
    """Of several workers none makes a rig before a test of its own asks for it."""
    bench = tmp_path / "lab.toml"
    bench.write_text(
        '[[rig]]\nname = "mini-1"\nkey = "nitrokey3-mini"\ndriver = "usb"\nport = "99-9"\n'
        'expendable = true\n[rig.power]\ndriver = "lcus"\nport = "/dev/null/absent"\n'
    )
    head = run_head(Session(Wanted(bench, seed=1, workers=2)))
    assert head["evidence_kind"] == ["hardware"]
    (row,) = head["rigs"]
    assert (row["name"], row["key"], row["expendable"]) == ("mini-1", "nitrokey3-mini", True)
    with pytest.raises(RigError, match="mini-1"):
        run_head(Session(Wanted(bench, seed=1)))
