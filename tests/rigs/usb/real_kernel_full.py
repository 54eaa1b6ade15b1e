"""What takes minutes on a real Linux USB stack: `script/lab --test` runs it with test_real_kernel.py."""

from __future__ import annotations

import json
import re

from support.guest.fixtures import MINI, OTHER, RELAYED, enrolled, keyharness, machine, mini, on_bus, touched
from support.guest.machine import RELAY_PORT, PluggedKey
from support.paths import ROOT

__all__ = ["machine", "mini"]


def test_two_keys_of_one_model_are_told_apart_and_one_in_the_place_of_the_other_is_refused(machine, mini):
    other = touched(machine, OTHER, "other")
    identities = [machine.run("grep", "-h", "^identity", file).out for file in (mini, other)]
    assert len(set(identities)) == 2
    assert machine.run("sh", "-c", f"sed s/{OTHER}/{MINI}/ {other} > swapped.toml").code == 0
    before = dict(machine.cuts)
    suite = ROOT / "suites" / "harness_suites" / "conformance" / "test_get_info.py"
    done = machine.run(
        "pytest", "-q", "-x", "-p", "no:cacheprovider", str(suite), "--kh-bench", "swapped.toml"
    )
    assert done.code, done.out
    assert "another key is in it" in done.out, done.out
    assert identities[0].split('"')[1] in done.out, done.out
    assert machine.cuts == before, "it was refused before anything was switched"


def test_calibration_takes_the_power_of_the_port_and_says_what_it_saw(machine, mini):
    before = machine.cuts.get(1, 0)
    done = keyharness(machine, "calibrate", "mini", "--bench", mini, "--cycles", "4")
    assert machine.cuts.get(1, 0) - before >= 4, done.out
    assert done.out.count("gone after") == 4, done.out
    # A busy host is no rig's fault: it says so, and does not write figures that it cannot stand for.
    assert done.code == 0 or (done.code == 3 and "too loaded to measure" in done.out), done.out


def test_a_relay_on_a_serial_port_takes_the_power(machine):
    switch = ("--power", "lcus", "--port", "/dev/ttyUSB0", "--channel", "1")
    bench = enrolled(machine, RELAYED, "relayed", *switch)
    before = on_bus(machine, RELAYED)
    assert keyharness(machine, "power", "off", "relayed", "--bench", bench).code == 0
    assert machine.cuts[RELAY_PORT] == 1
    assert on_bus(machine, RELAYED) == ""
    assert keyharness(machine, "power", "on", "relayed", "--bench", bench).code == 0
    assert on_bus(machine, RELAYED) not in ("", before)


def test_cases_of_conformance_pass_on_the_hidraw_node(machine, mini):
    """Those that need no certain speed of the guest, and no touch that is withheld: these twins touch themselves."""
    suite = ROOT / "suites" / "harness_suites" / "conformance" / "test_ctaphid.py"
    chosen = ("-v", "-p", "no:cacheprovider", "-k", "(ping or nonce) and not touch", str(suite))
    done = machine.run("pytest", *chosen, "--kh-bench", mini)
    passed = re.search(r"(\d+) passed", done.out)
    assert done.code == 0, done.out
    assert passed
    assert int(passed[1]) >= 14, done.out


def test_cuts_of_an_operation_take_the_power_and_the_key_keeps_what_it_had(machine, mini):
    before = machine.cuts.get(1, 0)
    words = (
        "endurance",
        "--operation",
        "fido2.client_pin.change",
        "--cuts",
        "10",
        "--seed",
        "7",
        "--bench",
        mini,
        "--",
        "-k",
        "power_cut",
    )
    done = keyharness(machine, "run", *words)
    assert machine.cuts[1] - before >= 10
    assert done.code in (0, 3), done.out
    assert " 0 violations" in done.out, done.out
    (folder,) = re.findall(r"report +(reports/\S+)/index\.html", done.out)
    kept = machine.run("sh", "-c", f"cat {folder}/logs/mini.*.kernel.log").out
    assert kept.count(f"usb {MINI}: USB disconnect") >= 10, kept
    (plugs,) = json.loads(machine.run("cat", f"{folder}/summary.json").out)["plugs"]
    assert plugs["rig"] == "mini"
    assert plugs["plugs"] >= 10


def test_an_update_over_cdc_acm_is_cut_and_completed(machine):
    trusted = ("--key", "test", "--seed", str(PluggedKey(2).seed))
    made = keyharness(machine, "firmware", "make", "--version", "1.9.0", *trusted, "new.zip")
    (test_key,) = re.findall(r"test key +([0-9a-f]+)", made.out)
    other = enrolled(machine, OTHER, "updated")
    (uuid,) = re.findall(r'identity = "uuid:([0-9A-F]+)"', machine.run("cat", other).out)
    switch = "/sys/bus/usb/devices/1-1:1.0/1-1-port2/disable"
    client = ("module", "support.guest.update_client", "new.zip", test_key, uuid)
    before = machine.cuts.get(2, 0)
    cut = machine.run(*client, switch)
    assert cut.code, cut.out
    assert machine.cuts[2] - before == 1
    assert machine.run("sh", "-c", f"echo 0 > {switch}").code == 0
    done = machine.run(*client)
    assert done.code == 0, done.out
    assert "the key runs v1.9.0" in done.out
    said = machine.run("dmesg").out
    assert "cdc_acm 1-1.2:1.0: ttyACM" in said
    assert "bcdDevice= 1.09" in said
