"""The running machine of the tests, and benches for its keys: a module that imports `machine` boots one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from support.guest import kvm
from support.guest.channel import Done
from support.guest.machine import LIAR_PORT, RELAY_PORT, Machine, PluggedKey
from support.guest.parts import MissingPart, parts

DESTROY = ("--expendable", "this key may be destroyed")
MINI, OTHER, HSM, LIAR, RELAYED = "1-1.1", "1-1.2", "1-1.3", f"1-2.{LIAR_PORT}", "1-4"
KEYS = [
    PluggedKey(1),
    PluggedKey(2),
    PluggedKey(3, "nitrokey-hsm2"),
    PluggedKey(LIAR_PORT),
    PluggedKey(RELAY_PORT),
]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    try:
        made_of = parts()
    except MissingPart as error:
        if os.environ.get("KEYHARNESS_GUEST") == "required":
            pytest.fail(f"the virtual machine cannot be made: {error}")
        pytest.skip(str(error))
    with contextlib.closing(Machine(made_of, KEYS, kvm.works(made_of))) as running:
        bound(running)
        yield running


def bound(machine: Machine) -> str:
    """Wait for all keys: they boot beside the guest, and on a busy host later than it. A line for each interface."""
    done = machine.run("module", "support.guest.plugged", MINI, OTHER, HSM, LIAR, RELAYED)
    assert done.code == 0, done.out + machine.run("dmesg").out
    return done.out


def keyharness(machine: Machine, *words: str) -> Done:
    return machine.run("keyharness", *words)


def enrolled(machine: Machine, port: str, name: str, *more: str) -> str:
    """A bench of this name with the key on that port; returns the file."""
    file = f"{name}.toml"
    done = keyharness(machine, "enroll", "--bench", file, "--pick", port, "--name", name, *DESTROY, *more)
    assert done.code == 0, done.out
    # A busy host lets a key take long to boot.
    assert machine.run("sed", "-i", r"0,/^port = /s//up_s = 120\nport = /", file).code == 0
    return file


@pytest.fixture(scope="module")
def mini(machine: Machine) -> str:
    """A bench with the first key, which is touched by itself."""
    file = enrolled(machine, MINI, "mini")
    touch = r'printf "\n[rig.touch]\ndriver = \"command\"\non = [\"true\"]\noff = [\"true\"]\n" >> mini.toml'
    assert machine.run("sh", "-c", touch).code == 0
    return file


def on_bus(machine: Machine, port: str) -> str:
    """The number of what is on a port; "" if nothing is."""
    return machine.run("sh", "-c", f"cat /sys/bus/usb/devices/{port}/devnum 2>/dev/null").out.strip()
