"""What ports, nodes, hubs and whole hosts do that is rare on a desk, on a real Linux USB stack.

`script/lab --test` runs it.
"""

from __future__ import annotations

import re
import shutil

import pytest

from support.guest.channel import Done, GuestDied
from support.guest.fixtures import (
    DESTROY,
    MINI,
    OTHER,
    SWITCH,
    enrolled,
    hidraw,
    keyharness,
    machine,
    mini,
    on_bus,
    shell,
)
from support.guest.hung import hung_device
from support.guest.machine import LIAR_PORT, PLAIN_PORT, RELAY_PORT, Machine, PluggedKey

__all__ = ["machine", "mini"]

SWITCHED = range(1, 8)
PLUGGED = [PluggedKey(port) for port in (*SWITCHED, LIAR_PORT, RELAY_PORT, PLAIN_PORT)]
EMPTIED, MOVED = 7, 6
SUSPENDED = """
cd /sys/bus/usb/devices/{port}/power
echo 0 > autosuspend_delay_ms
echo auto > control
for try in $(seq 300); do
    read -r now < runtime_status
    test $now = suspended && exit 0
    sleep 0.1
done
cat runtime_status
exit 1
"""
SAID = """
mkfifo kernel
stdbuf -oL dmesg --follow > kernel &
while read -r line; do
    case $line in *"{what}"*) break ;; esac
done < kernel
kill $!
"""
"""Wait until the kernel says something."""


@pytest.fixture(scope="module")
def emptied(machine: Machine) -> str:
    """A port of the hub from which the key was taken, for good."""
    machine.pull(EMPTIED)
    return f"1-1.{EMPTIED}"


def switch(on: bool, *ports: int) -> str:
    """A script that switches ports at once, by the kernel's own files."""
    return "".join(f"echo {int(not on)} > {SWITCH.format(port=port)} &\n" for port in ports) + "wait\n"


def uuids(machine: Machine, *ports: str) -> dict[str, str]:
    done = machine.run("module", "support.guest.uuids", *ports)
    assert done.code == 0, done.out
    return dict(line.split() for line in done.out.splitlines())


def node(machine: Machine, port: str) -> int:
    """The number of the key's hidraw node."""
    return int(hidraw(machine, port).removeprefix("/dev/hidraw"))


def test_ten_keys_are_there_and_those_that_are_powered_at_once_come_back_as_they_were(machine):
    every = [key.address for key in PLUGGED]
    before, cuts = uuids(machine, *every), dict(machine.cuts)
    assert len(set(before.values())) == 10
    shell(machine, switch(False, *SWITCHED))
    shell(machine, switch(True, *SWITCHED))
    assert uuids(machine, *every) == before
    assert {port: machine.cuts.get(port, 0) - cuts.get(port, 0) for port in SWITCHED} == dict.fromkeys(
        SWITCHED, 1
    )


def test_a_key_whose_port_is_off_for_an_instant_comes_back_each_time(machine):
    """As a dip of the supply: off and on again without a rest."""
    before = uuids(machine, OTHER)
    for cut in range(1, 6):
        cuts = machine.cuts.get(2, 0)
        shell(machine, switch(False, 2) + switch(True, 2))
        assert uuids(machine, OTHER) == before
        assert machine.cuts[2] == cuts + 1, cut


def test_nodes_that_change_their_numbers_are_no_other_keys(machine, mini):
    shown = {1: node(machine, MINI), 2: node(machine, OTHER)}
    first, second = sorted(shown, key=lambda port: -shown[port])
    shell(machine, switch(False, 1, 2))
    shell(machine, switch(True, first))
    uuids(machine, f"1-1.{first}")
    shell(machine, switch(True, second))
    uuids(machine, f"1-1.{second}")
    assert {1: node(machine, MINI), 2: node(machine, OTHER)} == {1: shown[2], 2: shown[1]}
    done = keyharness(machine, "inspect", "mini", "--bench", mini)
    assert done.code == 0, done.out


def test_a_suspended_key_wakes_for_its_client_and_is_the_same_device(machine):
    before, number = uuids(machine, OTHER), on_bus(machine, OTHER)
    shell(machine, SUSPENDED.format(port=OTHER))
    assert uuids(machine, OTHER) == before
    shell(machine, SUSPENDED.format(port=OTHER))
    assert on_bus(machine, OTHER) == number
    shell(machine, f"echo on > /sys/bus/usb/devices/{OTHER}/power/control")


def test_a_program_that_drives_a_pico_rig_has_a_key_of_the_kernels(machine, mini):
    cuts = machine.cuts.get(1, 0)
    done = machine.run("module", "support.guest.serve_client", mini, MINI)
    assert done.code == 0, done.out
    for said in ("gone True", "enumerated anew True", "registered", "served until told, code 0"):
        assert said in done.out, done.out
    assert machine.cuts[1] > cuts


def test_a_key_on_another_port_is_named_with_the_port_and_is_not_switched(machine, emptied):
    bench = enrolled(machine, f"1-1.{MOVED}", "moved")
    shell(machine, f"sed -i 's/^up_s = .*/up_s = 10/' {bench}")
    machine.pull(MOVED)
    machine.plug(EMPTIED)
    uuids(machine, emptied)
    cuts = dict(machine.cuts)
    done = keyharness(machine, "inspect", "moved", "--bench", bench)
    assert done.code, done.out
    assert emptied in done.out, done.out
    assert machine.cuts == cuts
    machine.pull(EMPTIED)
    machine.plug(MOVED)
    done = keyharness(machine, "inspect", "moved", "--bench", bench)
    assert done.code == 0, done.out


def test_a_device_that_hangs_in_its_enumeration_keeps_no_other_key_from_its_owner(machine, mini, emptied):
    """It is on the same hub. The kernel holds the hub's lock until it has given up: the switch waits for it."""
    cuts = machine.cuts.get(1, 0)
    shell(machine, "dmesg --clear")
    with hung_device(machine.folder / f"port{EMPTIED}"):
        shell(machine, SAID.format(what=f"usb {emptied}: new"))
        done = keyharness(machine, "power", "off", "mini", "--bench", mini)
        assert done.code == 0, done.out
        assert machine.cuts[1] == cuts + 1
        assert f"usb {emptied}: device descriptor read/64, error -110" in machine.run("dmesg").out
    done = keyharness(machine, "power", "on", "mini", "--bench", mini)
    assert done.code == 0, done.out
    done = keyharness(machine, "inspect", "mini", "--bench", mini)
    assert done.code == 0, done.out


def test_a_hub_that_is_switched_by_requests_alone_takes_the_power_and_is_measured_or_what_it_does_is_named(
    machine, mini
):
    """The kernel is not told, and may give the power back when it hears of the key again (hub_port_connect)."""
    shell(machine, f'sed \'s/^driver = "hub"/&\\nway = "request"/\' {mini} > request.toml')
    cuts = machine.cuts.get(1, 0)
    done = keyharness(machine, "calibrate", "mini", "--bench", "request.toml", "--cycles", "4")
    assert machine.cuts[1] > cuts
    measured = done.out.count("gone after") == 4 and machine.cuts[1] - cuts >= 4
    # An emulated guest is slow: its switch is measured, and no figures are kept of it.
    slow = "too loaded to measure" in done.out or "not fit for cuts" in done.out
    given_back = "came back while its port was switched off" in done.out
    assert (done.code, measured) == (0, True) or (done.code == 3 and ((measured and slow) or given_back)), (
        done.out
    )
    assert "does not cut" not in done.out
    done = keyharness(machine, "power", "on", "mini", "--bench", mini)
    assert done.code == 0, done.out


def confined(machine: Machine, *words: str) -> Done:
    return machine.run("module", "support.guest.confined", *words)


def test_doctor_names_each_node_that_a_user_without_a_rule_may_not_open(machine, mini):
    # This host's Python may be in root's own folder.
    shell(machine, "chmod a+rx /root")
    done = confined(machine, "nobody", "doctor", "--bench", mini)
    assert done.code, done.out
    assert f"/dev/hidraw{node(machine, MINI)} is not readable by you (crw------- root): rig mini" in done.out
    assert re.search(r"/1-1-port1/disable is not writable by you \(-rw-r--r-- root\): rig mini", done.out), (
        done.out
    )


def test_a_container_into_which_no_event_comes_is_told_so_at_once(machine, mini):
    cuts = dict(machine.cuts)
    done = confined(machine, "container", "inspect", "mini", "--bench", mini)
    assert done.code == 3, done.out
    assert "the kernel's device events cannot be heard" in done.out
    assert machine.cuts == cuts


def test_a_guest_whose_disk_is_full_says_so_and_goes_on(machine):
    full = machine.run("sh", "-c", "head -c 2G /dev/zero > filled")
    assert full.code
    assert "No space left on device" in full.out
    late = ("--bench", "late.toml", "--pick", OTHER, "--name", "late", *DESTROY)
    done = keyharness(machine, "enroll", *late)
    assert done.code, done.out
    assert "No space left on device" in done.out, done.out
    assert "Traceback" not in done.out
    shell(machine, "rm -f filled late.toml")
    done = keyharness(machine, "enroll", *late)
    assert done.code == 0, done.out


def test_a_guest_that_panics_is_named_with_the_command_and_the_kernels_last_words(machine):
    """The last of this file: the machine is gone."""
    with pytest.raises(GuestDied) as told:
        machine.run("sh", "-c", "echo c > /proc/sysrq-trigger")
    assert "in: sh -c echo c" in str(told.value)
    assert "Kernel panic - not syncing: sysrq triggered crash" in str(told.value)
    with pytest.raises(GuestDied, match="is not asked again"):
        machine.run("true")
    # QEMU, at its end, removes its own.
    shutil.rmtree(machine.folder, ignore_errors=True)
