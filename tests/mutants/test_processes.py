"""Trials side by side: what they tell, how they end, and which processor time is theirs."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from harness.mutants.processes import MEMORY, run_side_by_side
from support.limits import HUNG_S


@pytest.fixture
def run(tmp_path):
    """What one job told that ran in a process of its own."""

    def ran(work, limit_s=HUNG_S):
        ((number, told),) = run_side_by_side(iter([(7, work)]), 1, limit_s, tmp_path / "log")
        assert number == 7
        return told

    return ran


def test_what_came_to_its_end_has_told_everything(run):
    told = run(lambda tell: (tell(stage="a"), tell(stage="b", found=[1])))
    assert (told.entries, told.ended) == ({"stage": "b", "found": [1]}, "")


def test_what_was_killed_did_not_come_to_its_end(run):
    """The kernel kills what takes all memory: its mutant was counted as equivalent."""

    def work(tell):
        tell(stage="home")
        os.kill(os.getpid(), signal.SIGKILL)

    told = run(work)
    assert (told.entries, told.ended) == ({"stage": "home"}, "signal 9 ended it")
    assert run(lambda tell: os._exit(3)).ended == "it ended with exit code 3"


def test_an_error_is_told(run):
    told = run(lambda tell: 1 // 0)
    assert "ZeroDivisionError" in told.entries["error"]
    assert told.ended == ""


def test_a_loop_without_end_is_ended(run):
    def work(tell):
        while True:
            pass

    assert run(work, 1).ended == "1 s of processor time were over"


def test_what_takes_memory_without_end_is_out_of_memory_and_not_the_host(run):
    """The parent has no limit of its own afterwards."""

    def work(tell):
        tell(stage="home")
        # Memory that nobody writes to counts, and costs the host nothing. Without the limit the job comes to its end.
        kept = [bytes(MEMORY // 4) for _ in range(5)]
        tell(taken=len(kept))

    before = resource.getrlimit(resource.RLIMIT_DATA)
    told = run(work)
    assert "MemoryError" in told.entries["error"]
    assert "taken" not in told.entries
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_process_of_others_may_have_any_name(run):
    """Names of processes are bytes: a cut UTF-8 name of 15 bytes is none in UTF-8."""
    named = Path("/proc/self/comm")
    before = named.read_bytes()
    named.write_bytes(b"Schl\xc3")
    try:
        assert run(lambda tell: tell(done=True)).entries == {"done": True}
    finally:
        named.write_bytes(before.strip())
