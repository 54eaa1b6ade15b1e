"""Transport kinds: what a handle marks on the tap, and what is said where a rig cannot give one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.base.errors import HarnessFault, MalformedAnswer, Refused, RigError
from harness.bench.registry import discover
from harness.model.tap import Tap
from harness.model.transport import BusIdentity, TransportKind, Transports
from harness_nitrokey3.dfu_port import NORDIC_DFU
from harness_transports.card import CARD, card
from harness_transports.ctaphid import CTAPHID, ctaphid_packets
from harness_transports.feature import HID_FEATURE, hid_feature
from harness_transports.mboot import MBOOT, mboot
from harness_transports.serial import SERIAL, serial


class Endpoints(Transports):
    """The endpoints that a test gives to a rig."""

    def __init__(self, rig, **offered):
        super().__init__(rig)
        self.offered = offered

    def identity(self):
        return BusIdentity("test", 1, 2, "product")

    def endpoint(self, name):
        if name not in self.offered:
            raise self.unknown(name)
        return self.offered[name]


class Reader:
    """A card that answers from a list."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def connect(self):
        pass

    def disconnect(self):
        pass

    def atr(self):
        return b"\x3b\x00"

    def exchange(self, apdu):
        self.asked.append(apdu.hex())
        return bytes.fromhex(self.answers.pop(0))


def rig_with(**offered):
    rig = SimpleNamespace(name="r", tap=Tap(VirtualClock()))
    rig.transports = Endpoints(rig, **offered)
    return rig


def marks(rig):
    return [(mark.name, mark.status) for mark in rig.tap.marks]


def transmit(rig, *apdus):
    connection = card(rig)
    return [connection.transmit(list(bytes.fromhex(apdu))) for apdu in apdus]


def test_a_tap_keeps_both_bytes_of_a_status_word():
    rig = rig_with(card=Reader("63C2", "63C0", "019000"))
    assert transmit(rig, "00200081", "00200081", "00B00000")[-1] == ([1], 0x90, 0)
    assert [status for name, status in marks(rig) if name.startswith("response")] == [0x63C2, 0x63C0, 0x9000]


def test_an_answer_in_parts_is_one_request_and_one_response():
    rig = rig_with(card=Reader("AA6102", "BB6101", "CC9000"))
    transmit(rig, "00CA0000", "00C0000002", "00C0000001")
    assert marks(rig) == [("request-sent", None), ("response", 0x9000)]


def test_a_get_response_that_nothing_announced_is_a_request_of_its_own():
    rig = rig_with(card=Reader("9000", "6985"))
    transmit(rig, "00CA0000", "00C0000002")
    assert [name for name, _ in marks(rig)] == ["request-sent", "response", "request-sent-2", "response-2"]


def test_a_chained_command_is_one_request():
    rig = rig_with(card=Reader("9000", "9000", "9000"))
    transmit(rig, "10DB3FFF01AA", "10DB3FFF01BB", "00DB3FFF01CC")
    assert marks(rig) == [("request-sent", None), ("response", 0x9000)]


def test_a_chained_block_that_is_refused_ends_its_command():
    rig = rig_with(card=Reader("9000", "6884"))
    transmit(rig, "10DB3FFF01AA", "10DB3FFF01BB")
    assert marks(rig) == [("response", 0x6884)]


def test_a_card_that_answers_half_a_status_word_is_the_keys_fault():
    with pytest.raises(MalformedAnswer, match="two status bytes") as caught:
        transmit(rig_with(card=Reader("90")), "00CA0000")
    assert (caught.value.answer, caught.value.garbled, caught.value.blame) == (b"\x90", True, "key")


def test_less_than_a_header_is_no_command():
    with pytest.raises(ValueError, match="at least 4 bytes"):
        transmit(rig_with(card=Reader()), "00CA00")


class Wire:
    def __init__(self, *packets):
        self.packets, self.sent = list(packets), []

    def send(self, data):
        self.sent.append(data)

    def receive(self):
        return self.packets.pop(0)

    def get(self):
        return self.packets.pop(0)

    def close(self):
        pass


def test_ctaphid_marks_a_long_message_once_in_each_direction():
    head, rest = b"\0\0\0\1", bytes(59)
    rig = rig_with(
        ctaphid=Wire(
            (head + b"\xbb\0\1\2").ljust(64, b"\0"), head + b"\x90\0\x50\x2e" + bytes(56), head + b"\0" + rest
        )
    )
    packets = ctaphid_packets(rig)
    packets.write_packet(head + b"\x90\0\x50" + bytes(57))
    assert marks(rig) == []
    packets.write_packet(head + b"\0" + rest)
    for _ in range(3):
        packets.read_packet()
    assert marks(rig) == [("request-sent", None), ("keepalive", 2), ("response", 0x2E)]


def test_a_card_whose_answer_has_no_end_is_not_read_for_ever():
    class Endless(Reader):
        def exchange(self, apdu):
            return bytes(200) + b"\x61\xff"

    with pytest.raises(MalformedAnswer, match="no end after 656"):
        card(rig_with(card=Endless())).command("READ BINARY", 0xB0)


def test_feature_reports_are_marked_once_a_request():
    rig = rig_with(**{"hid-feature": Wire(b"busy", b"done")})
    handle = hid_feature(rig)
    handle.send(b"command")
    assert [handle.get(), handle.get()] == [b"busy", b"done"]
    assert [name for name, _ in marks(rig)] == ["request-sent", "response"]


def test_a_bootloaders_data_belong_to_the_command_that_they_follow():
    done, data = bytes.fromhex("03000800a000000100000000"), bytes.fromhex("040003006162630000")
    rig = rig_with(mboot=Wire(done, data, bytes.fromhex("04000000"), done))
    chip = mboot(rig)
    assert chip.command(0x03, 0, 3, data_follows=True).tag == 0xA0
    assert [chip.read(), chip.read()] == [b"abc", None]
    assert chip.response().words == (0,)
    assert marks(rig) == [("request-sent", None), ("response", 0), ("response-2", 0)]


@pytest.mark.parametrize("end", ["0300000000", "0400000000"])
def test_a_bootloader_that_aborts_what_it_is_sent_says_why_afterwards(end):
    done, refused = (
        bytes.fromhex(f"03000c00a0000002{status}08000000") for status in ("00000000", "75270000")
    )
    rig = rig_with(mboot=Wire(done, bytes.fromhex(end), refused))
    chip = mboot(rig)
    chip.command(0x08, 3, data_follows=True)
    chip.write(b"abc")
    with pytest.raises(Refused, match="10101"):
        chip.response()


@pytest.mark.parametrize(
    ("status", "words"), [("00000000", (0, 3)), ("68000000", None)], ids=["whole", "cut"]
)
def test_a_response_where_data_are_due_ends_them(status, words):
    """Nobody has to know beforehand how much a bootloader sends."""
    done = bytes.fromhex("03000c00a00000020000000003000000")
    data = bytes.fromhex("0400030061626300")
    chip = mboot(rig_with(mboot=Wire(done, data, bytes.fromhex(f"03000c00a0000002{status}03000000"), done)))
    chip.command(0x03, 0, 3, data_follows=True)
    assert list(iter(chip.read, None)) == [b"abc"]
    if words:
        assert chip.response().words == words
    else:
        with pytest.raises(Refused, match="104"):
            chip.response()
    assert chip.response().words == (0, 3), "it was taken once"


@pytest.mark.parametrize(
    "report",
    [
        "",
        "030008",
        "03000800a0000001",
        "03000400a0000000",
        "03000800a000000200000000",
        "0400020061",
        "05000000",
    ],
)
def test_what_is_no_packet_of_a_bootloader_is_malformed(report):
    with pytest.raises(MalformedAnswer, match="mboot command 0x07"):
        mboot(rig_with(mboot=Wire(bytes.fromhex(report)))).command(0x07, 1)


@given(st.binary(max_size=72))
def test_a_bootloaders_report_is_a_response_or_malformed_or_a_refusal(report):
    try:
        mboot(rig_with(mboot=Wire(report, report))).command(0x07, 1)
    except MalformedAnswer:
        return
    except Refused as refused:
        assert refused.status != "0"
    assert report[0] == 3


class Port:
    port, serial_number, timeout = "/dev/null", "1", 1.0

    def __init__(self):
        self.written = b""

    def write(self, data):
        self.written += bytes(data)
        return len(data)

    def read(self, size=1):
        return b"x" * size

    def close(self):
        pass


def test_a_serial_port_marks_each_write_and_what_first_answers_it():
    rig = rig_with(serial=Port())
    port = serial(rig)
    assert (port.write(b"ab"), port.read(2), port.read(1), port.serial_number) == (2, b"xx", b"x", "1")
    assert [name for name, _ in marks(rig)] == ["request-sent", "response"]


@pytest.mark.parametrize("kind", [CTAPHID, CARD, SERIAL, HID_FEATURE, MBOOT, NORDIC_DFU])
def test_a_rig_without_an_endpoint_says_which(kind: TransportKind):
    with pytest.raises(RigError, match=f'no transport "{kind.endpoint_name}"'):
        rig_with().transports.open(kind)


@pytest.mark.parametrize("kind", [CTAPHID, CARD, SERIAL, HID_FEATURE, MBOOT, NORDIC_DFU])
def test_a_driver_that_gives_the_wrong_thing_is_named(kind: TransportKind):
    with pytest.raises(HarnessFault, match="cannot be used"):
        rig_with(**{kind.endpoint_name: object()}).transports.open(kind)


def test_kinds_are_found_like_everything_else():
    found = discover().transports
    assert {"ctaphid", "card", "serial", "hid-feature", "mboot", "nordic-dfu"} <= found.keys()
    assert found["nordic-dfu"].endpoint_name == "serial"
