"""`keyharness twin --usbredir`: a key on USB for the other end of usbredir, in each of its faces."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fido2.ctap2 import Ctap2
from nitrokey.nk3 import NK3
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_transport_serial
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection
from nitrokey.trussed.admin_app import BootMode

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.twin.server_usbredir import UsbRedirWire
from harness.twin.usb_device.shown import UsbFaces
from harness_nitrokey3 import images
from harness_nitrokey3.images import Recipe
from harness_nitrokey_pro import reports
from harness_nitrokey_pro.images import make_image
from support.twin_process import device, forked_twin
from support.usbredir import Guest, Reports, Serial, Slot

ADMIN = bytes.fromhex("00A4040009A00000084700000001")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usb"


@pytest.fixture
def twin(tmp_path: Path, path: Path) -> Iterator[object]:
    with forked_twin(tmp_path / "state", usbredir=path) as served:
        yield served


def test_a_nitrokey_3_is_a_card_and_a_fido_interface(twin, path):
    guest = Guest.dial(path)
    shown = guest.plugged()
    assert (shown.vendor, shown.product, shown.release, shown.speed) == (0x20A0, 0x42B2, 0x0108, 1)
    assert [kind for _, kind, *_ in shown.interfaces] == [0x0B, 3]
    descriptor = guest.descriptor(1)
    assert (guest.string(descriptor[14]), guest.string(descriptor[15])) == ("Nitrokey", "Nitrokey 3")
    assert descriptor[16] == 0, "it shows no serial number"
    assert guest.descriptor(2)[4] == 2
    assert guest.control(0x81, 6, 0x2200, 1, 255)[:3] == b"\x06\xd0\xf1"
    assert guest.configure() == 0


def test_python_fido2_and_the_vendors_sdk_talk_to_it_and_the_card_answers_beside_them(twin, path):
    guest = Guest.dial(path)
    guest.plugged()
    guest.configure()
    reports = Reports(guest)
    info = Ctap2(device(reports)).get_info()
    assert "FIDO_2_1" in info.versions
    slot = Slot(guest)
    assert slot.power_on()[:1] == b"\x3b"
    assert slot.exchange(ADMIN)[-2:] == b"\x90\0"
    assert str(NK3(SdkConnection(device(reports))).admin.version()) == "v1.8.3"


def test_the_bootloader_comes_back_as_a_serial_port_takes_an_image_and_gives_way(twin, path, monkeypatch):
    guest = Guest.dial(path)
    guest.plugged()
    guest.configure()
    NK3(SdkConnection(device(Reports(guest)))).admin.reboot(BootMode.BOOTROM)
    guest.removed()
    shown = guest.plugged()
    assert (shown.product, [kind for _, kind, *_ in shown.interfaces]) == (0x42E8, [2, 10])
    assert len(guest.string(guest.descriptor(1)[16])) == 32
    guest.configure()
    monkeypatch.setattr(dfu_transport_serial, "Serial", lambda **_: Serial(guest))
    image = images.make(Recipe("1.9.0"), child(1, "twin", "nitrokey3-mini"))
    transport = dfu_transport_serial.DfuTransportSerial("usb", timeout=0)
    transport.do_ping = False
    transport.open()
    transport.send_init_packet(image.dat)
    transport.send_firmware(image.bin)
    guest.removed()
    assert guest.plugged().product == 0x42B2
    guest.configure()
    assert str(NK3(SdkConnection(device(Reports(guest)))).admin.version()) == "v1.9.0"
    assert guest.device is not None
    assert guest.device.release == 0x0109


def test_a_killed_twin_is_gone_at_once_and_the_next_one_takes_its_place(tmp_path, path):
    with forked_twin(tmp_path / "state", usbredir=path) as twin:
        guest = Guest.dial(path)
        guest.plugged()
        twin.signal(signal.SIGKILL)
        guest.removed()
    assert path.is_socket(), "a killed process removes nothing"
    with forked_twin(tmp_path / "state", usbredir=path):
        guest = Guest.dial(path)
        assert guest.plugged().product == 0x42B2


def test_the_twin_connects_where_somebody_listens_and_to_the_next_one_after_it(tmp_path, path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)
        with forked_twin(tmp_path / "state", usbredir=path):
            for _ in range(2):
                sock, _ = listener.accept()
                guest = Guest(sock)
                assert guest.plugged().product == 0x42B2
                guest.configure()
                assert "FIDO_2_1" in Ctap2(device(Reports(guest))).get_info().versions
                guest.close()
                sock.close()


def test_one_client_at_a_time_and_what_speaks_something_else_is_shown_the_door(twin, path):
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(path))
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(64))
        twin.wait_for("does not speak usbredir")
    guest = Guest.dial(path)
    guest.plugged()
    with socket.socket(socket.AF_UNIX) as second:
        second.connect(str(path))
        assert second.recv(1) == b""
    guest.configure()
    assert "FIDO_2_1" in Ctap2(device(Reports(guest))).get_info().versions


def test_an_hsm_is_a_card_alone(tmp_path, path):
    with forked_twin(tmp_path / "state", key="nitrokey-hsm2", ctaphid_tcp=None, usbredir=path):
        guest = Guest.dial(path)
        shown = guest.plugged()
        assert (shown.product, [kind for _, kind, *_ in shown.interfaces]) == (0x4230, [0x0B])
        guest.configure()
        slot = Slot(guest)
        assert slot.power_on() == bytes.fromhex("3BDE18FF8191FE1FC38031815448534D317380214081071C")
        applet = bytes.fromhex("00A404000BE82B0601040181C31F020100")
        assert slot.exchange(applet)[-2:] == b"\x90\0"


SC_HSM, OPENPGP = (
    bytes.fromhex("00A404000BE82B0601040181C31F020100"),
    bytes.fromhex("00A4040006D2760001240100"),
)
INITIALIZE = bytes.fromhex("805000001980020001810636343832313982083537363231383830910103")


@pytest.mark.parametrize(
    ("key", "first", "verify", "ask", "says"),
    [
        ("nitrokey-pro", [OPENPGP], "0020008206313233343536", "00200082", {"63c3"}),
        ("nitrokey3-mini", [OPENPGP], "0020008206313233343536", "00200082", {"63c3", "6985", "6d00"}),
        ("nitrokey-hsm2", [SC_HSM, INITIALIZE], "0020008106363438323139", "00200081", {"63c3"}),
    ],
)
def test_a_card_whose_power_the_reader_takes_forgets_who_was_verified(
    tmp_path, path, key, first, verify, ask, says
):
    """A host that sleeps switches the slot off, or resets it when it wakes (CCID, sections 6.1.1 and 6.1.2)."""
    with forked_twin(tmp_path / "state", key=key, ctaphid_tcp=None, usbredir=path):
        guest = Guest.dial(path)
        guest.plugged()
        guest.configure()
        slot = Slot(guest)
        slot.power_on()
        for is_off_first in (True, False):
            for apdu in first:
                assert slot.exchange(apdu)[-2:] == b"\x90\0"
            assert slot.exchange(bytes.fromhex(verify)) == b"\x90\0"
            assert slot.exchange(bytes.fromhex(ask)) == b"\x90\0"
            if is_off_first:
                slot.power_off()
            slot.power_on()
            assert slot.exchange(bytes.fromhex(ask))[-2:].hex() in says


def test_a_pro_is_polled_by_feature_reports_beside_its_card(tmp_path, path):
    with forked_twin(tmp_path / "state", key="nitrokey-pro", ctaphid_tcp=None, usbredir=path):
        guest = Guest.dial(path)
        shown = guest.plugged()
        assert (shown.product, [kind for _, kind, *_ in shown.interfaces]) == (0x4108, [3, 0x0B])
        guest.configure()
        descriptor = guest.control(0x81, 6, 0x2200, 0, 255)
        assert descriptor[:3] == b"\x06\0\xff"
        assert b"\x95\x40\xb1\x02" in descriptor, "a feature report of 64 bytes"
        asked = reports.request(reports.BY_CODE[0], {})
        guest.control(0x21, 9, 0x0300, 0, asked)
        states = set()
        while True:
            report = guest.control(0xA1, 1, 0x0300, 0, 64)
            states.add(report[0])
            # The firmware of a new key has answered nothing yet: its report is zeros.
            if report[0] == reports.READY and report[2:6] == asked[60:]:
                break
        assert states <= {reports.READY, reports.BUSY, reports.RECEIVED}
        assert reports.read_answer(report).status == 0
        assert Slot(guest).power_on()[:1] == b"\x3b"


def test_the_bootloader_of_a_pro_takes_an_image_by_dfu_and_gives_way(tmp_path, path):
    with forked_twin(tmp_path / "state", key="nitrokey-pro", ctaphid_tcp=None, usbredir=path):
        guest = Guest.dial(path)
        guest.plugged()
        guest.configure()
        enter = reports.request(reports.COMMANDS["update"], {"password": b"12345678"})
        guest.control(0x21, 9, 0x0300, 0, enter)
        guest.removed()
        shown = guest.plugged()
        assert (shown.product, [kind for _, kind, *_ in shown.interfaces]) == (0x42B4, [0xFE])
        guest.configure()
        # bcdDFUVersion 1.10, and blocks of 1,024 bytes.
        assert guest.control(0x81, 6, 0x2100, 0, 9) == bytes.fromhex("092109ff0000041001")
        image = make_image(0x000E, 4096)
        for block in range(4):
            guest.control(0x21, 1, block, 0, image[1024 * block :][:1024])
            wait_for_state(guest, 5)
        assert guest.control(0xA1, 5, 0, 0, 1) == b"\x05"
        guest.control(0x21, 1, 4, 0, b"")
        wait_for_state(guest, 7)
        guest.removed()
        assert guest.plugged().product == 0x4108
        guest.configure()
        asked = reports.request(reports.BY_CODE[0], {})
        guest.control(0x21, 9, 0x0300, 0, asked)
        while (report := guest.control(0xA1, 1, 0x0300, 0, 64))[2:6] != asked[60:] or report[0]:
            pass
        assert reports.read_answer(report).data[:2] == b"\x0e\0"


def wait_for_state(guest, wanted: int) -> None:
    """GETSTATUS until the bootloader is in a state, and says that all is well."""
    while (shown := guest.control(0xA1, 3, 0, 0, 6))[4] != wanted:
        assert (shown[0], shown[4]) == (0, 4), "busy"


def test_the_socket_goes_with_a_twin_that_is_asked_to_end(twin, path):
    twin.signal(signal.SIGTERM)
    assert twin.wait() == 0
    assert not path.exists()


def test_bad_paths_are_the_callers_mistake(tmp_path):
    (tmp_path / "file").write_text("mine")
    faces = UsbFaces((), {})
    for path, said in (
        (tmp_path / "file", "a file"),
        (tmp_path / ("x" * 120), "at most 107"),
        (tmp_path / "no" / "x", "No such"),
    ):
        with pytest.raises(CallerError, match=said):
            UsbRedirWire(path, faces, print)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_path_is_bytes_and_counted_as_such(tmp_path):
    wire = UsbRedirWire(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")), UsbFaces((), {}), print)
    assert os.listdir(os.fsencode(tmp_path)) == [b"\xff"]
    wire.close()
    with pytest.raises(CallerError, match="at most 107"):
        UsbRedirWire(Path(os.fsdecode(b"\xff" * 108)), UsbFaces((), {}), print)


def test_a_key_without_usb_ids_is_explained(cli, tmp_path):
    done = cli("twin", "openpgp", "--state", tmp_path / "state", "--usbredir", tmp_path / "usb")
    assert (done.returncode, "no vendor id" in done.stderr) == (4, True), done.stderr
    assert "Traceback" not in done.stderr
