"""The kernel's log of one port: from /dev/kmsg, dmesg or the journal, and what is counted in it."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.port_log import PortLog
from harness.host.host import Host
from harness.host.kernel_log import KernelLog, PortCounts, PortLines
from harness.model.row import Judged
from harness.report.summary import build_summary
from support.lab import TwinKey
from support.paths import shared
from support.usb import PORT, laboratory, make_rig

LINES = (
    "usb 1-1.4.1: new full-speed USB device number 9 using xhci_hcd",
    "usb 1-1.4.1: device descriptor read/64, error -71",
    "usb 1-1.4-port1: unable to enumerate USB device",
    "usb 1-1.4-port1: cannot reset (err = -110)",
    "cdc_acm 1-1.4.1:1.0: ttyACM0: USB ACM device",
    "hid-generic 0003:20A0:42B2.0007: hidraw3: USB HID v1.11 Device [Nitrokey 3] on usb-0000:00:14.0-1.4.1/input1",
)
CONTROLLER = "0000:00:14.0"
OTHERS = (
    "usb 1-1.4.10: new full-speed USB device number 9 using xhci_hcd",
    "usb 1-1.4.1.2: USB disconnect, device number 3",
    "usb 1-1.4-port10: unable to enumerate USB device",
    "usb 11-1.4.1: USB disconnect, device number 3",
    "usb 1-1.4: USB disconnect, device number 3",
    "hid-generic 0003:046D:C31C.0007: hidraw3: USB HID v1.11 [x] on usb-0000:00:14.0-1.4.10/input1",
    "EXT4-fs (sda1): mounted filesystem 1-1.4.1a",
    "hid-generic 0003:20A0:42B2.0009: hidraw4: USB HID v1.11 [x] on usb-0000:05:00.0-1.4.1/input1",
)


class Following(Host):
    """A host whose /dev/kmsg is closed, and that prints its log by commands."""

    def __init__(self, *commands):
        super().__init__()
        self.log_commands = commands

    def open_kernel_log(self):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def printing(*lines, code=None):
    """A command that prints lines and stays, or ends with an exit code."""
    end = "import time; time.sleep(60)" if code is None else f"raise SystemExit({code})"
    return (sys.executable, "-c", f"for line in {list(lines)!r}: print(line, flush=True)\n{end}")


def taken(log, count):
    """So many lines, which a command has to print first."""
    lines, until = [], time.monotonic() + 20
    while len(lines) < count and time.monotonic() < until:
        lines += log.take()
    return lines


@pytest.mark.parametrize("line", LINES)
def test_lines_of_the_port(line):
    assert line in PortLines(PORT, CONTROLLER)


@pytest.mark.parametrize("line", OTHERS)
def test_lines_of_others(line):
    assert line not in PortLines(PORT, CONTROLLER)


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_line_is_of_one_port_alone(mine, named):
    lines = PortLines(f"1-1.{mine}")
    assert (f"usb 1-1.{named}: reset" in lines) == (mine == named)
    assert (f"usb 1-1-port{named}: x" in lines) == (mine == named)
    assert (f"hub 1-1:1.0: cannot reset port {named} (err = -110)" in lines) == (mine == named)


ROOT_PORT = (
    "usb usb1-port1: attempt power cycle",
    "hub 1-0:1.0: cannot reset port 1 (err = -110)",
    "hub 1-0:1.0: hub_ext_port_status failed (err = -71)",
    "usbhid: probe of 1-1:1.0 failed with error -71",
)


@pytest.mark.parametrize("line", ROOT_PORT)
def test_lines_of_a_port_of_the_root_hub(line):
    assert line in PortLines("1-1")
    assert line not in PortLines("2-1")


def test_a_hid_device_is_known_by_the_line_that_says_where_it_is():
    lines = PortLines(PORT, CONTROLLER)
    later = "hid-generic 0003:20A0:42B2.0007: usb_submit_urb(ctrl) failed: -71"
    assert later not in lines
    assert LINES[-1] in lines
    assert later in lines
    assert later.replace(".0007", ".0008") not in lines


def test_a_hid_device_that_was_there_before_is_known_from_sysfs():
    lines = PortLines(PORT, CONTROLLER, ["0003:20A0:42B2.0007"])
    assert "hid-generic 0003:20A0:42B2.0007: usb_submit_urb(ctrl) failed: -110" in lines


COUNTS = {
    "usbhid 6-1:1.0: can't add hid device: -71": "-71",
    "usbhid: probe of 6-1:1.0 failed with error -71": "-71",
    "hid-generic 0003:20A0:42B2.0007: usb_submit_urb(ctrl) failed: -71": "-71",
    "usb 6-1: unable to read config index 0 descriptor/start: -71": "-71",
    "usb 6-1: unable to read config index 0 descriptor/all, error -110": "-110",
    "hub 6-0:1.0: cannot reset port 1 (err = -110)": "-110",
    "hub 6-0:1.0: hub_ext_port_status failed (err = -71)": "-71",
    "usb 6-1: cannot submit urb 0, error -71: unknown error": "-71",
    "usb 6-1: urb status -110": "-110",
    "usb 6-1: can't set config #1, error -32": None,
    "usb 6-1: device descriptor read/64, error -711": None,
    "usb 6-1: Product: Key-71": None,
    "usb 6-1: SerialNumber: 4-110-7": None,
    "usb 6-1: reset at -71.5": None,
}


@pytest.mark.parametrize("line", COUNTS)
def test_each_wording_of_an_error_is_counted_once(line):
    tally = PortCounts()
    tally.count(line)
    expected = {"plugs": 0, "-71": 0, "-110": 0}
    if COUNTS[line]:
        expected[COUNTS[line]] = 1
    assert tally.row() == expected


@pytest.mark.parametrize(
    "line",
    [
        "usb 1-1: new full-speed USB device number 123 using xhci_hcd",
        "usb 1-1: new low speed USB device using uhci_hcd and address 7",
        "usb 1-1: new SuperSpeed Plus Gen 2x1 USB device number 4 using xhci_hcd",
    ],
)
def test_a_plug_in_each_wording(line):
    tally = PortCounts()
    tally.count(line)
    assert tally.row()["plugs"] == 1


def test_real_excerpts_of_a_port_are_counted():
    """Each -71 and -110 of ten real logs that stands behind a port, whatever the wording."""
    folder = shared("data/logs")
    found = {}
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(errors="replace").splitlines():
            for port in ("1-1", "1-2", "1-3", "6-1", "7-2"):
                if line in PortLines(port):
                    found.setdefault(f"{path.name[:2]} {port}", PortCounts()).count(line)
    errors = {name: dict(tally.errors) for name, tally in found.items() if tally.errors}
    assert errors["01 1-1"] == {-71: 4}
    assert errors["05 6-1"] == {-71: 2}
    assert errors["43 1-1"] == {-110: 3}
    assert errors["47 1-2"] == {-110: 3}
    assert found["47 1-1"].plugs == 1
    assert errors["47 1-1"] == {-110: 1}


def test_what_is_counted():
    tally = PortCounts()
    for line in LINES:
        tally.count(line)
    assert tally.row() == {"plugs": 1, "-71": 1, "-110": 1}


def test_a_boot_is_in_the_log_and_the_neighbours_is_not(tmp_path):
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, TwinKey(1))
        lab.plug("1-1.4.2", TwinKey(2))
        usb = make_rig()
        usb.wait_until_up()
        usb.take_log()
        usb.power.off()
        usb.power.on()
        usb.wait_until_up()
        lab.port(PORT).fails_to_enumerate(-71)
        lines = usb.take_log()
        assert lines[0].startswith("usb 1-1.4.1: USB disconnect")
        assert lines[-1] == "usb 1-1.4-port1: unable to enumerate USB device"
        assert not any("1-1.4.2" in line for line in lines)
        assert usb.plugs == {"plugs": 1, "-71": 1, "-110": 0}
        assert usb.take_log() == []
        usb.close()


def test_dmesg_where_kmsg_may_not_be_read():
    log = KernelLog(Following(printing("<6>[  812.010203] " + LINES[0], LINES[1], OTHERS[0])), PORT)
    assert taken(log, 2) == list(LINES[:2])
    assert log.source == sys.executable
    assert log.why_not == ["/dev/kmsg: Operation not permitted"]
    log.close()


def test_the_journal_where_dmesg_may_not_either(tmp_path):
    absent = str(tmp_path / "absent")
    journal = printing("[  812.010203] lab-host kernel: " + LINES[3])
    log = KernelLog(Following((absent,), printing(code=1), journal), PORT)
    assert taken(log, 1) == [LINES[3]]
    assert log.why_not[1:] == [
        f"{absent}: No such file or directory",
        f"{sys.executable}: ended with exit code 1",
    ]
    assert log.tally.row()["-110"] == 1
    log.close()


def test_nothing_where_nobody_may(tmp_path):
    log = KernelLog(Following((str(tmp_path / "absent"),)), PORT)
    assert log.take() == []
    assert log.source is None
    assert len(log.why_not) == 2
    log.close()


def test_a_follower_ends_with_the_log():
    log = KernelLog(Following(printing(LINES[0])), PORT)
    taken(log, 1)
    process = log._process
    log.close()
    assert process.returncode is not None


def test_a_line_in_two_pieces_is_one(tmp_path):
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    log = KernelLog(Following(("cat", str(fifo))), PORT)
    with fifo.open("wb", buffering=0) as end:
        end.write(LINES[0][:20].encode())
        assert log.take() == []
        end.write(LINES[0][20:].encode() + b"\n")
        assert taken(log, 1) == [LINES[0]]
    log.close()


def test_the_real_hosts_log():
    """Read only: its oldest records, which every kernel has."""
    try:
        log = KernelLog(Host(), PORT)
        os.lseek(log._fd, 0, os.SEEK_SET)
    except OSError as error:
        pytest.skip(f"/dev/kmsg may not be read: {error.strerror}")
    if log.source != "/dev/kmsg":
        pytest.skip("; ".join(log.why_not))
    lines = log._arrived()
    assert lines
    assert not any(re.match(r"\d+,\d+,\d+,", line) for line in lines), "the record's head is cut off"
    log.close()


MAKERS = {"dmesg": "util-linux", "journalctl": "systemd"}


@pytest.mark.parametrize("command", Host.log_commands, ids=lambda command: command[0])
def test_the_commands_have_these_options(command):
    """As the tools of this host say, where they are those that are meant (Busybox has a dmesg, too)."""
    try:
        made = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {command[0]} here")
    if MAKERS[command[0]] not in made.stdout:
        pytest.skip(f"{command[0]} is not that of {MAKERS[command[0]]}")
    helped = subprocess.run([command[0], "--help"], capture_output=True, text=True, check=False)
    for option in command[1:]:
        assert option.partition("=")[0] in helped.stdout


def test_the_summary_counts_to_a_thousand_plugs(tmp_path):
    """Two campaigns of one rig, and a rig whose plugs nobody counted."""
    rows = [
        {"rig": "mini-1", "operation": "a", "plugs": {"plugs": 400, "-71": 1, "-110": 0}},
        {"rig": "mini-1", "operation": "b", "plugs": {"plugs": 100, "-71": 0, "-110": 2}},
        {"rig": "twin", "operation": "a", "plugs": None},
    ]
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "operations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert build_summary(tmp_path)["plugs"] == [
        {
            "rig": "mini-1",
            "plugs": 500,
            "errors": {"-71": 1, "-110": 2},
            "per_thousand": {"-71": 2.0, "-110": 4.0},
        }
    ]


def test_each_cut_has_its_lines_and_only_failures_are_shown(tmp_path):
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, TwinKey(1))
        usb = make_rig()
        usb.wait_until_up()
        lab.port(PORT).fails_to_enumerate(-110)
        log = PortLog(usb, tmp_path / "kernel.log")
        kept = []
        keep = log.keeping(kept.extend)
        rows = [
            {"id": "kh1:mini-1/a:1:x+1us:000000", "outcome": "old", "death": None},
            {"id": "kh1:mini-1/a:1:x+2us:000000", "outcome": "lost", "death": None},
            {"id": "kh1:mini-1/a:1:x+3us:000000", "outcome": "old", "death": "left the bus by itself"},
            {"id": "kh1:mini-1/a:1:x+4us:000000", "outcome": "stuck", "death": None},
        ]
        for row in rows[:3]:
            usb.power.off()
            usb.power.on()
            usb.wait_until_up()
            keep([Judged(row, {})])
        keep([Judged(rows[3], {})])
        usb.close()
    assert [one.row for one in kept] == rows
    text = (tmp_path / "kernel.log").read_text()
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [f"## {row['id']} {row['outcome']}" for row in rows[:3]], "no lines, no heading"
    assert "-110" not in text, "that was before the campaign"
    assert [shown.splitlines()[0] for shown in log.failed] == headings[1:]
    assert "new full-speed USB device" in log.failed[0]
    assert log.plugs() == {"plugs": 3, "-71": 0, "-110": 0}
    assert log.plugs({"plugs": 4, "-71": 1, "-110": 0}) == {"plugs": 7, "-71": 1, "-110": 0}, (
        "a campaign that went on"
    )
