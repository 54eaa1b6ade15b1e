"""The cutter process: on time, honest about when, and gone with its parent."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.cutter import measure, table
from harness.host.cutter import Cutter, lateness_us
from harness.model.cut_action import Kill, Measure, Write
from harness.model.instant import CutInstant
from support.limits import HUNG_S


@pytest.fixture
def cutter():
    made = Cutter()
    yield made
    made.close()


def soon(milliseconds=10):
    return CutInstant.planned(time.monotonic_ns() // 1000 + milliseconds * 1_000)


def test_it_acts_while_its_parent_cannot_run():
    program = """
import os, signal, time
from harness.host.cutter import Cutter
from harness.model.cut_action import Write
from harness.model.instant import CutInstant
cutter = Cutter()
cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000 + 50_000), Write(1, b"cut\\n"))
os.kill(os.getpid(), signal.SIGSTOP)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert os.waitid(os.P_PID, parent.pid, os.WSTOPPED | os.WNOWAIT).si_code == os.CLD_STOPPED
        assert parent.stdout.readline() == "cut\n"
        assert Path(f"/proc/{parent.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        parent.kill()


def test_its_errors_are_measured_idle_and_busy_beside_others():
    result = measure(2)
    for load in ("idle", "busy"):
        assert result[load].keys() == {"cutter", "time.sleep", "threading.Timer"}
        assert all(0 <= errors["p50"] <= errors["max"] for errors in result[load].values())
    assert any("cutter" in line for line in table(result))


def test_it_kills_through_a_pidfd_and_says_when(cutter):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pidfd = os.pidfd_open(process.pid)
        ordered = soon()
        cutter.arm(ordered, Kill(pidfd))
        fired = cutter.collect()
        over_us = time.monotonic_ns() // 1000
        assert select.select([pidfd], [], [], 0)[0], "its act is over when the process is"
        assert process.wait(HUNG_S) == -signal.SIGKILL
        os.close(pidfd)
    assert fired.error == 0
    assert fired.planned_us == ordered.planned_us <= fired.fired_us < fired.acted_us <= over_us + 1
    assert not cutter.armed


def test_it_writes_bytes_to_what_was_opened_later(cutter):
    read, write = os.pipe()
    cutter.arm(soon(), Write(write, b"\xa0\x01\x01\xa2"))
    os.close(write)
    assert cutter.collect().error == 0
    assert os.read(read, 16) == b"\xa0\x01\x01\xa2"
    os.close(read)


def test_an_order_that_waits_is_late_by_when_it_was_taken(cutter):
    """A hub whose lock another rig holds, a board that is busy: a pipe that is full."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, bytes(65536))
    os.set_blocking(write, True)
    cutter.arm(soon(), Write(write, b"0"))
    os.close(write)
    assert not select.select([cutter], [], [], 0.1)[0], "it waits"
    waited_us = time.monotonic_ns() // 1000
    os.read(read, 65536)
    cut = cutter.collect()
    os.close(read)
    assert cut.fired_us < waited_us < cut.acted_us
    assert cut.late_us == cut.acted_us - cut.armed_us > waited_us - cut.armed_us


def test_what_has_gone_already_is_reported(cutter):
    process = subprocess.Popen([sys.executable, "-c", ""])
    pidfd = os.pidfd_open(process.pid)
    process.wait()
    cutter.arm(soon(), Kill(pidfd))
    assert cutter.collect().error != 0
    os.close(pidfd)


def test_it_can_be_called_off_and_used_again(cutter):
    cutter.arm(soon(60_000), Measure())
    assert cutter.disarm() is None
    assert cutter.disarm() is None
    cutter.arm(soon(), Measure())
    assert cutter.collect().late_us >= 0


def test_calling_off_too_late_tells_what_happened(cutter):
    cutter.arm(soon(-1), Measure())
    select.select([cutter._link], [], [], HUNG_S)
    assert cutter.disarm() is not None


def test_it_inherits_nothing_and_dies_with_its_parent():
    program = """
import os, sys, time
from harness.host.cutter import Cutter
from harness.model.cut_action import Measure
from harness.model.instant import CutInstant
os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
cutter = Cutter()
cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000 + 60_000_000), Measure())
print(cutter.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        pid = int(parent.stdout.readline())
        pidfd = os.pidfd_open(pid)
        kinds = {
            os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{pid}/fd")
        }
        parent.kill()
    assert kinds == {"socket", "/dev/null"}
    assert len(kinds) == 2
    assert select.select([pidfd], [], [], HUNG_S)[0], "it outlived its parent"
    os.close(pidfd)


def test_the_cutter_of_this_host_is_measured():
    late = lateness_us(3)
    assert len(late) == 3
    assert all(us >= 0 for us in late)
