"""What a host has only so many of, and results that repeat."""

from __future__ import annotations

import io

import pytest

from harness.bench.registry import Plugins
from harness.doctor.context import CheckedHost, CheckResult
from harness.doctor.limits import READERS_MAX, SLOTS_MAX, readers, slots
from harness.doctor.show import NAMED_MAX, show
from harness.host.usb import hub_of
from support.lab import Look
from support.lab.labhost import LabHost
from support.lab.tree import Tree

KEY = Look(0x20A0, 0x42B2, "Nitrokey 3", card=True)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.fixture
def host(tree):
    return CheckedHost(LabHost(tree.root), Plugins())


def plug(tree, port):
    tree.hub(hub_of(port)[0], 8, switchable=False)
    tree.show(port, KEY)


def said(check):
    return [(one.level, one.text.partition(" ")[0]) for one in check]


@pytest.mark.parametrize(
    "keys, entries, expected",
    [
        (0, 0, []),
        (3, 0, [("ok", "3")]),
        (3, 2, [("ok", "7")]),
        (READERS_MAX, 0, [("ok", "16")]),
        (READERS_MAX - 1, 1, [("warn", "17")]),
    ],
)
def test_readers_are_counted_against_the_limit_of_pcscd(tree, host, keys, entries, expected):
    for number in range(keys):
        plug(tree, f"1-{1 + number // 7}.{1 + number % 7}")
    folder = tree.root / "etc/reader.conf.d"
    folder.mkdir(parents=True)
    (folder / "vpcd").write_text('FRIENDLYNAME "Virtual PCD"\nCHANNELID 0x8C7B\n' * entries)
    assert said(readers(host)) == expected


@pytest.mark.parametrize(
    "more, expected", [(-1, []), (0, [("warn", str(SLOTS_MAX))]), (1, [("warn", str(SLOTS_MAX + 1))])]
)
def test_devices_are_counted_against_the_slots_of_their_controller(tree, host, more, expected):
    hubs = 4
    for number in range(SLOTS_MAX + more - hubs):
        plug(tree, f"1-{1 + number % hubs}.{1 + number // hubs}")
    assert said(slots(host)) == expected


def shown(*found):
    out = io.StringIO()
    show(found, out)
    return out.getvalue().splitlines()


def of_rig(name, text="has no calibration", level="warn"):
    return CheckResult("rig", level, text, f"`keyharness calibrate {name}`", name)


def test_what_rigs_have_in_common_stands_in_one_line():
    lines = shown(*(of_rig(f"mini-{number}") for number in range(20)), of_rig("other", "is old"))
    named = ", ".join(f"mini-{number}" for number in range(NAMED_MAX))
    assert lines == [
        f"warn   20 rigs: has no calibration ({named}, and {20 - NAMED_MAX} more)",
        "       mend: `keyharness calibrate RIG`",
        "rig other    warn   is old",
        "                    mend: `keyharness calibrate other`",
        "total  0 ok, 21 warnings, 0 faults: nothing keeps a run from working",
    ]


def test_what_has_one_remedy_names_it_once():
    nodes = [CheckResult("hidraw", "fault", f"/dev/hidraw{n} is not readable", "sudo x") for n in range(2)]
    assert shown(*nodes, CheckResult("python", "ok", "python 3")) == [
        "fault  /dev/hidraw0 is not readable",
        "       /dev/hidraw1 is not readable",
        "       mend: sudo x",
        "ok     python 3",
        "total  1 ok, 0 warnings, 2 faults: mend the faults before a run",
    ]
