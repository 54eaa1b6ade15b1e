"""The raw endpoints of a twin: queues of their own, one clock, and what a cut does to them."""

from __future__ import annotations

import errno

import pytest
from serial import SerialException

from harness.base.errors import RigError
from harness.model.rig import KeyGone
from harness.twin.board import FRAME_US
from harness.twin.rig import TwinRig
from support.small_twin import HALT, WORK_US, small_rig


@pytest.fixture
def small() -> TwinRig:
    return small_rig()


def test_a_twin_without_a_chip_named_ifs_says_what_it_is(small: TwinRig) -> None:
    assert small.info().transport == "twin, small flash, layer plain"
    assert len(small.fingerprint()) == 64


def test_a_card_answers_each_command(small: TwinRig) -> None:
    card = small.transports.endpoint("card")
    card.connect()
    assert card.atr() == b"\x3b\x00"
    assert card.exchange(b"\x00\xa4\x04\x00") == b"card\x00\xa4\x04\x00"


def test_an_exchange_takes_its_frames_and_the_work(small: TwinRig) -> None:
    began_us = small.clock.now_us
    small.transports.endpoint("card").exchange(b"\x00" * 130)
    assert small.clock.now_us == began_us + 3 * FRAME_US + WORK_US + FRAME_US


def test_each_endpoint_has_a_queue_of_its_own(small: TwinRig) -> None:
    card, reports = small.transports.endpoint("card"), small.transports.endpoint("hid-feature")
    card.send(b"\x00A")
    reports.send(b"\x00B")
    assert reports.get() == b"hid-feature\x00B"
    after_us = small.clock.now_us
    assert card.receive() == b"card\x00A", "the answer of the card waits for the reader of the card"
    assert small.clock.now_us == after_us, "the clock never goes back"


def test_the_server_takes_packets_of_all_endpoints_in_the_order_of_their_times(small: TwinRig) -> None:
    for name in ("hid-feature", "card", "hid-feature"):
        small.transports.endpoint(name).send(b"\x00")
    taken = []
    while packet := small.board.next_packet():
        taken.append(small.board.queue(packet.endpoint).popleft())
    assert [packet.endpoint for packet in taken] == ["hid-feature", "card", "hid-feature"]
    assert [packet.at_us for packet in taken] == sorted(packet.at_us for packet in taken)


def test_a_key_that_never_answers_is_told_as_a_real_one_would_be(small: TwinRig) -> None:
    with pytest.raises(TimeoutError, match="the key does not answer"):
        small.transports.endpoint("card").receive()


def test_a_serial_port_returns_what_came_before_its_timeout(small: TwinRig) -> None:
    port = small.transports.endpoint("serial")
    assert (port.port, port.serial_number) == ("twin:small-1:serial", "0001")
    port.write(b"\x00?")
    assert port.read(100) == b"serial\x00?"
    began_us = small.clock.now_us
    port.timeout = 0.25
    assert port.read(1) == b""
    assert small.clock.now_us == began_us + 250_000


def test_a_cut_in_a_flash_operation_takes_the_answer_with_it(small: TwinRig) -> None:
    card = small.transports.endpoint("card")
    small.board.rail.arm_op(1, 0.5)
    with pytest.raises(OSError, match="gone") as caught:
        card.exchange(b"\x01")
    assert caught.value.errno == errno.ENODEV
    assert small.clock.now_us == small.board.rail.failed_us


def test_a_packet_later_than_the_cut_does_not_exist_and_an_earlier_one_does(small: TwinRig) -> None:
    card = small.transports.endpoint("card")
    card.send(b"\x00A")
    card.send(b"\x00B")
    first = small.board.next_packet()
    assert first is not None
    small.board.rail.arm_at(first.at_us)
    assert card.receive() == b"card\x00A"
    with pytest.raises(OSError, match="gone"):
        card.receive()
    assert small.clock.now_us == first.at_us
    assert not small.power.is_on


def test_a_serial_port_that_loses_its_key_raises_its_own_exception(small: TwinRig) -> None:
    port = small.transports.endpoint("serial")
    small.power.off()
    with pytest.raises(SerialException, match="twin:small-1:serial is gone"):
        port.write(b"\x00")


def test_a_handle_of_an_earlier_boot_reaches_nothing(small: TwinRig) -> None:
    card = small.transports.endpoint("card")
    small.power.off()
    small.power.on()
    with pytest.raises(OSError, match="gone"):
        card.exchange(b"\x00")
    assert small.transports.endpoint("card").exchange(b"\x00") == b"card\x00"


def test_a_firmware_that_halts_is_a_time_out(small: TwinRig) -> None:
    with pytest.raises(OSError, match="halted") as caught:
        small.transports.endpoint("card").exchange(HALT)
    assert caught.value.errno == errno.ETIMEDOUT


def test_an_endpoint_of_another_face_is_not_there_and_an_unknown_one_never_is(small: TwinRig) -> None:
    with pytest.raises(KeyGone, match='in its application, which has no endpoint "mboot"'):
        small.transports.endpoint("mboot")
    with pytest.raises(RigError, match="ctaphid"):
        small.transports.endpoint("ctaphid")
    small.power.off()
    with pytest.raises(KeyGone, match="not on the bus"):
        small.transports.endpoint("card")
