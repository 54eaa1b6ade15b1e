"""A twin that is a HID device of its own host, and Python tools of others on a real Linux USB stack.

`script/lab --test` runs it. The tools run in the environments that they are installed in on this host, by
`pipx install pynitrokey` and `pipx install labgrid`. In the guest nothing of this host's /tmp and /run can be read.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from support.guest.fixtures import MINI, OTHER, SWITCH, bound, hidraw, keyharness, machine, shell
from support.guest.machine import Machine, PluggedKey
from support.paths import ROOT

__all__ = ["machine"]

PLUGGED = [PluggedKey(1), PluggedKey(2)]
GUEST = ROOT / "tests" / "support" / "guest"
CYCLES = 6


def python_of(program: str) -> str:
    """The Python that a program is run by; the test is skipped where there is no such program."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here")
    return Path(found).read_text().splitlines()[0].removeprefix("#!")


@pytest.fixture(scope="module")
def uuid(machine: Machine) -> str:
    """Of the first key, as nitropy lists it."""
    python_of("nitropy")
    listed = machine.run(str(shutil.which("nitropy")), "nk3", "list").out
    assert len(re.findall(r"/dev/hidraw\d+: Nitrokey 3 [0-9A-F]{32}", listed)) == 2, listed
    (found,) = re.findall(rf"{hidraw(machine, MINI)}: Nitrokey 3 ([0-9A-F]+)", listed)
    return str(found)


def test_nitropy_reads_a_keys_status_and_tests_it(machine, uuid):
    nitropy = (str(shutil.which("nitropy")), "nk3", "--path", hidraw(machine, MINI))
    said = machine.run(*nitropy, "status").out
    assert re.search(r"Init status: +ok", said), said
    # All but the certificate, of which only the vendor has the private key.
    tested = machine.run(*nitropy, "test").out
    failures = [line for line in tested.splitlines() if "FAILURE" in line]
    assert len(failures) == 1, tested
    assert "Unexpected FIDO2 cert hash" in failures[0]
    assert uuid in tested


def test_nitropy_updates_a_key_over_its_bootloaders_serial_port(machine, uuid):
    """It wants to see one key alone."""
    trusted = ("--key", "test", "--seed", str(PluggedKey(1).seed))
    made = keyharness(machine, "firmware", "make", "--version", "1.9.0", *trusted, "new.zip")
    (test_key,) = re.findall(r"test key +([0-9a-f]+)", made.out)
    shell(machine, f"echo 1 > {SWITCH.format(port=2)}; dmesg --clear")
    nitropy = (python_of("nitropy"), str(GUEST / "nitropy_signer.py"), test_key, "nk3")
    done = machine.run(*nitropy, "update", "--confirm", "new.zip")
    assert done.code == 0, done.out
    assert "v1.9.0" in done.out, done.out
    kernel = machine.run("dmesg").out
    assert f"cdc_acm {MINI}:1.0: ttyACM" in kernel
    assert "bcdDevice= 1.09" in kernel
    listed = machine.run(str(shutil.which("nitropy")), "nk3", "list").out
    assert uuid in listed
    shell(machine, f"echo 0 > {SWITCH.format(port=2)}")
    bound(machine, OTHER)


@pytest.mark.skipif(
    None in (shutil.which("fido2-token"), shutil.which("ssh-keygen")),
    reason="no fido2-token or ssh-keygen here",
)
def test_a_twin_that_is_a_hid_device_of_its_own_host_is_used_by_libfido2_and_ssh(machine):
    done = machine.run(
        "module",
        "support.guest.uhid_client",
        "fido2-token -I $NODE",
        "ssh-keygen -q -t ed25519-sk -N '' -f on-uhid -O device=$NODE",
        "echo words > of-uhid; ssh-keygen -q -Y sign -f on-uhid -n file of-uhid; cat of-uhid.sig",
    )
    assert done.code == 0, done.out
    assert "FIDO_2_1" in done.out
    assert "BEGIN SSH SIGNATURE" in done.out
    assert "gone True" in done.out


def test_a_wait_for_a_key_returns_beside_labgrids(machine):
    """What each took is written, and docs/lab.md has it; a busy host says nothing about it, so no limit is asked."""
    labgrid = python_of("labgrid-client")
    done = machine.run(labgrid, str(GUEST / "labgrid_client.py"), OTHER, str(CYCLES))
    assert done.code == 0, done.out
    for whose in ("keyharness", "labgrid"):
        assert re.search(rf"^{whose}: median .* of {CYCLES}$", done.out, re.MULTILINE), done.out
    print(done.out)
