"""What is not claimed: real-looking logs of something else blame no key, and tell nobody's name or serial number."""

from __future__ import annotations

import json

import pytest

from harness.commands.field import FieldReport

HOME = "/" + "home"
GLITCH = "[   10.100000] usb 1-9: device descriptor read/64, error -71\n"
NOT_FOUND = f'sign_and_send_pubkey: signing failed for ED25519-SK "{HOME}/jane/.ssh/id": device not found\n'
CARD = """\
Reader ...........: Acme Reader 00 00
Application type .: OpenPGP
Version ..........: 3.4
PIN retry counter : {tries}
"""
SECTION = """\
>>>  [Device Install (Hardware initiated) - {device}]
>>>  Section start 2024/01/29 06:15:08.250
     dvi: Device Status: 0x01802400, Problem: 0x1f
<<<  Section end 2024/01/29 06:15:09.250
<<<  [Exit status: FAILURE(0x000005b3)]
"""
MOUSE, YUBIKEY = r"USB\VID_046D&PID_C31C\5&1A2B3C&0&2", r"HID\VID_1050&PID_0407&MI_01\8&1&0&0000"
USB, GPU = r"USB\VID_20A0&PID_42B2\5&1A2B3C&0&2", r"PCI\VEN_10DE&DEV_1C03\4&2&0&3"


def ids(tmp_path, text: str) -> set[str]:
    (tmp_path / "a.log").write_text(text)
    return {found.signature.id for found in FieldReport([tmp_path / "a.log"]).found}


@pytest.mark.parametrize(
    "text",
    [
        "PermissionError: [Errno 13] Permission denied: '/etc/shadow'\n",
        "requests.exceptions: PermissionError(13, 'Permission denied')\n",
        "Failed opening device /dev/video0\n",
        "DEBUG 12:35:54.365 [fido2.hid.linux] Failed opening device /dev/hidraw4\nOSError: [Errno 19] No such device\n",
        "W: failed to update - network unreachable\n",
        "gpg: decryption failed: No secret key\n",
        CARD.format(tries="3 0 3") + "gpg: signing failed: Inappropriate ioctl for device\n",
        CARD.format(tries="0 0 0"),
        "qemu: libusb_claim_interface: -6 [BUSY]\n",
        "[   10.000000] usb 1-1: can't set config #1, error -71\n",
        # Nothing was ever found there: that may be a device that does not speak USB.
        "[  1.0] usb 1-1: device descriptor read/64, error -71\n" * 2,
        "sc_card_ctl(*, SC_CARDCTL_SC_HSM_INITIALIZE, *) failed with Card removed\n",
        SECTION.format(device=GPU),
        SECTION.format(device=MOUSE),
        SECTION.format(device=USB).replace("FAILURE(0x000005b3)", "SUCCESS") + SECTION.format(device=MOUSE),
        SECTION.format(device=r"SCFILTER\CID_80318065\7&2&0&3"),
        f"Device {MOUSE} had a problem starting.\n",
        SECTION.format(device=USB).replace("FAILURE(0x000005b3)", "SUCCESS") + SECTION.format(device=GPU),
        ">>>  [SetupCopyOEMInf - C:\\Windows\\oem1.inf]\n<<<  [Exit status: FAILURE(0x000005b3)]\n",
        "Init status: running\n",
        "Error communicating to: the database\n",
        "The Nitrokey 3 Bootloader is described here.\n",
        "[  100.200002] usb 1-4: Product: Nitrokey 3 Bootloader\n[  121.200002] usb 1-4: Product: Nitrokey 3\n",
        "Jan 29 07:15:08 h smartd[1]: Firmware version: 1.2.3\n",
    ],
)
def test_what_something_else_says_is_no_failure_of_a_key(tmp_path, text):
    assert ids(tmp_path, text) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SECTION.format(device=USB), "windows-device-not-started"),
        (SECTION.format(device=USB).partition("\n")[2].replace("0x1f", USB), "windows-device-not-started"),
        (SECTION.format(device=USB.lower()), "windows-device-not-started"),
        (SECTION.format(device=YUBIKEY), "windows-device-not-started"),
        (
            r"Device USB\VID_1050&PID_0407\8&1&0&0000 was started."
            + "\n"
            + SECTION.format(device=r"SCFILTER\CID_80318065\7&2&0&3"),
            "windows-device-not-started",
        ),
        (CARD.format(tries="3 0 3") + "gpg: decryption failed: No secret key\n", "openpgp-key-elsewhere"),
        (
            "sc_card_ctl(*, SC_CARDCTL_SC_HSM_INITIALIZE, *) failed with PIN code or key incorrect\n",
            "hsm-wrong-so-pin",
        ),
        (
            "sc_card_ctl(*, SC_CARDCTL_SC_HSM_INITIALIZE, *) failed with Authentication method blocked\n",
            "hsm-so-pin-spent",
        ),
        ("[   10.000000] usb 1-1: can't set config #1, error -32\n", "usb-config-stalled"),
        ("Init status:        INTERNAL_FLASH_ERROR (0x2)\n", "nk3-bad-status"),
        (NOT_FOUND + "Firmware version:   v1.3.1\n", "nk3-spontaneous-reset"),
    ],
)
def test_what_is_one_is_still_recognised(tmp_path, text, expected):
    assert expected in ids(tmp_path, text)


@pytest.mark.parametrize("product", ["idVendor=1050, idProduct=0407", "idVendor=20a0, idProduct=4230"])
def test_another_key_beside_an_error_of_the_bus_did_not_reset_itself(tmp_path, product):
    found = f"[   11.200000] usb 1-4: New USB device found, {product}, bcdDevice= 5.43\n"
    assert ids(tmp_path, GLITCH + found + NOT_FOUND) == {"fido-credential-unknown"}


def test_a_kernel_line_is_the_kernels(tmp_path):
    (tmp_path / "a.log").write_text("[   11.200002] usb 1-4: Manufacturer: Acme\n")
    assert dict(FieldReport([tmp_path / "a.log"]).reading.sources) == {"kernel": 1}


@pytest.mark.parametrize(
    ("line", "private"),
    [
        ("  iSerial                 3 DENK0400123", "DENK0400123"),
        (r"Device USB\VID_20A0&PID_4230\DENK0400123 had a problem starting.", "DENK0400123"),
        (r">>>  [Device Install (Hardware initiated) - USB\VID_20A0&PID_4230\DENK0400123]", "DENK0400123"),
        ("2025-02-28T11:44:00Z alicebox kernel: usb 1-1: USB disconnect, device number 2", "alicebox"),
        ("Jan 29 07:15:08 alice.lab.example kernel: usb 1-1: USB disconnect, device number 2", "alice"),
        ('[opensc-pkcs11] "rpId": "login.example.org"', "example.org"),
        ('IOUSBHostDevice "USB Serial Number" = "ABC1234"', "ABC1234"),
    ],
)
def test_no_serial_number_and_no_name_is_kept(tmp_path, line, private):
    (tmp_path / "a.log").write_text(line + "\n")
    report = FieldReport([tmp_path / "a.log"])
    assert report.reading.entries
    assert private not in json.dumps(report.table())
    assert all(private not in entry.text for entry in report.reading.entries)


def test_a_log_moves_no_cursor_of_the_reader(tmp_path):
    text = "[   11.200002] usb 1-4: Product: Key\x1b]0;owned\x07 \x1b[2J\x9b2J!\n"
    (tmp_path / "a.log").write_text(text)
    (entry,) = FieldReport([tmp_path / "a.log"]).reading.entries
    assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in entry.event.about["text"])
