"""Lines of the shapes that public reports have: the time line, what is recognised, and what nobody is to read."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.bench.registry import discover
from harness.field.clock import Clock
from harness.field.knowledge import load
from harness.field.reading import read
from harness.field.recognise import recognise
from harness.field.redact import _PATTERNS, Redactor, _hinted
from harness.field.timeline import timeline

KNOWN = load(discover().field_files)
HOME = "/" + "home"
NAMES = ("janes-box", "jane", "S4711SECRET", "login.example.org", "10.1.2.3", "fd00:12::7", "99887766")
"""Nothing of these may be seen."""
NEW = "usb 1-6: new full-speed USB device number 15 using xhci_hcd"
BAD = "usb 1-6: device descriptor read/64, error -71"
GONE = "usb 1-6: USB disconnect, device number 15"


@pytest.fixture
def report(tmp_path):
    """Read a text: (reading, time line, ids of signatures)."""

    def of(text: str):
        (tmp_path / "a.log").write_text(text)
        reading = read([tmp_path / "a.log"], KNOWN)
        return reading, timeline(reading), {found.signature.id for found in recognise(reading, KNOWN)}

    return of


def journal(second: int, message: str, **more: object) -> str:
    row = {"_HOSTNAME": "janes-box", "__REALTIME_TIMESTAMP": str(1_706_508_900_000_000 + second * 1_000_000)}
    return json.dumps({**row, "SYSLOG_IDENTIFIER": "kernel", "MESSAGE": message, **more})


def exported(second: int, message: str, indent: str = "") -> str:
    stamp = 1_706_508_900_000_000 + second * 1_000_000
    rows = (f"__REALTIME_TIMESTAMP={stamp}", "_HOSTNAME=janes-box", f"MESSAGE={message}", "")
    return "\n".join(indent + row for row in rows)


def filled(shape: str, *messages: str) -> str:
    for number, message in enumerate(messages):
        shape = shape.replace(f"{{{number}}}", message)
    return shape


SHAPES = {
    "level": "<6>[  100.000000] {0}\n<3>[  101.000000] {1}\n<3>[  102.000000] {1}\n<6>[  112.000000] {2}\n",
    "dmesg -x": "kern  :info  : [  100.000000] {0}\nkern  :err   : [  101.000000] {1}\n"
    "kern  :err   : [  102.000000] {1}\n"
    "kern  :info  : [  112.000000] {2}\n",
    "dmesg -d": "[  100.000000 <    0.000000>] {0}\n[  101.000000 <    1.000000>] {1}\n"
    "[  102.000000 <    1.000000>] {1}\n"
    "[  112.000000 <   10.000000>] {2}\n",
    "dmesg -e": "[Jan29 07:15] {0}\n[  +1.000000] {1}\n[  +1.000000] {1}\n[ +10.000000] {2}\n",
    "dmesg -e with a line between": "[Jan29 07:15] {0}\n[  +1.000000] {1}\n[  +4.000000] eth0: link up\n"
    "[  +1.000000] {1}\n"
    "\n[  +6.000000] {2}\n",
    "caller": "[  100.000000][  T123] {0}\n[  101.000000][   C1] {1}\n[  102.000000][  T123] {1}\n"
    "[  112.000000][  T1] {2}\n",
    "kmsg": "6,1001,100000000,-;{0}\n3,1002,101000000,-;{1}\n3,1003,102000000,-;{1}\n6,1004,112000000,-;{2}\n",
    "short-monotonic": "[  100.000000] janes-box kernel: {0}\n[  101.000000] janes-box kernel: {1}\n"
    "[  102.000000] janes-box kernel: {1}\n[  112.000000] janes-box kernel: {2}\n",
    "short-unix": "1706508900.000000 janes-box kernel: {0}\n1706508901.000000 janes-box kernel: {1}\n"
    "1706508902.000000 janes-box kernel: {1}\n1706508912.000000 janes-box kernel: {2}\n",
    "short-full": "Mon 2024-01-29 06:15:00 CET janes-box kernel: {0}\n"
    "Mon 2024-01-29 06:15:01 CET janes-box kernel: {1}\n"
    "Mon 2024-01-29 06:15:02 CET janes-box kernel: {1}\nMon 2024-01-29 06:15:12 CET janes-box kernel: {2}\n",
    "iso with a comma": "2024-01-29T06:15:00,000000+01:00 {0}\n2024-01-29T06:15:01,000000+01:00 {1}\n"
    "2024-01-29T06:15:02,000000+01:00 {1}\n2024-01-29T06:15:12,000000+01:00 {2}\n",
    "RFC 5424": "<6>1 2024-01-29T06:15:00.000Z janes-box kernel - - - {0}\n"
    "<3>1 2024-01-29T06:15:01.000Z janes-box kernel - - "
    '[meta sequenceId="2"] {1}\n<3>1 2024-01-29T06:15:02.000Z janes-box kernel - - - {1}\n'
    "<6>1 2024-01-29T06:15:12.000Z janes-box kernel - - - [  112.000000] {2}\n",
    "RFC 3164": "<6>Jan 29 06:15:00 janes-box kernel: [  100.000000] {0}\n"
    "<3>Jan 29 06:15:01 janes-box kernel: [  101.1000] {1}\n"
    "<3>Jan 29 06:15:02 janes-box kernel: [  102.000000] {1}\n"
    "<6>Jan 29 06:15:12 janes-box kernel: [  112.000000] {2}\n",
    "busybox": "Jan 29 06:15:00 janes-box kern.info kernel: [  100.000000] {0}\n"
    "Jan 29 06:15:01 janes-box kern.err kernel: {1}\n"
    "Jan 29 06:15:02 janes-box kern.err kernel: {1}\nJan 29 06:15:12 janes-box kern.info kernel: {2}\n",
    "New Year": "Dec 31 23:59:55 janes-box kernel: {0}\nDec 31 23:59:56 janes-box kernel: {1}\n"
    "Jan  1 00:00:02 janes-box kernel: {1}\nJan  1 00:00:07 janes-box kernel: {2}\n",
    "Vietnamese": "[T2 Th1 29 06:15:00 2024] {0}\n[T2 Th1 29 06:15:01 2024] {1}\n[T2 Th1 29 06:15:02 2024] {1}\n"
    "[T2 Th1 29 06:15:12 2024] {2}\n",
    "json": "\n".join((journal(0, "{0}"), journal(1, "{1}"), journal(2, "{1}"), journal(12, "{2}"))),
    "export": "\n".join((exported(0, "{0}"), exported(1, "{1}"), exported(2, "{1}"), exported(12, "{2}"))),
    "verbose": "\n".join(
        f"Mon 2024-01-29 06:15:{second:02}.000000 CET [s=39ab]\n    _HOSTNAME=janes-box\n    MESSAGE={{{which}}}"
        for second, which in ((0, 0), (1, 1), (2, 1), (12, 2))
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_says_the_same_whatever_stands_before_it(report, shape):
    reading, line, found = report(filled(SHAPES[shape], NEW, BAD, GONE))
    (one,) = line.plugged
    assert (one.port, one.errors, one.seconds) == ("1-6", {"descriptor-error": 2}, pytest.approx(12))
    assert (line.scrambled, found) == (False, {"usb-contact-glitch"})
    assert not any("janes-box" in entry.text for entry in reading.entries)


@pytest.mark.parametrize(
    "stamp",
    [
        "[út pro 31 06:15:00 2024]",
        "[ter dez 31 06:15:00 2024]",
        "[火 12月 31 06:15:00 2024]",
        "[An gruod. 31 06:15:00 2024]",
        "[T dets  31 06:15:00 2024]",
        "[ג׳ דצמ 31 06:15:00 2024]",
        "[الثلاثاء ديسمبر 31 06:15:00 2024]",
        "[dt. des. 31 06:15:00 2024]",
        "[อ. ธ.ค. 31 06:15:00 2024]",
        "[вто дек 31 06:15:00 2024]",
    ],
)
def test_a_month_in_any_language_is_read(report, stamp):
    reading, _, _ = report(f"{stamp} {GONE}\n")
    assert reading.entries[0].stamp.seconds == 1735625700


def test_a_device_that_was_there_before_is_seen_to_go(report):
    _, line, _ = report(f"[  100.000000] {GONE}\n[  109.000000] {NEW}\n")
    first, second = line.plugged
    assert (first.port, first.before, first.seconds) == ("1-6", True, None)
    assert first.end is not None
    assert (second.before, second.end) == (False, None)


def test_a_port_behind_many_hubs_is_no_address(report):
    text = f"[  100.000000] {NEW}\n[  112.000000] {GONE}\n".replace("1-6", "1-6.4.3.2.1").replace("2.1", "2")
    _, line, _ = report(text)
    assert [one.port for one in line.plugged] == ["1-6.4.3.2"]
    assert Redactor()("at 192.168.4.3 port 1-6.4.3.2") == "at <address-1> port 1-6.4.3.2"


UDEV = "/devices/pci0000:00/0000:00:14.0/usb1/1-6"


def test_events_of_udev_are_a_time_line(report):
    text = (
        f"KERNEL[100.000000] add      {UDEV} (usb)\nKERNEL[100.100000] add      {UDEV}/1-6:1.0 (usb)\n"
        f"UDEV  [101.000000] add      {UDEV} (usb)\nUDEV  [112.000000] remove   {UDEV} (usb)\n"
    )
    reading, line, _ = report(text)
    (one,) = line.plugged
    assert (one.port, one.seconds, reading.understood) == ("1-6", pytest.approx(12), 4)


def test_a_keyboard_says_what_was_there_before(report):
    text = (
        f"[  100.000000] input: Acme Key as {UDEV}/1-6.2/1-6.2:1.0/0003:20A0:42B2.000F/input/input10\n"
        "[  100.100000] hid-generic 0003:20A0:42B2.000F: input,hidraw0: USB HID v1.10 Keyboard [Acme Key] on us\n"
    )
    reading, line, _ = report(text)
    (one,) = line.plugged
    assert (one.port, one.identity, one.name, one.before) == ("1-6.2", "20a0:42b2", "Acme Key", True)
    assert reading.understood == 2


RULE = '{0} id 20a0:42b2 serial "S4711SECRET" name "Acme" hash "uX=" via-port "3-6" with-interface 0b:00:00'


def test_a_guard_that_refuses_a_key_and_lets_it_in(report):
    front = (
        "Jan 29 06:15:{0:02} janes-box usbguard-daemon[1]: result='SUCCESS' target.new='{1}' device.rule='"
    )
    text = (
        front.format(0, "block")
        + RULE.format("block")
        + "' target.old='block' type='Policy.Device.Update'\n"
        + front.format(9, "allow")
        + RULE.format("block")
        + "' target.old='block' type='Policy.Device.Update'\n"
    )
    reading, line, found = report(text)
    (one,) = line.plugged
    assert (one.port, one.identity, one.authorised, found) == (
        "3-6",
        "20a0:42b2",
        True,
        {"usb-not-authorised"},
    )
    assert not any("S4711SECRET" in entry.text for entry in reading.entries)


MACOS = "2024-01-01 15:30:{0}.000000+0800 0x26c  Error 0x0 0 0 kernel: (IOUSBHostFamily) 644.852304 HS13@14900000: "


def test_macos_has_a_time_line(report):
    text = (
        MACOS.format("26")
        + "AppleUSBHostPort::enumerateDeviceComplete: enumerated 0x20a0/42b2/0103 (Acme) at 12 Mbps\n"
        + MACOS.format("36")
        + "AppleUSBHostPort::terminateDevice: destroying 0x20a0/42b2/0103 (Acme): disconnect\n"
    )
    (one,) = report(text)[1].plugged
    assert (one.identity, one.name, one.seconds) == ("20a0:42b2", "Acme", 10)


EVENT = (
    '<Event xmlns="http://schemas.example/event"><System><Provider Name="Microsoft-Windows-Kernel-PnP"/>\n'
    '<EventID>{0}</EventID><TimeCreated SystemTime="2024-01-29T06:15:08.2501234Z"/>\n'
    "<Computer>janes-box</Computer></System>\n"
    '<EventData><Data Name="DeviceInstanceId">USB\\VID_20A0&amp;PID_4230\\S4711SECRET</Data></EventData></Event>\n'
)


@pytest.mark.parametrize("join", ["\n", ""], ids=["lines", "one line"])
def test_an_event_of_windows_in_xml(report, join):
    reading, _, found = report("a line before\n" + EVENT.format(411).replace("\n", join))
    assert found == {"windows-device-not-started"}
    (entry,) = reading.entries
    assert entry.line == 2
    assert entry.stamp.seconds == pytest.approx(1706508908.25, abs=0.01)
    assert "S4711SECRET" not in entry.text
    assert "janes-box" not in entry.text
    assert reading.lines == reading.understood + reading.not_understood + reading.blank
    assert report(EVENT.format(400))[2] == set()


SECTION = """\
[{0}]
Section start 2024/01/29 06:15:08.250
!!!  dvi:      Device not started: Device has problem: 0x0a (CM_PROB_FAILED_START), problem status: 0xc00000e5.
[Exit status: SUCCESS]
"""


def test_a_section_of_windows_has_the_time_of_its_start(report):
    reading, _, found = report(
        SECTION.format(r"Device Install (Hardware initiated) - USB\VID_20A0&PID_42B2\5&1A&0&2")
    )
    assert found == {"windows-device-not-started"}
    assert reading.entries[1].stamp.seconds == pytest.approx(1706508908.25)
    assert (
        report(SECTION.format(r"Device Install (Hardware initiated) - PCI\VEN_10DE&DEV_1C03\4&2&0&3"))[2]
        == set()
    )


def test_the_event_viewer_has_the_time_above(report):
    text = "Date:          1/29/2024 6:15:08 PM\nDevice USB\\VID_20A0&PID_42B2\\5&1&0&2 had a problem starting.\n"
    assert report(text)[0].entries[0].stamp.seconds == 1706552108


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Jan 29 06:15:08 pcscd[1]: 00000000 ccid_usb.c:669:x() Can't claim interface 3/9: LIBUSB_ERROR_BUSY",
         {"reader-shared"}),
        ("2024-01-29 06:15:08 scdaemon[7] DBG: ccid-driver: claim failed: LIBUSB_ERROR_BUSY", {"reader-shared"}),
        ("00000011 auth.c:143:IsClientAuthorized() Process 1 (user: 1000) is NOT authorized for action: access_pcsc",
         {"pcsc-denied"}),
        ("2024-01-29 06:15:08 scdaemon[7] verify CHV2 failed: Hardware problem", {"openpgp-card-hardware"}),
        ("debug1: ssh_sk_sign: fido_dev_get_assert: FIDO_ERR_NO_CREDENTIALS", {"fido-credential-unknown"}),
        ('debug1: sshsk_sign: provider "internal", key ED25519-SK, flags 0x01', set()),
        ("tool: fido_dev_get_assert: FIDO_ERR_PIN_BLOCKED", {"fido-pin-blocked"}),
        ("tool: fido_dev_get_assert: FIDO_ERR_PIN_AUTH_BLOCKED", {"fido-pin-auth-blocked"}),
        ("P:7; T:0x34 17:10:56.599 [opensc-tool] reader-pcsc.c:2:x: Acme Token (55512030) 00 00:SCardTransmit/Control "
         "failed: 0x80100016", {"reader-lost"}),
        ("2015-10-28 16:32:58.395 Acme USB Reader 0:SCardTransmit/Control failed: 0x80100068", set()),
        ("[4/5]   se050           SE050                           FAILURE         SE050 test failed: Error(0x6f00)",
         {"nk3-se050-failed"}),
        ("Perform firmware update: 100%|###| 315k/315k\nCritical error:\nNo Nitrokey 3 device found",
         {"nk3-update-not-found-after"}),
        ("Perform firmware update:  12%|###| 315k/315k\nCritical error:\nNo Nitrokey 3 device found", set()),
        ("Finalize upgrade:   3%|#  | 3/100\nCritical:\n\tException encountered: ConnectionFailure('Wrong nonce')",
         {"nk3-update-answer-lost"}),
        ("Critical error:\n\tException encountered: SPSDKConnectionError()", {"nk3-bootloader-not-reached"}),
        ("SPSDK: Invalid size of written bytes has been detected: -1 != 16", {"nk3-update-died"}),
        ("[  110.1] vhci_hcd: connection closed\n[  110.2] vhci_hcd: disconnect device", set()),
        ("usbipd: error: Failed to attach device with busid '2-1'.", set()),
        ("NotAllowedError: The operation either timed out or was not allowed.", set()),
        ("2024-01-29T06:15:08.223Z| vmx| I125: USB: Connecting device desc:name:Acme vid:20a0 pid:42b2", set()),
        ("    |__ Port 4: Dev 7, If 0, Class=Chip/SmartCard, Driver=, 12M", set()),
        ("SO-PIN tries left    : 12", set()),
        ("b pcscd: ccid_usb.c:621:x() Can't libusb_open(1/23): LIBUSB_ERROR_ACCESS", {"reader-not-opened"}),
        ("00000033 [7] ifdhandler.c:1251:IFDHPowerICC() PowerUp failed", {"card-mute"}),
        ("error: SCardTransmit failed, rc=80100016", {"reader-lost"}),
        ("error: SCardEstablishContext failed, rc=8010001d", {"pcsc-not-running"}),
        ("fido2.ctap.CtapError: CTAP error: 0x32 - PIN_BLOCKED", {"fido-pin-blocked"}),
        ("fido2.ctap.CtapError: CTAP error: 0x34 - PIN_AUTH_BLOCKED", {"fido-pin-auth-blocked"}),
        ("fido2.ctap.CtapError: CTAP error: 0x2E - NO_CREDENTIALS", {"fido-credential-unknown"}),
        ("fido2.ctap.CtapError: CTAP error: 0x36 - PIN_REQUIRED", set()),
        ("[ 1.000000] usb 2-3-port3: cannot reset (err = -32)\n[ 2.000000] usb 2-3-port3: cannot reset (err = -32)",
         {"usb-bad-cable"}),
        ("[ 1.000000] usb 2-3-port3: cannot reset (err = -110)", {"usb-no-answer"}),
        ("[ 1.000000] usb 2-3-port3: connect-debounce failed", set()),
        ("Current status for hub 3-1.5, vendor 2109:2811, 4 ports\n   Port 1: 0100 power", set()),
        ('[Error] (1)  "SCardEstablishContext" called and FAILED. Result = 8010001D', {"pcsc-not-running"}),
        ('[Error] (3)  "SCardTransmit" called and FAILED. Result = 80100016', {"reader-lost"}),
        ('[Error] (11)  "SCardGetStatusChange" called and FAILED. Result = 6', set()),
        ("scdaemon[7]: pcsc_establish_context failed: no service (0x8010001d)", {"pcsc-not-running"}),
        ("Testing SCardListReaders         : Service not available.", {"pcsc-not-running"}),
        ("Testing SCardListReaders         : Command successful.\nscdaemon[7]: reader slot 0: not connected", set()),
        ("00000008 openct/proto-t1.c:170:t1_transceive() T=1 state machine is DEAD. Reset the card first.",
         {"reader-lost"}),
        ("com.acme.ifdreader[9]: 00000197 ccid_usb.c:276:OpenUSBByName() USB driver with index 0 already in use",
         {"reader-not-opened"}),
        ("2024-01-29 06:15:08.25+0200 0x4 Default 0x0 1 securityd: reader Acme Key: state changed 16 -> 290", set()),
        ("debug1: ssh_sk_enroll: fido_dev_make_cred: FIDO_ERR_RX", {"fido-no-answer"}),
        ("fido_hid_read: read: Resource temporarily unavailable", {"fido-no-answer"}),
        ("u2fhid: error reading response, read timed out", {"fido-no-answer"}),
        ("fido_tx: dev=0x6000, cmd=0x06\nsk_probe: 1 device(s) detected", set()),
        ("[pid 7] 13:29:31.685562 fido_dev_open(0x55d2, 0x55d3, 0, 160) = 0", set()),
        ("debug1: ssh_sk_enroll: fido_dev_make_cred: FIDO_ERR_PIN_INVALID", {"fido-wrong-pin"}),
        ("fido2.ctap.CtapError: CTAP error: 0x31 - PIN_INVALID", {"fido-wrong-pin"}),
        ("debug1: ssh_sk_enroll: fido_dev_make_cred: FIDO_ERR_ACTION_TIMEOUT", {"fido-no-touch"}),
        ("fido2.ctap.CtapError: CTAP error: 0x2F - USER_ACTION_TIMEOUT", {"fido-no-touch"}),
        ("debug1: ssh-sk-helper: Enrollment failed: invalid format", set()),
        ("Yubikey core error: no yubikey present", set()),
        ("Device type: YubiKey 5Ci\nEnabled USB interfaces: OTP+FIDO+CCID", set()),
        ("error: PKCS11 function C_Sign failed: rv = CKR_DEVICE_REMOVED (0x32)", {"pkcs11-device-lost"}),
        ("error: PKCS11 function C_Login failed: rv = CKR_PIN_LOCKED (0xa4)", {"pkcs11-pin-locked"}),
        ("error: PKCS11 function C_GetTokenInfo failed: rv = CKR_TOKEN_NOT_RECOGNIZED (0xe1)", set()),
        ("PKCS#15 binding failed: Transmit failed", {"reader-lost"}),
        ("Failed to connect to card: Card is invalid or cannot be handled", set()),
        ("No smart card readers found.", {"no-reader"}),
        ("0x2ac3 14:07:34.343 [pkcs15-tool] iso7816.c:550:x: returning with: -1205 (Incorrect parameters)", set()),
        ("*** Could not connect to the device. Attempting to close scdaemon.", {"start-not-reached"}),
        ("4887      DEBUG       root print: Firmware data to be used:", set()),
        ("Version \u2026: 2.0\nPIN retry counter : 3 0 3\ngpg: key operation not possible: Card error", set()),
        ("scdaemon[7]: no supported card application found: Invalid value", set()),
        ("GPG: selecting card failed: End of file", set()),
        ("Jan 29 06:15:08 h pcscd[1]: 00000004 ../src/winscard_svc.c:5:ContextThread() CONNECT for client 12, "
         "rv=SCARD_E_SHARING_VIOLATION", {"reader-shared"}),
        ("SCardConnect failed, rc=8010000b", {"reader-shared"}),
        ("error: Failed to begin pcsc transaction, rc=ffffffff80100068", set()),
        ("error: Failed to begin pcsc transaction, rc=80100069", {"reader-lost"}),
        ("Perform firmware update: 100%|###| 45k/45k [4:00<00:00, 31.3B/s]\nCritical error:\nFailed to perform "
         "firmware update\n\tException encountered: McuBootConnectionError()", {"nk3-update-died"}),
        ("Jan 29 06:15:08 h kernel: usb_alloc_device: set address 3 failed (USB_ERR_STALLED, ignored)", set()),
        ("Jan 29 06:15:08 h kernel: usbd_setup_device_desc: getting device descriptor at addr 3 failed, "
         "USB_ERR_STALLED", set()),
        ("[  341.91] xhci_hcd 0000:00:14.0: Timeout while waiting for setup device command", set()),
        ("[ 29.4] usb 1-1.7: device descriptor read/64, error -145", {"usb-no-answer"}),
        ("Jan 29 06:15:08 mac com.apple.SecurityServer[98]: Token reader Acme Key 00 inserted into system", set()),
        ("Jan 29 06:15:08 mac com.apple.SecurityServer[98]: token in reader Acme Key cannot be used (error 100002)",
         set()),
        (" INFO  solo2::device    > device fw version: 1:20200101.8", set()),
        ("thread 'main' panicked at 'success: AbortDataPhase', /x/lpc55-0.1/src/protocol.rs:110:76", set()),
    ],
)  # fmt: skip
def test_what_clients_and_daemons_say(report, text, found):
    reading, _, shown = report(text + "\n")
    assert shown == found
    assert reading.understood >= 1


def test_the_version_of_a_client_is_read_from_its_log(report):
    text = "406        INFO pynitrokey.cli pynitrokey version: 0.4.37\n"
    (entry,) = report(text)[0].entries
    assert (entry.event.kind, entry.event.about["version"]) == ("client", "0.4.37")


@pytest.mark.parametrize(
    "line",
    [
        "[  100.000000] janes-box kernel: usb 1-6: SerialNumber: S4711SECRET",
        "<6>1 2024-01-29T06:15:00Z janes-box pcscd 7 - - 00000000 hotplug_libudev.c:1:x() Adding USB device: a",
        '{"_HOSTNAME":"janes-box","MESSAGE":"usb 1-6: USB disconnect, device number 1"}',
        "INFO pynitrokey.cli OS: uname_result(system='Linux', node='janes-box', release='6.1')",
        "nitropy nk3 test --pin 99887766",
        "$ sc-hsm-tool --initialize --so-pin 99887766 --pin=99887766",
        "00000002 APDU: 00 20 00 81 08 39 39 38 38 37 37 36 36",
        "2024-01-29 06:15:08 scdaemon[7] DBG: ccid-driver: using CCID reader 0 (ID=20A0:4108:S4711SECRET:0)",
        "Reader ...........: 20A0:4108:S4711SECRET:0",
        "Reader ...........: Acme Card (S4711SECRET ) 00 00",
        "Serial number ....: S4711SECRET",
        "Name of cardholder: jane",
        "Name of cardholder \u2026: jane",
        "Login data \u2026: jane",
        "Serial number \u2026: S4711SECRET",
        "PKCS#15 Card [jane  99887766]:",
        "RFAddReader() Acme Key (0099887766) init failed.",
        "Login data .......: jane",
        "debug1: Authenticating to login.example.org:22 as 'jane'",
        "jane@janes-box:~$ nitropy nk3 list",
        r"cmd: C:\\Users\\jane\\nitropy.exe",
        "/media/jane/KEY/x",
        '{"rp":{"name":"x","id":"login.example.org"},"user":{"displayName":"jane"}}',
        "FIDO: DEBUG: a.h:89 <- 2 {1: \"login.example.org\", 2: h'00'}",
        "origin: https://login.example.org/x",
        "UsbDevice[mProductName=Nitrokey 3,mSerialNumber=99887766,x",
        "DEBUG nitrokey.nk3 found device serial=S4711SECRET",
        "SRC=10.1.2.3 DST=fd00:12::7 x",
        "Computer:      janes-box",
        "  Port 3: 0503 power highspeed enable connect [0930:6544 Acme Stick S4711SECRET]",
        'sign_and_send_pubkey: signing failed for ED25519-SK "jane-laptop" from agent: agent refused operation',
        "debug1: Offering public key: jane-laptop ED25519-SK SHA256:x authenticator agent",
        "IOUSBHostDevice: serial S4711SECRET disconnected",
        "DBG:       dump:  4F 10 D2 76 00 01 24 01 02 01 00 05 00 99 88 77 66 00 5F 52",
    ],
)
def test_nobody_is_named(line):
    shown = Redactor()(line)
    if "as 'jane'" in line:
        shown = shown.replace("login.example.org", "")  # the name of a server is no site of a key
    assert not any(name in shown for name in NAMES), shown
    assert "39 39 38" not in shown
    assert "99 88 77" not in shown


@pytest.mark.parametrize(
    "line",
    [
        "[  100.000000] usb 1-6: New USB device strings: Mfr=1, Product=2, SerialNumber=3",
        "[4/5]   se050   SE050   FAILURE   SE050 test failed: Error(0x6f00)",
        "Bus 001 Device 007: ID 20a0:4230 Clay Logic Nitrokey HSM",
        "2024-01-29T06:15:08+0100 usb usb1-port1: unable to enumerate USB device",
        "HS13@14900000: AppleUSBHostPort::disconnect: persistent enumeration failures",
        "debug1: publickey-hostbound-v00@openssh.com=<0>",
        "PIN retry counter : 3 0 3",
        "SO-PIN tries left    : 12",
        "hid-generic 0003:20A0:42B2.0013: hiddev0,hidraw0: USB HID v1.11 Device [a] on usb-0000:00:14.0-5.1.1.2/input1",
        "00000000 00 20 00 81 . ..",
        "  Port 1: 0103 power enable connect [1050:0120 Yubico Security Key by Yubico]",
        "Current status for hub 3-2.1 [0409:0058 NEC Corporation USB2.0 Hub Controller, USB 2.00, 4 ports, ppps]",
    ],
)
def test_what_is_no_name_stays(line):
    assert Redactor()(line) == line


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([(hints, one) for _, hints, one in _PATTERNS]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.from_regex(pair[1]))
    )
)
def test_what_a_pattern_finds_has_one_of_its_words(pair):
    hints, text = pair
    assert any(hint in _hinted(text) for hint in hints)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=60), max_size=8))
def test_no_lines_break_the_clock(lines):
    clock = Clock()
    for number, line in enumerate(lines, 1):
        stamp, head, text = clock(number, line)
        assert stamp is not None or (head, text) == ("", line)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 4000,
        '{"MESSAGE":' + "[" * 3000,
        '{"MESSAGE":[300],"__REALTIME_TIMESTAMP":"99999999999999999"}',
        '{"MESSAGE":"usb 1-6: USB disconnect, device number 1","__REALTIME_TIMESTAMP":"99999999999999999"}',
        "<Event " + "a" * 4080,
        "Date: 99/99/9999 25:61:61",
        "__REALTIME_TIMESTAMP=99999999999999999",
        "Name of cardholder" + ":" * 4000,
        "0" * 4000,
        ":".join(["a"] * 2000),
        "a." * 2000,
        "00 20 00 81 " + "39 " * 1300,
        "=" * 4000,
        '"' * 4000,
        "(1" * 2000,
    ],
    ids=lambda line: line[:12],
)
def test_a_line_made_to_hurt_is_read(report, line):
    reading, _, _ = report(f"{line}\n{line}\n{NEW}\n")
    assert reading.lines - reading.blank >= 1
