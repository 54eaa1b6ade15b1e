"""A card as a CCID reader: messages by CCID 1.10, each way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.twin.usb_device.ccid import CHUNK, Ccid
from harness.twin.usb_device.function import Numbers, Setup, Stall, Ways

ATR = bytes.fromhex("3B8F01805D4E6974726F6B657900000000006A")
POWER_ON, POWER_OFF, STATUS, GET_PARAMETERS, TRANSFER, ABORT, ESCAPE = (
    0x62,
    0x63,
    0x65,
    0x6C,
    0x6F,
    0x72,
    0x6B,
)


class Reader:
    """A card's USB side, without the rest of the device."""

    def __init__(self):
        self.apdus: list[bytes] = []
        self.out: list[bytes] = []
        self.now_us = 0
        ways = Ways(lambda address, data: self.out.append(data), self.apdus.append)
        self.card = Ccid(ATR).start(Numbers(), ways, lambda: self.now_us)

    def say(
        self, kind: int, data: bytes = b"", sequence: int = 1, more: bytes = bytes(3), slot: int = 0
    ) -> None:
        self.card.received(struct.pack("<BIBB", kind, len(data), slot, sequence) + more + data)

    def heard(self) -> tuple[int, int, int, int, int, bytes]:
        """(type, sequence, status, error, last byte of the header, data) of the next answer."""
        message = self.out.pop(0)
        kind, size, slot, *rest = struct.unpack_from("<BIBBBBB", message)
        assert (slot, size) == (0, len(message) - 10)
        return kind, *rest, message[10:]

    def asked(self, *arguments, **more):
        self.say(*arguments, **more)
        return self.heard()


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_power_on_gives_the_answer_to_reset_and_the_slot_is_then_active(reader):
    assert reader.asked(STATUS) == (0x81, 1, 1, 0, 0, b"")
    assert reader.asked(POWER_ON, sequence=2) == (0x80, 2, 0, 0, 0, ATR)
    assert reader.asked(STATUS, sequence=3) == (0x81, 3, 0, 0, 0, b"")
    kind, _, status, _, protocol, parameters = reader.asked(GET_PARAMETERS)
    assert (kind, status, protocol, len(parameters)) == (0x82, 0, 1, 7)
    assert reader.asked(POWER_OFF) == (0x81, 1, 1, 0, 0, b"")


def test_an_apdu_reaches_the_card_and_its_answer_comes_with_its_number(reader):
    reader.say(TRANSFER, b"\0\xa4\4\0", sequence=200)
    assert (reader.apdus, reader.out) == ([b"\0\xa4\4\0"], [])
    reader.card.send(b"\x90\0")
    assert reader.heard() == (0x80, 200, 1, 0, 0, b"\x90\0")


@given(st.integers(1, 4 * CHUNK), st.integers(2, 4 * CHUNK))
def test_long_apdus_are_chained_each_way_and_arrive_whole(sent, answered):
    reader = Reader()
    apdu, answer = bytes(n % 251 for n in range(sent)), bytes(n % 241 for n in range(answered))
    parts = [apdu[at : at + CHUNK] for at in range(0, sent, CHUNK)]
    for number, part in enumerate(parts):
        level = (0 if len(parts) == 1 else 1) if number == 0 else (2 if number == len(parts) - 1 else 3)
        reader.say(TRANSFER, part, sequence=number, more=struct.pack("<BH", 0, level))
        if number < len(parts) - 1:
            assert reader.heard() == (0x80, number, 1, 0, 0x10, b"")
    assert reader.apdus == [apdu]
    reader.card.send(answer)
    whole, chain = b"", 1
    while chain in (1, 3):
        _, _, _, _, chain, data = reader.heard()
        whole += data
        if chain in (1, 3):
            reader.say(TRANSFER, sequence=9, more=struct.pack("<BH", 0, 0x10))
    assert whole == answer


@given(st.binary(min_size=1, max_size=200), st.integers(1, 64))
def test_a_message_may_come_in_packets(apdu, size):
    reader = Reader()
    whole = struct.pack("<BIBB", TRANSFER, len(apdu), 0, 5) + bytes(3) + apdu
    for at in range(0, len(whole), size):
        reader.card.received(whole[at : at + size])
    assert reader.apdus == [apdu]


def test_a_card_that_works_long_asks_for_more_time(reader):
    assert reader.card.next_event_us() is None
    reader.say(TRANSFER, b"\0\x46\0\0", sequence=7)
    for _ in range(3):
        due = reader.card.next_event_us()
        assert due is not None
        assert due > reader.now_us
        reader.card.advance(due - 1)
        assert reader.out == []
        reader.now_us = due
        reader.card.advance(due)
        kind, sequence, status, times, _, data = reader.heard()
        assert (kind, sequence, status & 0xC0, times > 0, data) == (0x80, 7, 0x80, True, b"")
    reader.card.send(b"\x90\0")
    assert reader.heard()[1:4] == (7, 1, 0)
    assert reader.card.next_event_us() is None


def test_a_busy_card_takes_no_second_command(reader):
    reader.say(TRANSFER, b"\0\x46\0\0", sequence=1)
    assert reader.asked(STATUS, sequence=2)[1:4] == (2, 0x41, 0xE0)
    reader.card.send(b"\x90\0")
    assert reader.heard()[1] == 1


def test_an_abort_ends_what_the_card_works_on_and_its_answer_is_nobodys(reader):
    reader.say(TRANSFER, b"\0\x46\0\0", sequence=4)
    assert reader.card.control(Setup(0x21, 0x01, 0x0500, 0, 0), b"") == b""
    assert reader.asked(STATUS, sequence=4)[2:4] == (0x41, 0xFF)
    assert reader.asked(ABORT, sequence=5)[1:4] == (5, 1, 0)
    reader.card.send(b"\x90\0")
    reader.say(TRANSFER, b"\0\xca\0\0", sequence=6)
    assert reader.out == []
    reader.card.send(b"\x6a\x82")
    assert reader.heard() == (0x80, 6, 1, 0, 0, b"\x6a\x82")


def test_answers_to_all_that_was_given_up_are_nobodys(reader):
    reader.say(TRANSFER, b"\0\x46\0\0", sequence=1)
    reader.card.reset()
    reader.say(TRANSFER, b"\0\xcb\0\0", sequence=2)
    assert reader.asked(ABORT, sequence=3)[1:4] == (3, 1, 0)
    reader.say(TRANSFER, b"\0\xca\0\0", sequence=4)
    for given_up in (b"\x90\1", b"\x90\2"):
        reader.card.send(given_up)
        assert reader.out == []
    reader.card.send(b"\x6a\x82")
    assert reader.heard() == (0x80, 4, 1, 0, 0, b"\x6a\x82")


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"kind": ESCAPE}, (0x81, 1, 0x41, 0)),
        ({"kind": TRANSFER, "slot": 1}, (0x80, 1, 0x41, 5)),
        ({"kind": TRANSFER, "more": b"\0\x10\0"}, (0x80, 1, 0x41, 8)),
        ({"kind": TRANSFER, "more": b"\0\x77\0"}, (0x80, 1, 0x41, 8)),
        ({"kind": TRANSFER, "data": bytes(CHUNK + 1)}, (0x81, 1, 0x41, 1)),
    ],
)
def test_what_a_reader_cannot_do_is_refused_by_its_code(reader, message, answer):
    assert reader.asked(**message)[:4] == answer
    assert reader.apdus == []
    assert reader.asked(POWER_ON)[5] == ATR


def test_other_control_requests_stall(reader):
    assert reader.card.control(Setup(0xA1, 0x02, 0, 0, 4), b"") == (3580).to_bytes(4, "little")
    with pytest.raises(Stall):
        reader.card.control(Setup(0x21, 0x09, 0, 0, 0), b"")
