"""The HID side as a device on the bus: states, dropped and wrong reports, cuts while it works, bad answers."""

from __future__ import annotations

import errno

import pytest

from harness.base.errors import KeyFault, MalformedAnswer, Refused
from harness_nitrokey_pro import reports
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.reports import BUSY, COMMANDS, READY, RECEIVED, Status
from support.pro import ADMIN, SECRET, client, pro


def report(name: str, **values) -> bytes:
    return reports.request(COMMANDS[name], values)


def endpoint(rig):
    return rig.transports.endpoint("hid-feature")


@pytest.fixture
def rig():
    found = pro()
    found.power.on()
    return found


def test_a_report_is_received_then_in_hand_then_answered(rig):
    wire = endpoint(rig)
    wire.send(report("admin", pin=ADMIN.encode(), temporary=b"t"))
    states = []
    for _ in range(100):
        states.append(wire.get()[0])
    assert sorted(set(states), key=states.index) == [BUSY, READY]
    assert reports.read_answer(wire.get()).status == Status.OK


def test_the_first_thing_that_is_seen_is_that_it_was_received(rig):
    wire = endpoint(rig)
    rig.clock.wait_us(500)
    wire.send(report("status"), 1)
    began_us = rig.clock.now_us
    assert rig.board.firmware.report("hid-feature", began_us)[0] == RECEIVED


def test_reading_before_anything_was_sent_gives_an_empty_report(rig):
    assert endpoint(rig).get() == bytes(64)


def test_a_report_that_comes_while_the_key_is_busy_is_dropped(rig):
    wire = endpoint(rig)
    first = report("admin", pin=ADMIN.encode(), temporary=b"t")
    wire.send(first)
    wire.send(report("status"))
    rig.clock.wait_us(1_000_000)
    found = reports.read_answer(wire.get())
    assert (found.code, found.crc) == (0x07, reports.crc32(first[:60]))


def test_the_client_says_that_a_report_was_dropped(rig):
    hid, wire = NitrokeyPro(rig), endpoint(rig)
    wire.send(report("admin", pin=ADMIN.encode(), temporary=b"t"))
    with pytest.raises(KeyFault, match="dropped a report") as caught:
        hid.status()
    assert "ready, with the answer to command 07" in str(caught.value)


def test_a_wrong_check_sum_is_refused_and_nothing_else_is_done(rig):
    wire = endpoint(rig)
    wrong = bytearray(report("admin", pin=b"00000000", temporary=b"t"))
    wrong[60] ^= 1
    wire.send(bytes(wrong))
    rig.clock.wait_us(1_000_000)
    found = reports.read_answer(wire.get())
    assert found.status == Status.WRONG_CRC
    assert found.crc == reports.crc32(bytes(wrong[:60]))
    assert NitrokeyPro(rig).tries() == (3, 3)


@pytest.mark.parametrize("length", [0, 1, 8, 59, 60, 63])
def test_a_report_cut_short_is_refused(rig, length):
    wire = endpoint(rig)
    wire.send(report("admin", pin=b"00000000", temporary=b"t")[:length])
    rig.clock.wait_us(1_000_000)
    assert reports.read_answer(wire.get()).status == Status.WRONG_CRC
    assert NitrokeyPro(rig).tries() == (3, 3)


@pytest.mark.parametrize("code", [0x0A, 0x16, 0x2E, 0x68, 0xFF])
def test_an_unknown_command_is_said_to_be_unknown(rig, code):
    body = bytes([code]).ljust(60, b"\0")
    found = NitrokeyPro(rig).exchange(body + reports.crc32(body).to_bytes(4, "little"))
    assert found.status == Status.UNKNOWN


def test_a_cut_while_it_works_is_seen_as_a_key_that_has_gone():
    hid = client()
    hid.rig.board.rail.arm_op(2, 0.5)
    with pytest.raises(OSError) as caught:
        hid.write_slot(0x10, b"name", SECRET, 0)
    assert caught.value.errno == errno.ENODEV
    marks = [mark.name for mark in hid.rig.tap.marks]
    assert marks[-1].startswith("request-sent")


def test_the_answer_is_marked_with_its_status_once(rig):
    hid = NitrokeyPro(rig)
    with pytest.raises(Refused, match="admin"):
        hid.log_in_admin("00000000")
    assert [(mark.name, mark.status) for mark in rig.tap.marks] == [
        ("request-sent", None),
        ("response", int(Status.WRONG_PASSWORD)),
    ]


class Wire:
    """An endpoint that answers from a list, and its last entry for ever."""

    def __init__(self, *answers: bytes):
        self.answers = list(answers)

    def send(self, report: bytes) -> None:
        pass

    def get(self) -> bytes:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def over(rig, *answers: bytes) -> NitrokeyPro:
    hid = NitrokeyPro(rig)
    hid.handle._reports = Wire(*answers)
    return hid


def test_a_key_that_stays_busy_is_the_keys_fault(rig):
    with pytest.raises(KeyFault, match="stays busy") as caught:
        over(rig, reports.answer(0, 0, 0, state=BUSY)).status()
    assert "state 1 after 30 s" in str(caught.value)
    assert caught.value.blame == "key"


def test_an_answer_with_a_wrong_check_sum_is_the_keys_fault(rig):
    broken = bytearray(reports.answer(0, reports.crc32(bytes(60)), 0))
    broken[20] ^= 1
    with pytest.raises(MalformedAnswer, match="CRC is wrong"):
        over(rig, bytes(broken)).status()


def test_an_answer_cut_short_is_the_keys_fault(rig):
    with pytest.raises(MalformedAnswer, match="a report of 12 bytes"):
        over(rig, bytes(12)).status()


def test_a_busy_key_is_waited_for(rig):
    crc = reports.crc32(bytes(60))
    busy = reports.answer(0, 0, 0, state=BUSY)
    hid = over(rig, busy, busy, reports.answer(0, crc, 0, b"\x0f\0"))
    assert hid.status()["version"] == 0x000F


def test_a_status_without_a_name_is_shown_as_a_number(rig):
    crc = reports.crc32(bytes(60))
    with pytest.raises(Refused) as caught:
        over(rig, reports.answer(0, crc, 0x77)).status()
    assert caught.value.status == "77"
