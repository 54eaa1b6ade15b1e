"""A Ctrl-C is obeyed even where Python itself forgets it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.limits import HUNG_S

# An exception that leaves a finaliser is printed and forgotten, and so is one that leaves a callback of C code.
FORGETFUL = """
import os, signal
from harness.campaign.worker_pool import WorkerPool
from harness.base import signals

signals.keep()

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(100))

Careless()
print("went on", flush=True)
try:
    WorkerPool(lambda index: index, 1).run(10, lambda index, value: print("worked", flush=True))
except KeyboardInterrupt:
    print("stopped")
"""


def test_a_forgotten_interrupt_stops_the_work_at_its_next_step():
    done = subprocess.run([sys.executable, "-c", FORGETFUL], capture_output=True, text=True, timeout=HUNG_S)
    assert "Exception ignored in" in done.stderr
    assert done.stdout.splitlines() == ["went on", "stopped"]


IMPATIENT = """
import os, signal, sys
from harness.base import signals

signals.keep()
for name in sys.argv[1:]:
    try:
        os.kill(os.getpid(), getattr(signal, name))
    except KeyboardInterrupt:
        print(name, signals.interrupted(), flush=True)
"""


@pytest.mark.parametrize(
    ("sent", "obeyed", "code"),
    [
        (["SIGTERM"], 1, 0),
        (["SIGHUP", "SIGTERM", "SIGHUP"], 3, 0),
        (["SIGINT", "SIGTERM"], 2, 0),
        (["SIGINT", "SIGINT"], 1, 2),
        (["SIGTERM", "SIGINT"], 1, 2),
    ],
)
def test_each_signal_is_a_ctrl_c_and_a_second_ctrl_c_ends_at_once(sent, obeyed, code):
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, *sent], capture_output=True, text=True, timeout=HUNG_S
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.splitlines() == [f"{name} True" for name in sent[:obeyed]]
