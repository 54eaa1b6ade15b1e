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
SWITCH = "/sys/bus/usb/devices/1-1:1.0/1-1-port{port}/disable"
"""The kernel's switch of a port of the hub: 1 is off."""
KEYS = [
    PluggedKey(1),
    PluggedKey(2),
    PluggedKey(3, "nitrokey-hsm2"),
    PluggedKey(LIAR_PORT),
    PluggedKey(RELAY_PORT),
]


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A running machine, with the keys that the module names in PLUGGED, or KEYS; the test is skipped without QEMU."""
    keys: list[PluggedKey] = getattr(request.module, "PLUGGED", KEYS)
    try:
        made_of = parts()
    except MissingPart as error:
        if os.environ.get("KEYHARNESS_GUEST") == "required":
            pytest.fail(f"the virtual machine cannot be made: {error}")
        pytest.skip(str(error))
    with contextlib.closing(Machine(made_of, keys, kvm.works(made_of))) as running:
        print(f"the guest started within {running.cpu_s():.0f} s of CPU time")
        bound(running, *(key.address for key in keys))
        yield running
        print(f"the guest took {running.cpu_s():.0f} s of CPU time in all")


def bound(machine: Machine, *ports: str) -> str:
    """Wait for keys: they boot beside the guest, and on a busy host later than it. A line for each interface."""
    done = machine.run("module", "support.guest.plugged", *ports)
    assert done.code == 0, done.out + machine.run("dmesg").out
    return done.out


def shell(machine: Machine, script: str) -> str:
    """Run a script that must succeed; returns what it wrote."""
    done = machine.run("sh", "-ec", script)
    assert done.code == 0, done.out
    return done.out


def hidraw(machine: Machine, port: str) -> str:
    """The node of the key on a port."""
    (node,) = shell(machine, f"basename /sys/bus/usb/devices/{port}/*/*/hidraw/*").split()
    return f"/dev/{node}"


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


TOUCH = """
[rig.touch]
driver = "none"
"""
"""The keys are touched by themselves."""


def touched(machine: Machine, port: str, name: str, *more: str) -> str:
    """`enrolled`, of a rig that gives touches."""
    file = enrolled(machine, port, name, *more)
    assert machine.run("sh", "-c", f"echo '{TOUCH}' >> {file}").code == 0
    return file


@pytest.fixture(scope="module")
def mini(machine: Machine) -> str:
    """A bench with the first key, which is touched by itself."""
    return touched(machine, MINI, "mini")


def on_bus(machine: Machine, port: str) -> str:
    """The number of what is on a port; "" if nothing is."""
    return machine.run("sh", "-c", f"cat /sys/bus/usb/devices/{port}/devnum 2>/dev/null").out.strip()
