"""Processes of an emulator behind a shell or setsid: they end with the power, and a signal reaches the firmware."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from harness_rigs.emulator import host as host_program
from harness_rigs.emulator.process import ProcessHost, death, was_killed
from support.limits import HUNG_S

LIMIT_S = 10.0
FIRMWARE = """
import os, signal, sys, time
mine, hears = sys.argv[1], "signal" in sys.argv
out = os.open(mine, os.O_WRONLY)
if hears:
    signal.signal(signal.SIGUSR1, lambda *_: os.write(out, b"touched\\n"))
os.write(out, b"up\\n")
while True:
    signal.pause()
"""


WITHOUT = """
import importlib.util
spec = importlib.util.spec_from_file_location("host", {path!r})
host = importlib.util.module_from_spec(spec)
spec.loader.exec_module(host)
host._fork_in_namespace = lambda: None
host.main()
"""


@pytest.fixture(params=["namespace", "without"])
def host(request, monkeypatch, tmp_path):
    """A host whose emulators get PID namespaces, and one that may not make any."""
    if request.param == "without":
        program = tmp_path / "host.py"
        program.write_text(WITHOUT.format(path=host_program.__file__))
        monkeypatch.setattr("harness_rigs.emulator.process.PROGRAM", program)
    made = ProcessHost("auto")
    if request.param == "namespace" and not made.isolated:
        made.close()
        pytest.skip("this process may not make namespaces")
    yield made
    made.close()


class Told:
    """What the firmware writes into a pipe with a name; at its end when no process has it open."""

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def next(self):
        """Return what is written next; b"" when the last writer has gone; None if nothing comes."""
        if not select.select([self._fd], [], [], LIMIT_S)[0]:
            return None
        return os.read(self._fd, 100)


@pytest.fixture
def told(tmp_path):
    return Told(tmp_path / "told")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_end_to_the_harness(number):
    """`timeout` and a terminal that closes signal every process of the group: the rig is still closed in order."""
    host = ProcessHost("none")
    try:
        os.kill(host._process.pid, number)
        output = os.open(os.devnull, os.O_WRONLY)
        argv = [sys.executable, "-ISc", "import os, signal; os.kill(os.getpid(), int(signal.SIGTERM))"]
        process = host.spawn(argv, dict(os.environ), Path("/"), output)
        os.close(output)
        assert process.wait(HUNG_S)
        assert os.WTERMSIG(process.reap()) == signal.SIGTERM, "what it starts takes the signal again"
    finally:
        host.close()


def spawn(host, told, tmp_path, how, *more):
    firmware = tmp_path / "firmware.py"
    firmware.write_text(FIRMWARE)
    run = f"{sys.executable} {firmware} {told.path} {' '.join(more)}"
    shells = {
        "shell": f"{run}; true",
        "setsid": f"setsid {run} & wait",
        "orphan": f"(setsid {run} &) ; sleep 1000",
    }
    output = os.open(os.devnull, os.O_WRONLY)
    try:
        return host.spawn(["sh", "-c", shells[how]], dict(os.environ), tmp_path, output)
    finally:
        os.close(output)


@pytest.mark.parametrize("how", ["shell", "setsid", "orphan"])
def test_all_of_it_ends_with_the_power(host, told, tmp_path, how):
    process = spawn(host, told, tmp_path, how)
    assert told.next() == b"up\n"
    assert was_killed(process.kill())
    assert told.next() == b"", "the firmware outlived the cut"


def test_in_a_namespace_the_rest_has_ended_before_the_end_is_seen(host, told, tmp_path, request):
    if "without" in request.node.name:
        pytest.skip("without a namespace the rest ends when the program is reaped")
    process = spawn(host, told, tmp_path, "orphan")
    assert told.next() == b"up\n"
    process.signal(signal.SIGKILL)
    assert process.wait(LIMIT_S)
    assert os.read(told._fd, 100) == b""
    process.reap()


@pytest.mark.parametrize("how", ["shell", "setsid"])
def test_a_touch_reaches_the_firmware_and_ends_no_shell(host, told, tmp_path, how):
    process = spawn(host, told, tmp_path, how, "signal")
    assert told.next() == b"up\n"
    process.signal(signal.SIGUSR1)
    assert told.next() == b"touched\n"
    assert process.alive
    process.kill()


def test_how_the_program_ended_is_told(host, told, tmp_path):
    output = os.open(os.devnull, os.O_WRONLY)
    for script, said in (("exit 3", "exited by itself with code 3"), ("kill -SEGV $$", "crashed: SIGSEGV")):
        process = host.spawn(["sh", "-c", script], dict(os.environ), tmp_path, output)
        assert process.wait(LIMIT_S)
        assert death(process.kill()) == said
    with pytest.raises(OSError) as error:
        host.spawn([str(tmp_path / "absent")], {}, tmp_path, output)
    assert error.value.errno == errno.ENOENT
    os.close(output)
