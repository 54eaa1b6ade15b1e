"""Feature reports by hidraw: the bytes of the ioctls, and a key that goes."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.errors import RigError
from harness.host.host import Host
from harness.model.transport import BusIdentity, Transports
from harness_nitrokey_pro.client import NitrokeyPro
from harness_rigs.usb.feature import FeatureNode, open_feature
from support.pro import ADMIN, SECRET, pro

# Linux, include/uapi/linux/hidraw.h: _IOC(_IOC_WRITE | _IOC_READ, 'H', 0x06 and 0x07, 65).
SET, GET = 0xC0414806, 0xC0414807


class TwinHost(Host):
    """A host whose hidraw node is the HID side of a twin."""

    def __init__(self, rig):
        super().__init__(Path("/"))
        self.rig, self.denied, self.asked = rig, False, []
        self.wire = rig.transports.endpoint("hid-feature")

    def open_hidraw(self, node: Path) -> int:
        if self.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return os.open(os.devnull, os.O_RDWR)

    def ioctl(self, fd: int, request: int, buffer: bytearray) -> int:
        os.fstat(fd)
        self.asked.append(request)
        if request == SET:
            assert buffer[0] == 0
            self.wire.send(bytes(buffer[1:]))
            return len(buffer)
        assert request == GET
        report = self.wire.get()
        buffer[:] = b"\0" + report
        return 1 + len(report)


class PluggedKey(SimpleNamespace):
    """What a node needs of the key on a port."""

    def __init__(self, host):
        super().__init__(
            rig="pro-1", host=host, left_us=None, broken=None, device="the device", lost=0, kept=[]
        )

    def keep(self, connection):
        self.kept.append(connection)

    def note_lost(self):
        self.lost += 1


class Node(Transports):
    def __init__(self, rig, node: FeatureNode):
        super().__init__(rig)
        self.node = node

    def identity(self):
        return BusIdentity("usb:1-1", 0x20A0, 0x4108, "Nitrokey Pro")

    def endpoint(self, name):
        return self.node


@pytest.fixture
def key():
    rig = pro()
    rig.power.on()
    return PluggedKey(TwinHost(rig))


@pytest.fixture
def hid(key):
    rig = key.host.rig
    rig.transports = Node(rig, open_feature(key, Path("/dev/hidraw0")))
    return NitrokeyPro(rig)


def test_the_client_of_the_nitrokey_pro_goes_over_it(key, hid):
    hid.log_in_admin(ADMIN)
    hid.write_slot(0x10, b"usb", SECRET, 0)
    assert [hid.code(0x10), hid.code(0x10)] == [755224, 287082]
    assert set(key.host.asked) == {SET, GET}


def test_a_key_that_loses_its_power_meanwhile_is_gone(key, hid):
    hid.log_in_admin(ADMIN)
    key.host.rig.board.rail.arm_op(1, 0.5)
    with pytest.raises(OSError) as caught:
        hid.write_slot(0x10, b"usb", SECRET, 0)
    assert caught.value.errno == errno.ENODEV
    assert (key.lost, key.broken) == (1, "the device")


@pytest.mark.parametrize("number", [errno.EIO, errno.EPIPE, errno.ENODEV])
def test_what_the_kernel_says_of_a_key_that_went(key, monkeypatch, number):
    node = open_feature(key, Path("/dev/hidraw0"))

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(key.host, "ioctl", fail)
    with pytest.raises(OSError) as caught:
        node.get()
    assert caught.value.errno == errno.ENODEV


def test_a_transfer_that_runs_out_of_time_is_no_loss(key, monkeypatch):
    node = open_feature(key, Path("/dev/hidraw0"))

    def fail(*_):
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(key.host, "ioctl", fail)
    with pytest.raises(OSError, match="does not answer on the bus") as caught:
        node.send(bytes(64))
    assert caught.value.errno == errno.ETIMEDOUT
    assert key.broken is None


def test_it_is_closed_with_the_power(key):
    node = open_feature(key, Path("/dev/hidraw0"))
    assert key.kept == [node]
    node.power_went()
    node.close()
    assert node.is_over
    with pytest.raises(OSError, match="switched off"):
        node.send(bytes(64))


def test_a_node_that_is_not_ours_to_open_is_the_rigs_fault(key):
    key.host.denied = True
    with pytest.raises(RigError, match="hidraw0"):
        open_feature(key, Path("/dev/hidraw0"))
