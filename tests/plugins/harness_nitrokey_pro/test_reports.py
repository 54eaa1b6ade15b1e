"""The table of reports, and the check sum of the STM32's unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.codes import hotp, totp
from harness_nitrokey_pro.reports import COMMANDS
from support.pro import SECRET

FIELDS = st.sampled_from(sorted(COMMANDS))


def bitwise(data: bytes) -> int:
    """The same check sum bit by bit, as PM0041 and RM0008 describe the unit."""
    crc = 0xFFFFFFFF
    for start in range(0, len(data), 4):
        crc ^= int.from_bytes(data[start : start + 4], "little")
        for _ in range(32):
            crc = ((crc << 1) ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


@given(st.binary(min_size=60, max_size=60))
def test_the_check_sum_is_that_of_the_chip(data):
    assert reports.crc32(data) == bitwise(data)


def test_the_check_sum_of_the_request_for_the_status():
    # What libnitrokey sends: 60 zeros.
    assert reports.crc32(bytes(60)) == bitwise(bytes(60)) != 0


@given(FIELDS, st.data())
def test_what_is_packed_is_unpacked(name, data):
    command = COMMANDS[name]
    values = {
        field.name: data.draw(
            st.integers(0, 2 ** (8 * field.size) - 1)
            if field.is_number
            else st.binary(max_size=field.size).map(lambda found: found.replace(b"\0", b"x"))
        )
        for field in command.request
    }
    report = reports.request(command, values)
    assert len(report) == reports.SIZE
    found = reports.unpacked(command.request, report[1 : reports.CRC_AT])
    plain = {field.name: field for field in command.request if not field.is_number and not field.is_text}
    assert found == {
        name: value.ljust(plain[name].size, b"\0") if name in plain else value
        for name, value in values.items()
    }


def test_requests_and_answers_fit_their_reports():
    for command in COMMANDS.values():
        assert 1 + sum(field.size for field in command.request) <= reports.CRC_AT
        assert reports.ANSWER_AT + sum(field.size for field in command.answer) <= reports.CRC_AT


@pytest.mark.parametrize(
    "values", [{"pin": b"x" * 26}, {"pin": b"a\0b"}, {"nothing": 1}, {"temporary": 7}], ids=str
)
def test_what_does_not_fit_is_refused(values):
    with pytest.raises(ValueError, match=r"cannot hold|no such field"):
        reports.request(COMMANDS["admin"], values)


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="cannot hold 256"):
        reports.request(COMMANDS["slot_name"], {"slot": 256})


@given(st.integers(0, 3), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=53))
def test_an_answer_is_whole_whatever_its_state(state, code, status, data):
    raw = reports.answer(code, 0x12345678, status, data, state)
    found = reports.read_answer(raw)
    assert (found.state, found.code, found.crc, found.status) == (state, code, 0x12345678, status)
    assert found.is_whole
    assert found.data == data.ljust(53, b"\0")
    for place in (1, 6, 30, 63):
        other = bytearray(raw)
        other[place] ^= 0x10
        assert not reports.read_answer(bytes(other)).is_whole


def test_an_answer_of_another_size_is_none():
    with pytest.raises(ValueError, match="63 bytes"):
        reports.read_answer(bytes(63))


def test_codes_are_those_of_the_rfcs():
    # RFC 4226, appendix D.
    assert [hotp(SECRET, counter) for counter in range(5)] == [755224, 287082, 359152, 969429, 338314]
    # RFC 6238, appendix B.
    assert totp(SECRET, 59, digits=8) == 94287082
    assert totp(SECRET, 2000000000, digits=8) == 69279037
