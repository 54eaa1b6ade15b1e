"""Keyharness, and clients of keys, on a real Linux USB stack: one virtual machine, its hubs, and twins on their ports.

What is asserted holds on any host, however busy: what was found and refused, and that the power really went. How fast
it went is not asked here.
"""

from __future__ import annotations

import re
import shutil

import pytest

from support.guest.fixtures import (
    HSM,
    LIAR,
    MINI,
    OTHER,
    RELAYED,
    bound,
    enrolled,
    keyharness,
    machine,
    mini,
)
from support.guest.machine import LIAR_PORT

pytestmark = pytest.mark.long
__all__ = ["machine", "mini"]


def test_the_kernel_binds_its_drivers_to_the_interfaces_of_each_key(machine):
    shown = bound(machine, MINI, OTHER, HSM, LIAR, RELAYED).splitlines()
    for port in (MINI, OTHER, LIAR, RELAYED):
        assert {f"{port}:1.0 0b -", f"{port}:1.1 03 usbhid"} <= set(shown), shown
    assert f"{HSM}:1.0 0b -" in shown
    assert len(shown) == 9
    assert machine.run("readlink", "/sys/bus/usb/devices/1-3:1.0/driver").out.endswith("/ftdi_sio\n")
    said = machine.run("dmesg").out
    assert re.search(
        r"usb 1-1\.1: New USB device found, idVendor=20a0, idProduct=42b2, bcdDevice= 1\.08", said
    )
    assert "USB HID v1.11 Device [Nitrokey Nitrokey 3] on usb-0000:00:04.0-1.1/input1" in said


def test_hubs_and_keys_are_listed_by_their_ports(machine):
    out = keyharness(machine, "list", "--hubs").out
    for port, shown in ((MINI, "20a0:42b2"), (HSM, "20a0:4230"), (LIAR, "20a0:42b2"), ("1-3", "0403:6001")):
        assert re.search(rf"^  {re.escape(port)} +{shown} ", out, re.MULTILINE), out


def test_doctor_finds_nothing_that_keeps_a_key_from_being_used(machine, mini):
    done = keyharness(machine, "doctor", "--bench", mini)
    assert "nodes of keys can be opened by you" in done.out, done.out
    assert " 0 faults" in done.out, done.out


def test_a_hub_that_does_not_cut_is_named(machine):
    bench = enrolled(machine, LIAR, "liar")
    done = keyharness(machine, "calibrate", "liar", "--bench", bench, "--cycles", "4")
    assert done.code == 3, done.out
    assert "hub 1-2 (0409:55aa) takes it off the bus and does not cut its power" in done.out
    assert LIAR_PORT not in machine.cuts


@pytest.mark.skipif(shutil.which("fido2-token") is None, reason="needs Debian's fido2-tools")
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs Debian's openssh-client")
def test_fido2_token_and_ssh_use_the_key(machine):
    listed = machine.run("fido2-token", "-L").out
    (node,) = re.findall(
        r"^(/dev/hidraw\d+):", machine.run("sh", "-c", _NODE.format(port=OTHER)).out, re.MULTILINE
    )
    assert f"{node}: vendor=0x20a0, product=0x42b2 (Nitrokey Nitrokey 3)" in listed, listed
    assert "FIDO_2_1" in machine.run("fido2-token", "-I", node).out
    done = machine.run("ssh-keygen", "-q", "-t", "ed25519-sk", "-N", "", "-f", "id", "-O", f"device={node}")
    assert done.code == 0, done.out
    signed = machine.run("sh", "-c", "echo words > m && ssh-keygen -q -Y sign -f id -n file m && cat m.sig")
    assert "BEGIN SSH SIGNATURE" in signed.out, signed.out


_NODE = "for node in /sys/bus/usb/devices/{port}/*/*/hidraw/*; do echo /dev/$(basename $node):; done"
