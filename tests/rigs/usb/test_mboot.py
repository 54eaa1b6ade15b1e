"""NXP's bootloader by hidraw: reports go behind their number, and the chip may go at any time."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.clock import MonotonicClock
from harness.model.tap import Tap
from harness_rigs.answers import AnswerWait
from harness_rigs.usb.hid import MbootNode, open_reports
from harness_transports.mboot import Mboot
from support.limits import HUNG_S

DONE = bytes.fromhex("03000c00 a0000002 00000000 0b000000")
"""Generic response: success of command 0B."""


@pytest.fixture
def wire():
    """The kernel's end of a hidraw node, and what a rig knows of the key."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    lost = []
    untouched = SimpleNamespace(due_us=None, press_if_due=lambda: None)
    key = SimpleNamespace(
        rig="nk3xn",
        left_us=None,
        broken=None,
        device="the chip",
        kept=[],
        host=SimpleNamespace(open_hidraw=lambda node: os.dup(theirs.fileno())),
        answers=AnswerWait(MonotonicClock(), untouched, HUNG_S),
        cut_fd=lambda: None,
        note_lost=lambda: lost.append(True),
    )
    key.keep = key.kept.append
    node = open_reports(key, Path("/dev/hidraw0"), MbootNode)
    theirs.close()
    yield SimpleNamespace(chip=ours, key=key, node=node, lost=lost)
    node.close()
    ours.close()


def test_a_command_goes_as_one_report_with_its_number(wire):
    wire.chip.send(DONE.ljust(60, b"\0"))
    done = Mboot(wire.node, Tap(MonotonicClock())).command(0x0B)
    assert (done.tag, done.words) == (0xA0, (0, 0x0B))
    assert wire.chip.recv(64) == bytes.fromhex("01000400 0b000000")
    assert wire.key.kept == [wire.node]


def test_a_chip_that_goes_is_gone_from_the_bus(wire):
    wire.chip.close()
    with pytest.raises(OSError) as gone:
        wire.node.receive()
    assert gone.value.errno == errno.ENODEV
    assert (wire.lost, wire.key.broken) == ([True], "the chip")
