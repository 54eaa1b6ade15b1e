"""Whether a device is still on the bus, as it and its hub say: what the kernel's control requests mean."""

from __future__ import annotations

import ctypes
import errno
import struct
from pathlib import Path

import pytest

from harness.host import host as host_module
from harness.host.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    node = tmp_path / "dev/bus/usb/001/004"
    node.parent.mkdir(parents=True)
    node.touch()
    return Host(tmp_path)


@pytest.mark.parametrize(
    ("code", "there"),
    [
        (None, True),
        (errno.EPIPE, True),
        (errno.ETIMEDOUT, True),
        (errno.ENODEV, False),
        (errno.EPROTO, False),
        (errno.ETIME, False),
        (errno.EILSEQ, False),
    ],
)
def test_a_stall_and_a_busy_key_are_there_and_errors_of_the_wire_are_not(host, monkeypatch, code, there):
    """A key that answers NAK for half a second is busy with its flash: it was taken for one that had gone."""

    def ioctl(*_: object) -> int:
        if code is not None:
            raise OSError(code, "")
        return 2

    monkeypatch.setattr(host_module.fcntl, "ioctl", ioctl)
    assert host.usb_answers(1, 4) is there


def test_a_node_that_is_not_there_is_a_device_that_has_gone(host):
    assert host.usb_answers(1, 5) is False


@pytest.mark.parametrize(
    ("answer", "sees"),
    [
        ("03010000", True),  # connected, enabled, powered: USB 2.0, table 11-21
        ("00010100", False),  # powered, nothing connected, and that is a change
        ("00000000", False),  # not powered
        (None, None),
    ],
)
def test_a_hub_says_whether_something_is_on_its_port(host, monkeypatch, answer, sees):
    asked = []

    def ioctl(node: int, request: int, transfer: bytes) -> int:
        *what, _, data = struct.unpack("@BBHHHIP", transfer)
        asked.append(what)
        if answer is None:
            raise OSError(errno.EPIPE, "")
        ctypes.memmove(data, bytes.fromhex(answer), 4)
        return 4

    monkeypatch.setattr(host_module.fcntl, "ioctl", ioctl)
    assert host.hub_sees_device(1, 4, 7) is sees
    assert asked == [[0xA3, 0, 0, 7, 4]]
    assert host.hub_sees_device(1, 5, 7) is None, "a hub that is not there"
