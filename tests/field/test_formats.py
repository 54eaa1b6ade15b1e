"""Lines as public reports have them, of each system: what is read from them, and what is not claimed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.bench.registry import discover
from harness.commands.field import FieldReport
from harness.field.events import classify
from harness.field.knowledge import load
from harness.field.stamps import read_stamp
from support.limits import HUNG_S
from support.paths import ROOT

KNOWN = load(discover().field_files)
MACOS = "2024-01-01 15:30:26.299126+0800 0x26c  Default 0x0 0 0 kernel: (IOUSBHostFamily) 000644.852304 "


@pytest.mark.parametrize(
    ("line", "source", "kind", "about"),
    [
        (
            MACOS + "HS13@14900000: AppleUSBHostPort::enumerateDeviceComplete_block_invoke: enumerated "
            "0x20a0/42b2/0103 (Nitrokey 3) at 12 Mbps",
            "macos",
            "device",
            {"vendor": "20a0", "product": "42b2", "text": "Nitrokey 3"},
        ),
        (
            MACOS + "AppleUSB20HubPort@14720000: AppleUSBHostPort::terminateDevice: destroying "
            "0x20a0/42b2/0103 (Nitrokey 3): upstream hub is terminating",
            "macos",
            "disconnect",
            {"vendor": "20a0"},
        ),
        (
            "[116709.481242]: 116709.481240 AppleUSB20XHCIPort@01400000: AppleUSBHostPort::disconnect: "
            "persistent enumeration failures",
            "macos",
            "gave-up",
            {},
        ),
        (
            "default\t12:41:13.975465-0400\tkernel\t000617.204586 AppleUSB20HubPort@fa140000: "
            "AppleUSBHostPort::interruptOccurred: overcurrent detected with port status 0x4000",
            "macos",
            "over-current",
            {},
        ),
        (
            "USBF:    12.669    The IOUSBFamily gave up enumerating a USB device after 10 retries.  (Port 2 of Hub)",
            "macos",
            "gave-up",
            {},
        ),
        (
            "USBF:\t283.561\tThe IOUSBFamily is having trouble enumerating a USB device that has been plugged in.",
            "macos",
            "descriptor-error",
            {},
        ),
        (
            # What quotes a mail is taken off before.
            r"[Device Install (Hardware initiated) - USB\VID_20A0&PID_42B2\5&1A2B3C&0&2]",
            "windows",
            "setup-section",
            {},
        ),
        (
            r"     dvi:           usb\vid_20a0&pid_42b2&rev_0103",
            "windows",
            "setup-device",
            {"vendor": "20a0"},
        ),
        (r"!    dvi: Selecting driver failed(0xe0000228)", "windows", "setup-warning", {}),
        ("!!!  dvi: Device not started: Device has problem: 0x0a", "windows", "setup-failed", {}),
        (
            "<<<  [Exit status: FAILURE(0xe0000228)]",
            "windows",
            "setup-status",
            {"text": "FAILURE(0xe0000228)"},
        ),
        (
            r"Device USB\VID_20A0&PID_42B2\5&1a2b3c&0&2 had a problem starting.",
            "windows",
            "start-failed",
            {"text": r"USB\VID_20A0&PID_42B2\5&1a2b3c&0&2"},
        ),
        (r"Device USB\VID_0000&PID_0002\5&1a&0&2 was configured.", "windows", "descriptor-error", {}),
        ("Problem Status: 0xC00000E5", "windows", "pnp", {"error": "0xC00000E5"}),
        ("process_sign_request2: sshkey_sign: device not found", "ssh", "sk-not-found", {}),
        ("Key enrollment failed: invalid format", "ssh", "sk-refused", {"text": "invalid format"}),
        (
            "debug1: ssh_sk_enroll: fido_dev_make_cred: FIDO_ERR_PIN_INVALID",
            "ssh",
            "fido-error",
            {"text": "FIDO_ERR_PIN_INVALID"},
        ),
    ],
)
def test_a_line_says_what_it_says(line, source, kind, about):
    _, rest = read_stamp(line)
    event = classify(rest, KNOWN)
    assert event is not None
    assert (event.source, event.kind) == (source, kind)
    assert about.items() <= event.about.items()


def test_the_time_of_macos_is_read_with_its_zone():
    stamp, _ = read_stamp(MACOS + "x")
    assert stamp is not None
    assert stamp.seconds == pytest.approx(1704094226.299126)


@pytest.mark.parametrize(
    "line",
    [
        "! is a sign",
        "systemd[1]: Started Session 12 of User root.",
        "Device manager started",
        "the device was not found in the shop",
        "EXT4-fs (sda1): error count since last fsck: 1",
        "usbguard-daemon is a service",
        "I have a problem starting my car",
        "kernel: overcurrent of a fan",
    ],
)
def test_a_line_of_something_else_says_nothing(line):
    assert classify(line, KNOWN) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<<<  [Exit status: FAILURE(0xe0000228)]\n", set()),
        ("<<<  [Exit status: SUCCESS]\n", set()),
        ("Device USB\\VID_20A0&PID_42B2\\5 had a problem starting.\n", {"windows-device-not-started"}),
        (
            "AppleUSB20XHCIPort@0: AppleUSBHostPort::disconnect: persistent enumeration failures\n",
            {"usb-gave-up"},
        ),
    ],
)
def test_what_other_systems_say_is_recognised(tmp_path, text, expected):
    (tmp_path / "a.log").write_text(text)
    assert {found.signature.id for found in FieldReport([tmp_path / "a.log"]).found} == expected


def test_a_line_of_one_word_or_of_spaces_is_read_at_once():
    # A `+` beside a `.*` is tried at each place with each length: hours for such a line.
    program = """
from harness.bench.registry import discover
from harness.field.events import classify
from harness.field.knowledge import load
known = load(discover().field_files)
print(classify("IOUSBHost" * 455, known).kind, classify("[1/4] a" + " " * 4000 + "x", known))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=HUNG_S, cwd=ROOT, check=False
    )
    assert done.stdout.split() == ["macos-other", "None"], done.stderr
