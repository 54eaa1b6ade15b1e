"""Waits that end with a device event, whatever it says."""

from __future__ import annotations

import errno
import os
import select
import shutil
import socket
import subprocess
import sys
import threading

import pytest

from harness.base.errors import RigError
from harness.host.host import Host
from harness.host.network_namespace import is_deaf
from harness.host.uevents import Watch, wait_until
from support.limits import HUNG_S

POLL = select.poll
EVENT = b"add@/devices/usb1/1-1\0ACTION=add\0DEVPATH=/devices/usb1/1-1\0SUBSYSTEM=usb\0SEQNUM=4321\0"


class Wire(Host):
    """A host whose events are what a test sends."""

    def __init__(self):
        super().__init__()
        self.ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def open_uevents(self):
        return self._theirs


def test_what_is_so_already_is_not_waited_for():
    assert wait_until(Wire(), lambda: "there", 0) == "there"


class Polled:
    """select.poll, which keeps what each call returned: nothing if the limit was over."""

    def __init__(self):
        self._inner, self.returned = POLL(), []

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def poll(self, limit_ms):
        self.returned.append(self._inner.poll(limit_ms))
        return self.returned[-1]


def test_a_wait_ends_with_the_event_and_not_with_its_limit(monkeypatch):
    wire, seen, polled = Wire(), [], Polled()
    monkeypatch.setattr("harness.host.uevents.select.poll", lambda: polled)
    threading.Timer(0.05, lambda: (seen.append("x"), wire.ours.send(EVENT))).start()
    assert wait_until(wire, lambda: seen or None, 30) == ["x"]
    assert polled.returned
    assert all(polled.returned), "the limit was waited for"


@pytest.mark.parametrize(
    "message", [EVENT, b"libudev\0" + bytes(32), b"\xff"], ids=["kernel", "udev", "noise"]
)
def test_any_message_is_a_reason_to_look_again(message):
    wire, looks = Wire(), []

    def look():
        looks.append(1)
        if len(looks) == 1:
            wire.ours.send(message)
        return "there" if len(looks) == 2 else None

    assert wait_until(wire, look, 30) == "there"


def test_a_limit_without_an_event():
    assert wait_until(Wire(), lambda: None, 0.05) is None


def test_another_descriptor_makes_it_worth_looking_too():
    fired = os.eventfd(0)
    looks = []
    threading.Timer(0.05, lambda: os.eventfd_write(fired, 1)).start()
    found = wait_until(Wire(), lambda: "cut" if looks.append(1) or len(looks) > 1 else None, 30, also=fired)
    assert (found, len(looks)) == ("cut", 2)
    os.close(fired)


def test_an_overflow_is_only_a_reason_to_look(monkeypatch):
    class Full:
        """A socket whose queue has overflowed, as recv tells once (netlink(7), ENOBUFS)."""

        def __init__(self):
            self.answers = [OSError(errno.ENOBUFS, "overflow"), EVENT, BlockingIOError()]

        def recv(self, size):
            answer = self.answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer

    with Watch(Wire()) as watch:
        monkeypatch.setattr(watch, "_link", Full())
        assert watch.drain() == 1
        monkeypatch.undo()


def test_who_hears_nothing_is_told():
    class Deaf(Host):
        def open_uevents(self):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with pytest.raises(RigError, match="device events cannot be heard"):
        Watch(Deaf())


@pytest.mark.parametrize("as_whom", [["-U", "-r", "-n"], ["-U", "-r"]], ids=["own network", "host's network"])
def test_a_network_namespace_without_events_is_refused_at_once_and_the_hosts_is_not(as_whom):
    code = "from harness.host.uevents import Watch; from harness.host.host import Host; Watch(Host())"
    command = ["unshare", *as_whom, "--"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    done = subprocess.run(
        [*command, sys.executable, "-c", code], capture_output=True, text=True, timeout=HUNG_S, check=False
    )
    if as_whom[-1] == "-n":
        assert "a network namespace into which the kernel sends none" in done.stderr
        assert "--network host" in done.stderr
    else:
        assert "sends none" not in done.stderr


def test_a_kernel_that_does_not_tell_whose_a_namespace_is_is_believed(tmp_path):
    assert not is_deaf(tmp_path / "absent")
    (tmp_path / "net").touch()
    assert not is_deaf(tmp_path / "net")


def test_a_host_that_has_ended_is_an_error_and_no_endless_wait():
    wire = Wire()
    wire.ours.close()
    with pytest.raises(RigError, match="have ended"):
        wait_until(wire, lambda: None, 30)


def test_the_real_hosts_socket_can_be_opened_and_waited_on():
    try:
        watch = Watch(Host())
    except RigError as error:
        pytest.skip(f"no netlink here: {error.found}")
    with watch:
        assert watch.until(lambda: None, 0.05) is None
