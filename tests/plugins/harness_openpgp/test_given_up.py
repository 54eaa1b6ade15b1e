"""A command that waits for a touch and is aborted in the reader: the next command gets its own answer."""

from __future__ import annotations

import struct

import pytest

from harness.bench.registry import discover
from harness.twin.card_firmware import ResetByReader
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.usb_device.ccid import Ccid
from harness.twin.usb_device.function import Numbers, Setup, Ways
from harness_openpgp.client import ADMIN, SIGN, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3
from harness_openpgp.slots import Slot
from support.hsm import up

POWER_ON, TRANSFER, ABORT = 0x62, 0x6F, 0x72
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420") + bytes(32)
SELECT, COUNTER = bytes.fromhex("00A4040006D2760001240100"), bytes.fromhex("00CA00C400")
NOT_VERIFIED = b"\x69\x82"


class Reader:
    """A CCID reader with the card of a simulated key, whose firmware runs."""

    def __init__(self, rig: TwinRig):
        self.board, self.sequence = rig.board, 0
        self.heard: list[tuple[int, bytes]] = []
        """(sequence number, data) of each message for the host."""
        ways = Ways(self._to_host, self._to_key, reset_card=self._reset_card)
        self.card = Ccid(b"\x3b").start(Numbers(), ways, lambda: self.board.clock.now_us)

    def _to_host(self, address: int, message: bytes) -> None:
        self.heard.append((message[6], message[10:]))

    def _to_key(self, apdu: bytes) -> None:
        self.board.deliver("card", apdu, self.board.clock.now_us)

    def _reset_card(self):
        assert isinstance(self.board.firmware, ResetByReader)
        return self.board.firmware.card_was_reset()

    def say(self, kind: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """Send a message; returns what the host is told then, without what waits for anything."""
        self.sequence += 1
        self.card.received(struct.pack("<BIBB", kind, len(data), 0, self.sequence) + bytes(3) + data)
        return self.told()

    def told(self) -> list[tuple[int, bytes]]:
        queue = self.board.queue("card")
        while queue:
            self.card.send(queue.popleft().data)
        heard, self.heard = self.heard, []
        return heard

    def abort(self) -> None:
        self.card.control(Setup(0x21, 0x01, (self.sequence + 1) << 8, 0, 0), b"")
        assert self.say(ABORT) == [(self.sequence, b"")]


@pytest.fixture(params=["openpgp", "nitrokey3-mini-openpgp"])
def reader(request) -> Reader:
    """Its card waits for the touch that a signature needs."""
    plugins = discover()
    key = request.param
    rig = up(TwinRig("mine", plugins.keys[key], plugins.twins[key], TwinOptions(), 1, expendable=True))
    card = OpenPgp(rig)
    card.verify(DEFAULT_PW3, ADMIN)
    card.generate(Slot.SIGN)
    card.put(Slot.SIGN.uif, b"\x01\x20")
    card.verify(DEFAULT_PW1, SIGN)
    made = Reader(rig)
    made.say(POWER_ON)
    made.say(TRANSFER, SELECT)
    made.say(TRANSFER, bytes([0, 0x20, 0, SIGN, 6]) + DEFAULT_PW1.encode())
    assert made.say(TRANSFER, sign()) == []
    return made


def sign() -> bytes:
    return bytes([0, 0x2A, 0x9E, 0x9A, len(DIGEST_INFO)]) + DIGEST_INFO + b"\0"


def test_the_next_command_gets_its_own_answer(reader):
    reader.abort()
    for _ in range(2):
        ((sequence, answer),) = reader.say(TRANSFER, COUNTER)
        assert (sequence, len(answer), answer[-2:]) == (reader.sequence, 9, b"\x90\0")


def test_a_reset_of_the_card_ends_the_wait(reader):
    reader.abort()
    reader.say(POWER_ON)
    reader.say(TRANSFER, SELECT)
    assert reader.say(TRANSFER, sign()) == [(reader.sequence, NOT_VERIFIED)]


def test_a_touch_after_the_abort_signs_nothing_for_the_next_command(reader):
    reader.abort()
    assert reader.board.firmware.press()
    while reader.board.advance():
        pass
    assert reader.told() == []
    assert reader.say(TRANSFER, COUNTER)[0][0] == reader.sequence


def test_a_press_for_a_command_that_was_given_up_serves_no_other_one(reader):
    reader.abort()
    assert reader.board.firmware.press()
    reader.say(TRANSFER, bytes([0, 0x20, 0, SIGN, 6]) + DEFAULT_PW1.encode())
    assert reader.say(TRANSFER, sign()) == []
    due = reader.board.firmware.next_event_us()
    assert due > reader.board.clock.now_us + 10_000_000
