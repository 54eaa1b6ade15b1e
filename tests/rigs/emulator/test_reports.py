"""Firmware that is reached by feature reports, and by NXP's bootloader: processes, without a change of the core."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.errors import Refused
from harness_nitrokey_pro.client import NitrokeyPro
from harness_rigs.emulator.frame_link import FrameLink
from harness_rigs.emulator.link import Frames
from harness_transports.feature import hid_feature
from harness_transports.mboot import mboot
from support.emulator import quick_mboot
from support.emulator.emulated import make_rig
from support.limits import HUNG_S
from support.pro import ADMIN, SECRET

PATIENT_S = 300
"""The most that a rig waits: a busy host may take long for a start and for an answer."""
PRO = [
    *(sys.executable, "-m", "harness", "twin", "nitrokey-pro", "--state", "{state}"),
    *("--speed", "max", "--feature-tcp", "{port}"),
]
BOOTLOADER = [sys.executable, "-S", "-E", str(Path(quick_mboot.__file__)), "{port}"]


@pytest.fixture
def rig_of(request):
    def make(command, transport):
        rig = make_rig(command, transport=transport, ready_s=PATIENT_S, answer_s=PATIENT_S)
        request.addfinalizer(rig.close)
        rig.power.on()
        rig.wait_until_up()
        return rig

    return make


def test_a_key_with_feature_reports_keeps_its_slot_over_a_cut(rig_of):
    rig = rig_of(PRO, "feature-tcp")
    key = NitrokeyPro(rig)
    key.log_in_admin(ADMIN)
    key.write_slot(0x10, b"kept", SECRET, 0)
    assert [mark.name for mark in rig.tap.marks][:2] == ["request-sent", "response"]
    before = hid_feature(rig)
    rig.power.off()
    with pytest.raises(OSError) as gone:
        before.get()
    assert gone.value.errno == errno.ENODEV
    rig.power.on()
    rig.wait_until_up()
    assert NitrokeyPro(rig).code(0x10) == 755224, "the first code of RFC 4226, appendix D"


def test_a_bootloader_over_hid_takes_data_and_keeps_them_over_a_cut(rig_of):
    rig = rig_of(BOOTLOADER, "mboot-tcp")
    chip = mboot(rig)
    assert chip.command(7, 1).words == (0, quick_mboot.FIRST)
    chip.command(4, 0, 4, data_follows=True)
    chip.write(b"\x02\x00")
    chip.write(b"\x03\x4b")
    assert chip.response().status == 0
    with pytest.raises(Refused, match="10000"):
        chip.command(0x66)
    rig.power.off()
    with pytest.raises(OSError) as gone:
        chip.command(7, 1)
    assert gone.value.errno == errno.ENODEV
    rig.power.on()
    rig.wait_until_up()
    assert mboot(rig).command(7, 1).words == (0, 0x4B030002)


@pytest.fixture
def slow():
    """A link to a firmware that has not read yet: a frame does not fit into the buffer of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    process, ours_of_it = socket.socketpair()

    def link(answer_s):
        made = FrameLink(None, SimpleNamespace(pidfd=process.fileno()), 1, answer_s)
        made._frames = Frames(made, ours)
        return made

    yield SimpleNamespace(link=link, firmware=theirs, die=ours_of_it.close)
    for one in (ours, theirs, process, ours_of_it):
        one.close()


def test_a_data_phase_waits_for_a_firmware_that_reads_later(slow):
    frames = [bytes([n]) * 60_000 for n in range(4)]
    taken = bytearray()

    def read():
        while len(taken) < sum(2 + len(one) for one in frames):
            taken.extend(slow.firmware.recv(1 << 16))

    reader = threading.Timer(0.05, read)
    reader.start()
    link = slow.link(HUNG_S)
    for one in frames:
        link.send(one)
    reader.join(HUNG_S)
    assert bytes(taken) == b"".join(len(one).to_bytes(2, "big") + one for one in frames)


def test_a_firmware_that_never_reads_is_waited_for_with_a_limit(slow):
    with pytest.raises(OSError, match="does not read") as stuck:
        slow.link(0.01).send(bytes(60_000))
    assert stuck.value.errno == errno.ETIMEDOUT


def test_a_firmware_that_dies_before_it_reads_is_gone(slow):
    slow.die()
    with pytest.raises(OSError, match="gone") as gone:
        slow.link(HUNG_S).send(bytes(60_000))
    assert gone.value.errno == errno.ENODEV
