"""CTAPHID by raw packets (CTAP 2.1, section 11.2)."""

from __future__ import annotations

import itertools

import pytest

from harness.twin import cbor
from harness.twin.board import Board
from harness.twin.handlers import Handler, Reply
from harness_fido2.twin import hid
from support.twin import ES256, HASH, RP, make

ERROR = 0xBF
MAKE = b"\x01" + cbor.encode({1: HASH, 2: RP, 3: {"id": b"u"}, 4: ES256})


class Bus:
    """Packets to and from a board."""

    def __init__(self, board: Board):
        self.board = board

    def send(self, channel: int, *rest: int | bytes) -> None:
        body = b"".join(part if isinstance(part, bytes) else bytes((part,)) for part in rest)
        packet = channel.to_bytes(4, "big") + body
        self.board.deliver("ctaphid", packet.ljust(64, b"\0"), self.board.clock.now_us + 1000)

    def begin(self, channel: int, command: int, size: int, data: bytes = b"") -> None:
        self.send(channel, 0x80 | command, size.to_bytes(2, "big"), data)

    def call(self, channel: int, command: int, data: bytes) -> None:
        self.begin(channel, command, len(data), data[:57])
        for sequence, at in enumerate(range(57, len(data), 59)):
            self.send(channel, sequence, data[at : at + 59])

    def get(self) -> tuple[int, int, bytes]:
        """Channel, command byte and data of the next packet."""
        while not self.board.queue("ctaphid"):
            assert self.board.advance(), "nothing comes"
        data = self.board.queue("ctaphid").popleft().data
        assert len(data) == 64
        size = int.from_bytes(data[5:7], "big")
        return int.from_bytes(data[:4], "big"), data[4], data[7 : 7 + size]

    def allocate(self) -> int:
        self.begin(hid.BROADCAST, hid.INIT, 8, b"noncense")
        channel, command, data = self.get()
        assert (channel, command, data[:8]) == (hid.BROADCAST, 0x86, b"noncense")
        return int.from_bytes(data[8:12], "big")

    def wait(self, duration_us: int) -> None:
        end_us = self.board.clock.now_us + duration_us
        while self.board.advance(end_us):
            pass
        self.board.clock.reach_us(end_us)

    @property
    def is_silent(self) -> bool:
        return not self.board.queue("ctaphid")


@pytest.fixture
def bus() -> Bus:
    return Bus(make())


def test_init_says_what_the_key_is(bus: Bus) -> None:
    bus.begin(hid.BROADCAST, hid.INIT, 8, b"12345678")
    _, command, data = bus.get()
    assert command == 0x86
    assert data[:8] == b"12345678"
    assert data[12:] == bytes((2, 1, 8, 3, 0x05))


def test_channels_differ(bus: Bus) -> None:
    assert len({bus.allocate() for _ in range(20)} - {0, hid.BROADCAST}) == 20


def test_init_on_a_channel_keeps_it(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.INIT, 8, b"abcdefgh")
    assert bus.get()[:2] == (channel, 0x86)


def test_init_ends_what_its_channel_had_begun(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, 200)
    bus.begin(channel, hid.INIT, 8, b"abcdefgh")
    assert bus.get()[1] == 0x86
    bus.send(channel, 0)
    bus.wait(1_000_000)
    assert bus.is_silent
    bus.call(channel, hid.PING, b"x")
    assert bus.get() == (channel, 0x81, b"x")


def test_init_ends_a_wait_for_touch(bus: Bus) -> None:
    bus.board.touch_delay_us = None
    channel = bus.allocate()
    bus.call(channel, hid.CBOR, MAKE)
    assert bus.get() == (channel, 0xBB, b"\x02")
    bus.begin(channel, hid.INIT, 8, b"abcdefgh")
    assert bus.get()[1] == 0x86
    bus.call(channel, hid.PING, b"x")
    assert bus.get() == (channel, 0x81, b"x")


def test_init_on_broadcast_disturbs_nobody(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, 100, b"a" * 57)
    bus.allocate()
    bus.send(channel, 0, b"a" * 43)
    assert bus.get()[:2] == (channel, 0x81)


@pytest.mark.parametrize("size", [0, 7, 9])
def test_init_has_eight_bytes(bus: Bus, size: int) -> None:
    bus.begin(hid.BROADCAST, hid.INIT, size)
    assert bus.get() == (hid.BROADCAST, ERROR, b"\x03")


@pytest.mark.parametrize("channel", [0, hid.BROADCAST, 77])
@pytest.mark.parametrize("command", [hid.PING, hid.CBOR, hid.MSG, hid.WINK])
def test_other_channels_are_invalid(bus: Bus, channel: int, command: int) -> None:
    bus.begin(channel, command, 1, b"x")
    assert bus.get() == (channel, ERROR, b"\x0b")


def test_init_is_not_for_channel_0(bus: Bus) -> None:
    bus.begin(0, hid.INIT, 8, b"abcdefgh")
    assert bus.get() == (0, ERROR, b"\x0b")


def test_init_adopts_a_channel_that_a_host_kept(bus: Bus) -> None:
    bus.begin(77, hid.INIT, 8, b"abcdefgh")
    channel, _, data = bus.get()
    assert (channel, data[:8], data[8:12]) == (77, b"abcdefgh", bytes((0, 0, 0, 77)))
    bus.begin(77, hid.PING, 1, b"x")
    assert bus.get()[0::2] == (77, b"x")


@pytest.mark.parametrize("size", [0, 1, 57, 58, 116, 117, 1024, hid.MESSAGE_MAX, hid.FRAME_MAX])
def test_ping_echoes(bus: Bus, size: int) -> None:
    channel = bus.allocate()
    data = bytes(i % 251 for i in range(size))
    bus.call(channel, hid.PING, data)
    answer = b""
    while len(answer) < size or not answer:
        while not bus.board.queue("ctaphid"):
            assert bus.board.advance()
        packet = bus.board.queue("ctaphid").popleft().data
        answer += packet[7:] if packet[4] & 0x80 else packet[5:]
        if not size:
            break
    assert answer[:size] == data


def test_a_message_that_cannot_be_framed_is_refused(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, hid.FRAME_MAX + 1)
    assert bus.get() == (channel, ERROR, b"\x03")


@pytest.mark.parametrize(
    ("command", "size"),
    [(hid.CBOR, 0), (hid.MSG, 0), (hid.CBOR, 3073), (hid.MSG, 3073), (hid.WINK, 1), (0x61, 3073)],
)
def test_lengths_that_no_command_has(bus: Bus, command: int, size: int) -> None:
    channel = bus.allocate()
    bus.begin(channel, command, size)
    assert bus.get() == (channel, ERROR, b"\x03")


@pytest.mark.parametrize("command", [0x00, 0x02, hid.LOCK, 0x12, 0x3B, 0x3F, 0x3C, 0x50, 0x70, 0x71, 0x7F])
def test_unknown_commands_are_refused(bus: Bus, command: int) -> None:
    channel = bus.allocate()
    bus.begin(channel, command, 1, b"x")
    assert bus.get() == (channel, ERROR, b"\x01")


def test_a_wrong_sequence_number_ends_the_message(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, 200)
    bus.send(channel, 0)
    bus.send(channel, 2)
    assert bus.get() == (channel, ERROR, b"\x04")
    bus.send(channel, 1)
    bus.wait(1_000_000)
    assert bus.is_silent


def test_a_new_message_inside_one_ends_it(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, 200)
    bus.begin(channel, hid.PING, 1, b"x")
    assert bus.get() == (channel, ERROR, b"\x04")
    bus.call(channel, hid.PING, b"x")
    assert bus.get() == (channel, 0x81, b"x")


def test_a_message_that_stalls_times_out_after_half_a_second(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.PING, 200)
    bus.wait(400_000)
    bus.send(channel, 0)
    bus.wait(499_000)
    assert bus.is_silent
    bus.wait(10_000)
    assert bus.get() == (channel, ERROR, b"\x05")


def test_others_are_told_busy_while_a_message_is_assembled(bus: Bus) -> None:
    first, second = bus.allocate(), bus.allocate()
    bus.begin(first, hid.PING, 100, b"a" * 57)
    bus.begin(second, hid.PING, 1, b"x")
    assert bus.get() == (second, ERROR, b"\x06")
    bus.send(second, 0, b"ignored")
    bus.send(first, 0, b"a" * 43)
    assert bus.get()[:2] == (first, 0x81)


def test_all_are_told_busy_while_a_touch_is_awaited(bus: Bus) -> None:
    bus.board.touch_delay_us = None
    first, second = bus.allocate(), bus.allocate()
    bus.call(first, hid.CBOR, MAKE)
    assert bus.get() == (first, 0xBB, b"\x02")
    for channel in (first, second):
        bus.begin(channel, hid.PING, 1, b"x")
        assert bus.get() == (channel, ERROR, b"\x06")
    bus.begin(second, hid.CANCEL, 0)
    bus.begin(first, hid.CANCEL, 0)
    assert bus.get() == (first, 0x90, b"\x2d")


def test_a_cancel_without_a_request_has_no_answer(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.CANCEL, 0)
    bus.wait(1_000_000)
    assert bus.is_silent


def test_continuations_of_nothing_are_ignored(bus: Bus) -> None:
    channel = bus.allocate()
    bus.send(channel, 0, b"x")
    bus.send(99, 5, b"x")
    bus.wait(1_000_000)
    assert bus.is_silent


def test_keepalives_while_a_touch_is_awaited(bus: Bus) -> None:
    bus.board.touch_delay_us = 1_050_000
    channel = bus.allocate()
    bus.call(channel, hid.CBOR, MAKE)
    asked_us = bus.board.clock.now_us
    bus.wait(1_000_000)
    kept = [(packet.at_us, packet.data[7]) for packet in bus.board.queue("ctaphid")]
    assert all(status == 2 for _, status in kept)
    assert 9 <= len(kept) <= 11
    assert kept[0][0] <= asked_us
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(kept)]
    assert all(90_000 <= gap <= 110_000 for gap in gaps)


def test_keepalives_while_flash_is_written(bus: Bus) -> None:
    channel = bus.allocate()
    bus.call(channel, hid.CBOR, MAKE)
    statuses = []
    while (packet := bus.get())[1] == 0xBB:
        statuses.append(packet[2][0])
    assert packet[1] == 0x90
    assert packet[2][0] == 0
    # The touch comes after 0.2 s; then the counter's write stops the CPU for 85 ms at a time.
    assert statuses[0] == 2
    assert 1 in statuses[statuses.index(2) :]


def test_a_touch_before_the_request_does_not_count(bus: Bus) -> None:
    bus.board.touch_delay_us = None
    assert not bus.board.firmware.press()
    channel = bus.allocate()
    bus.call(channel, hid.CBOR, MAKE)
    assert bus.get()[2] == b"\x02"
    bus.wait(300_000)
    assert bus.board.firmware.press()
    while (packet := bus.get())[1] == 0xBB:
        pass
    assert packet[2][0] == 0


def test_wink(bus: Bus) -> None:
    channel = bus.allocate()
    bus.begin(channel, hid.WINK, 0)
    assert bus.get() == (channel, 0x88, b"")
    assert bus.board.firmware.hid.winks == 1


def test_a_handler_may_answer_and_work_on() -> None:
    def handler(data: bytes) -> Handler:
        yield Reply(b"done")
        assert board.flash["efs"].erase(400)
        return b"not sent"

    board = make()
    erased = list(board.flash["efs"].erases)
    board.firmware = hid.HidFirmware(board, (0, 0, 1), {0x41: handler})
    bus = Bus(board)
    channel = bus.allocate()
    bus.call(channel, 0x41, b"go")
    assert bus.get() == (channel, 0xC1, b"done")
    assert bus.is_silent
    assert sum(board.flash["efs"].erases) == sum(erased) + 1
