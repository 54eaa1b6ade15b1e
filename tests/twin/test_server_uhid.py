"""`keyharness twin --uhid`: events each way, by linux/uhid.h, on a pair of sockets in place of /dev/uhid."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest

from harness.base.errors import CallerError
from harness.twin import server_uhid
from harness.twin.board import Firmware
from harness.twin.model import Offered
from harness.twin.server_uhid import UhidWire
from harness.twin.usb_device.hid import Hid
from harness.twin.usb_device.shown import UsbFaces
from harness_nitrokey3.plugin import keyharness_keys
from support.paths import ABSENT

DESTROY, OUTPUT, GET, GET_REPLY, CREATE, INPUT, SET, SET_REPLY = 1, 6, 9, 10, 11, 12, 13, 14
REPORTS = bytes.fromhex("06d0f10901")
OFFERED = {"ctaphid": Offered("packets", usb=Hid(REPORTS)), "serial": Offered("bytes", ("bootloader",))}


class Booted:
    """Firmware that only shows a face."""

    release = 0x0109
    serial_number = None

    def __init__(self, face: str):
        self.face = face


@pytest.fixture
def kernel(monkeypatch) -> Iterator[tuple[socket.socket, UhidWire]]:
    """The kernel's end, and the twin's wire."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(server_uhid.os, "open", lambda *_: os.dup(theirs.fileno()))
    wire = UhidWire(UsbFaces(keyharness_keys()[0].faces, OFFERED))
    wire.attach(lambda: 1000)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, wire
        wire.close()


def shown(face: str) -> Firmware:
    return Booted(face)  # type: ignore[return-value]


def said(kernel: socket.socket) -> tuple[int, bytes]:
    event = kernel.recv(8192)
    return int.from_bytes(event[:4], "little"), event[4:]


def test_the_device_is_made_with_the_keys_names_and_ids(kernel):
    sock, wire = kernel
    wire.show(shown("application"))
    kind, body = said(sock)
    assert kind == CREATE
    assert body[:128].rstrip(b"\0") == b"Nitrokey Nitrokey 3"
    size, bus, vendor, product, release, _ = struct.unpack_from("<HHIIII", body, 256)
    assert (bus, vendor, product, release) == (3, 0x20A0, 0x42B2, 0x0109)
    assert body[276 : 276 + size] == REPORTS
    assert len(body) == 276 + 4096


def test_reports_go_each_way(kernel):
    sock, wire = kernel
    wire.show(shown("application"))
    said(sock)
    report = bytes(range(64))
    sock.send(struct.pack("<I4096sHB", OUTPUT, b"\0" + report, 65, 1))
    assert wire.arrived(wire.sockets()[0]) == [("ctaphid", report)]
    wire.answer("ctaphid", report, None)
    kind, body = said(sock)
    assert (kind, struct.unpack_from("<H", body)[0], body[2:66]) == (INPUT, 64, report)
    wire.answer("card", b"not on this wire", None)
    with pytest.raises(BlockingIOError):
        said(sock)


def test_other_events_of_the_kernel_are_answered_or_left_alone(kernel):
    sock, wire = kernel
    (fd,) = wire.sockets()
    for event, reply in ((GET, GET_REPLY), (SET, SET_REPLY)):
        sock.send(struct.pack("<IIBBH", event, 77, 0, 0, 0))
        assert wire.arrived(fd) == []
        kind, body = said(sock)
        assert (kind, *struct.unpack_from("<IH", body)) == (reply, 77, 5)
    for quiet in (2, 3, 4, 5):
        sock.send(struct.pack("<IQ", quiet, 0))
        assert wire.arrived(fd) == []
    assert wire.arrived(fd) == [], "nothing more has come"


class Polled(Booted):
    """Firmware that shows a report of its own at each instant."""

    def report(self, endpoint: str, at_us: int) -> bytes:
        return f"{endpoint} {at_us}".encode().ljust(64, b"\0")


def test_feature_reports_are_set_and_read_as_hidraw_carries_them(monkeypatch):
    """Linux, drivers/hid/uhid.c and hidraw.c: the report's number stands before each report."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        monkeypatch.setattr(server_uhid.os, "open", lambda *_: os.dup(theirs.fileno()))
        offered = {
            "hid-feature": Offered("reports", usb=Hid(REPORTS, feature_size=64)),
            "card": Offered("apdus"),
        }
        wire = UhidWire(UsbFaces(keyharness_keys()[0].faces, offered))
        wire.attach(lambda: 1000)
        (fd,) = wire.sockets()
        ask = struct.pack("<IIBB", GET, 5, 0, 0)
        ours.send(ask)
        assert wire.arrived(fd) == []
        assert struct.unpack("<IIHH", ours.recv(8192)) == (GET_REPLY, 5, 5, 0), "nothing is plugged in"
        wire.show(Polled("application"))
        assert said(ours)[0] == CREATE
        ours.send(ask)
        assert wire.arrived(fd) == []
        answer = ours.recv(8192)
        assert struct.unpack_from("<IIHH", answer) == (GET_REPLY, 5, 0, 65)
        assert answer[12:] == b"\0" + Polled("application").report("hid-feature", 1000)
        report = bytes(range(64))
        for content, taken in ((b"\0" + report, True), (b"\0" + report[:10], False)):
            ours.send(struct.pack("<IIBBH", SET, 6, 0, 0, len(content)) + content)
            assert wire.arrived(fd) == ([("hid-feature", report)] if taken else [])
            assert struct.unpack("<IIH", ours.recv(8192)) == (SET_REPLY, 6, 0 if taken else 5)
        wire.close()


def test_it_goes_with_the_application_and_comes_back_after_a_while(kernel):
    sock, wire = kernel
    wire.show(shown("application"))
    said(sock)
    wire.replugged()
    assert said(sock)[0] == DESTROY
    wire.show(shown("bootloader"))
    assert wire.next_event_us() is None
    wire.show(shown("application"))
    due = wire.next_event_us()
    assert due is not None
    wire.advance(due - 1)
    with pytest.raises(BlockingIOError):
        said(sock)
    wire.advance(due)
    assert said(sock)[0] == CREATE


def test_a_host_without_uhid_is_told_what_to_do():
    with pytest.raises(CallerError, match="modprobe uhid"):
        UhidWire(UsbFaces(keyharness_keys()[0].faces, OFFERED), ABSENT)
    with pytest.raises(CallerError, match="without a HID interface"):
        UhidWire(UsbFaces((), {"card": Offered("apdus")}))
