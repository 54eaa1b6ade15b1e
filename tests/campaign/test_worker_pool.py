"""Workers that die or hang cost one item, say how, and nothing else."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from fido2.ctap import CtapError

from harness.base.errors import HarnessFault, RigError
from harness.campaign.worker_pool import Died, WorkerPool


def run(work, count, processes=2, limit_s=30.0):
    got = {}
    WorkerPool(work, processes, limit_s).run(count, got.__setitem__)
    return got


def test_all_items_are_worked_on_in_other_processes():
    got = run(lambda index: (index * index, os.getpid()), 100)
    assert [got[i][0] for i in range(100)] == [i * i for i in range(100)]
    assert os.getpid() not in {pid for _, pid in got.values()}


def test_a_crash_costs_only_its_own_item():
    def work(index):
        if index in (3, 17):
            os.kill(os.getpid(), signal.SIGABRT)
        return index

    got = run(work, 40)
    assert got.pop(3) == Died("died of SIGABRT")
    assert got.pop(17) == Died("died of SIGABRT")
    assert got == {i: i for i in range(40) if i not in (3, 17)}


def test_an_exit_is_told_from_a_crash():
    assert run(lambda index: os._exit(25), 1) == {0: Died("exited with 25")}


def test_a_hang_is_ended():
    def work(index):
        if index == 1:
            time.sleep(60)
        return index

    got = run(work, 4, limit_s=0.3)
    assert got == {0: 0, 1: Died("hung for 0 s"), 2: 2, 3: 3}


@pytest.mark.parametrize(
    "number", [signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT, signal.SIGXCPU]
)
def test_what_the_host_did_is_not_the_keys_fault(tmp_path, number):
    """Stopped with Ctrl-Z, ended by earlyoom or by a ulimit: the item is worked on again."""

    def work(index):
        seen = tmp_path / str(index)
        if index == 2 and not seen.exists():
            seen.touch()
            os.kill(os.getpid(), number)
        return index

    assert run(work, 5, limit_s=0.5) == {i: i for i in range(5)}


def test_a_host_that_ends_every_worker_is_named():
    with pytest.raises(RigError, match="ended a worker process 3 times") as caught:
        run(lambda index: os.kill(os.getpid(), signal.SIGTERM), 1)
    assert "SIGTERM" in str(caught.value.found)


def test_an_error_reaches_the_caller_whole():
    def work(index):
        raise HarnessFault("broken", found="x", expected="y")

    with pytest.raises(HarnessFault) as caught:
        run(work, 3)
    assert caught.value.found == "x"


def children():
    """Of this process, zombies among them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = stat.read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(stat.parent.name)
    return found


def test_no_process_is_left_behind():
    def stop(index, value):
        raise KeyboardInterrupt

    # Other tests of this process may have children that live on.
    before = children()
    with pytest.raises(KeyboardInterrupt):
        WorkerPool(lambda index: index, 2).run(50, stop)
    assert children() <= before


def test_an_error_of_a_library_says_what_it_was():
    """CtapError cannot be unpickled; its text arrives all the same."""

    def work(index):
        raise CtapError(0x3D)

    with pytest.raises(HarnessFault, match="a worker failed") as caught:
        run(work, 1)
    assert "INTEGRITY_FAILURE" in str(caught.value)


def test_a_worker_logs_nothing_and_its_parent_goes_on_logging(caplog):
    def work(index):
        return logging.getLogger("fido2.hid").isEnabledFor(logging.ERROR)

    assert run(work, 3) == {0: False, 1: False, 2: False}
    logging.getLogger("fido2.hid").error("seen")
    assert caplog.messages == ["seen"]
