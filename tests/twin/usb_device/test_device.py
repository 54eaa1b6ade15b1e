"""The descriptors of a device and its answers to standard requests, as a kernel asks them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.twin.usb_device.ccid import Ccid
from harness.twin.usb_device.cdc_acm import CdcAcm
from harness.twin.usb_device.device import Identity, UsbDevice
from harness.twin.usb_device.function import Setup, Stall
from harness.twin.usb_device.hid import Hid

REPORTS = bytes.fromhex("06d0f10901a1")
FUNCTIONS = {
    "card": Ccid(b"\x3b\0"),
    "ctaphid": Hid(REPORTS),
    "hid-feature": Hid(b"\x06\0\xff", feature_size=64),
    "serial": CdcAcm(),
}


class Key:
    def __init__(self, *names: str, **who):
        self.got: list[tuple[str, bytes]] = []
        functions = {name: FUNCTIONS[name] for name in names}
        identity = Identity(0x20A0, 0x42B2, 0x0108, "Nitrokey", "Nitrokey 3", **who)
        self.device = UsbDevice(
            identity, functions, lambda name, data: self.got.append((name, data)), lambda: 0
        )

    def ask(self, kind, request, value=0, index=0, length=0, data=b""):
        return self.device.control(Setup(kind, request, value, index, length or len(data)), data)

    def descriptor(self, kind, index=0, length=4096):
        return self.ask(0x80, 6, kind << 8 | index, 0, length)


def parts(descriptors: bytes) -> list[bytes]:
    """The descriptors of a configuration, one by one."""
    found = []
    while descriptors:
        assert descriptors[0] >= 2
        found.append(descriptors[: descriptors[0]])
        descriptors = descriptors[descriptors[0] :]
    return found


@given(st.lists(st.sampled_from(sorted(FUNCTIONS)), min_size=1, max_size=4, unique=True))
def test_a_configuration_is_whole_whatever_the_key_has(names):
    key = Key(*names)
    whole = key.descriptor(2)
    first, *rest = parts(whole)
    assert (int.from_bytes(first[2:4], "little"), first[4]) == (len(whole), len(key.device.interfaces))
    interfaces = [one for one in rest if one[1] == 4]
    assert [one[2] for one in interfaces] == list(range(first[4]))
    endpoints = [one for one in rest if one[1] == 5]
    assert sum(one[4] for one in interfaces) == len(endpoints)
    addresses = [one[2] for one in endpoints]
    assert len(set(addresses)) == len(addresses)
    assert set(addresses) == set(key.device.pipes)
    assert all(one[4] <= 64 and not one[5] for one in endpoints)


def test_the_device_descriptor_says_who_it_is_and_leaves_out_what_it_has_not():
    key = Key("card", "ctaphid")
    assert key.descriptor(1) == struct.pack(
        "<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0, 0, 0, 64, 0x20A0, 0x42B2, 0x0108, 1, 2, 0, 1
    )
    assert key.descriptor(1, length=8) == key.descriptor(1)[:8]
    assert key.descriptor(3, 2)[2:].decode("utf-16-le") == "Nitrokey 3"
    for kind, index in ((3, 3), (3, 9), (6, 0), (2, 1)):
        with pytest.raises(Stall):
            key.descriptor(kind, index)
    named = Key("serial", serial_number="AB12")
    assert named.descriptor(1)[4:7] == b"\xef\x02\x01", "the port's two interfaces belong together"
    assert named.descriptor(3, named.descriptor(1)[16])[2:].decode("utf-16-le") == "AB12"


def test_the_card_has_the_class_descriptor_of_a_nitrokey_3():
    """Figures of readers/Nitrokey_Nitrokey_3.txt in LudovicRousseau/CCID."""
    (ccid,) = (one for one in parts(Key("card").descriptor(2)) if one[1] == 0x21)
    assert len(ccid) == 0x36
    version, slots, volts, protocols = struct.unpack_from("<HBBI", ccid, 2)
    assert (version, slots, volts, protocols) == (0x0110, 0, 1, 2)
    features, longest = struct.unpack_from("<II", ccid, 40)
    assert (features, longest) == (0x00040840, 3072)
    assert ccid[48:] == b"\xff\xff\0\0\0\x01"


def test_reports_go_by_control_requests_too():
    key = Key("ctaphid")
    assert key.ask(0x81, 6, 0x2200, 0, 100) == REPORTS
    assert key.ask(0x81, 6, 0x2100, 0, 100)[7:9] == len(REPORTS).to_bytes(2, "little")
    key.ask(0x21, 9, 0x0200, 0, data=b"report")
    assert key.got == [("ctaphid", b"report")]
    key.ask(0x21, 0x0A, 0x0500)
    assert key.ask(0xA1, 0x02, length=1) == b"\x05"
    with pytest.raises(Stall):
        key.ask(0xA1, 0x01, 0x0300, 0, 64)


def test_a_feature_report_is_the_newest_that_the_firmware_made():
    key = Key("hid-feature")
    assert key.ask(0xA1, 0x01, 0x0300, 0, 64) == bytes(64)
    key.ask(0x21, 0x09, 0x0300, 0, data=b"command")
    assert key.got == [("hid-feature", b"command")]
    key.device.send("hid-feature", b"answer")
    assert [key.ask(0xA1, 0x01, 0x0300, 0, 64) for _ in range(2)] == [b"answer", b"answer"]


def test_a_port_keeps_its_line_coding():
    key = Key("serial")
    coding = (9600).to_bytes(4, "little") + b"\2\1\7"
    key.ask(0x21, 0x20, 0, 0, data=coding)
    assert key.ask(0xA1, 0x21, 0, 0, 7) == coding
    assert key.ask(0x21, 0x22, 3) == b""
    with pytest.raises(Stall):
        key.ask(0x21, 0x20, 0, 0, data=b"short")


def test_standard_requests():
    key = Key("card", "ctaphid")
    assert key.ask(0x80, 8, length=1) == b"\0"
    key.ask(0x00, 9, 1)
    assert key.ask(0x80, 8, length=1) == b"\x01"
    assert key.ask(0x82, 0, 0, 0x81, 2) == b"\0\0"
    assert key.ask(0x02, 1, 0, 0x82) == b""
    assert key.ask(0x01, 11, 0, 1) == b""
    for kind, request, value, index in (
        (0x00, 9, 2, 0),
        (0x02, 1, 0, 0x8F),
        (0x01, 11, 1, 0),
        (0x01, 11, 0, 7),
        (0x40, 1, 0, 0),
        (0x81, 6, 0x2200, 5),
    ):
        with pytest.raises(Stall):
            key.ask(kind, request, value, index, 8)


def test_what_waits_for_a_host_that_does_not_ask_is_limited():
    key = Key("ctaphid")
    for number in range(1000):
        key.device.send("ctaphid", number.to_bytes(2, "big"))
    (waiting,) = key.device.waiting.values()
    assert waiting[-1] == (999).to_bytes(2, "big")
    assert len(waiting) < 1000
