"""Status, random numbers, and reports that are wrong."""

from __future__ import annotations

import pytest

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.client import HIDDEN_SLOT, HOTP_SLOTS, TOTP_SLOTS
from harness_nitrokey_pro.reports import COMMANDS, Status
from harness_openpgp.client import OpenPgp
from harness_suites.pro.common import again, refused

WRONG_CRC = (
    "status",
    "admin_tries",
    "write_slot",
    "erase_slot",
    "config",
    "code",
    "factory_reset",
    "safe_store",
    "safe_erase",
    "new_aes_key",
    "update",
)


@pytest.mark.reads
def test_the_status_tells_version_and_configuration(hid, mine):
    found = hid.status()
    assert 0x0007 <= found["version"] < 0x0100
    assert tuple(found[name] for name in ("num", "caps", "scroll", "pin_on", "delete")) == mine.config


@pytest.mark.reads
def test_the_serial_number_is_that_of_the_card(hid, rig):
    assert hid.status()["serial"] == int.from_bytes(OpenPgp(rig).aid[10:14], "little")


@pytest.mark.reads
def test_the_status_is_the_same_after_a_power_cycle(hid):
    before = hid.status()
    assert again(hid).status() == before


@pytest.mark.reads
def test_the_tries_are_those_of_the_card(hid, rig):
    status = OpenPgp(rig).pin_status()
    assert hid.tries() == (status.pw1, status.pw3)


@pytest.mark.parametrize("count", [0, 1, 16, 50, 51])
@pytest.mark.reads
def test_random_numbers_of_this_length(hid, count):
    first, second = (hid.ask("random", count=count) for _ in range(2))
    assert first["count"] == count
    assert first["data"][count:] == bytes(51 - count)
    assert count < 16 or first["data"] != second["data"]


@pytest.mark.parametrize("count", [52, 255])
@pytest.mark.reads
def test_more_random_numbers_than_fit_are_cut_off(hid, count):
    assert hid.ask("random", count=count)["count"] == reports.RANDOM_MAX


@pytest.mark.parametrize("name", WRONG_CRC)
@pytest.mark.reads
def test_a_wrong_check_sum_is_refused_and_nothing_is_done(hid, name):
    before, tries = hid.status(), hid.tries()
    report = bytearray(reports.request(COMMANDS[name], {}))
    report[63] ^= 0x80
    found = hid.exchange(bytes(report))
    assert found.status == Status.WRONG_CRC
    assert (hid.status(), hid.tries()) == (before, tries)


@pytest.mark.parametrize("length", [1, 32, 60, 63])
@pytest.mark.reads
def test_a_report_cut_short_is_refused_and_the_key_goes_on(hid, length):
    report = reports.request(COMMANDS["status"], {}).replace(b"\0", b"\1")[:length]
    found = hid.exchange(report.ljust(64, b"\0"))
    assert found.status == Status.WRONG_CRC
    assert hid.status()["version"]


@pytest.mark.parametrize("code", [0x2E, 0x68, 0x7F, 0xFF])
@pytest.mark.reads
def test_an_unknown_command_is_refused(hid, code):
    body = bytes([code]).ljust(60, b"\0")
    found = hid.exchange(body + reports.crc32(body).to_bytes(4, "little"))
    assert found.status in (Status.UNKNOWN, Status.NOT_SUPPORTED)


@pytest.mark.parametrize("name", ["slot_name", "read_slot", "code"])
@pytest.mark.parametrize("slot", [0x00, 0x0F, 0x14, 0x1F, 0x2F, 0x30, 0xFF], ids="{:02X}".format)
def test_there_is_no_such_slot(hid, name, slot):
    with refused(Status.WRONG_SLOT):
        hid.ask(name, slot=slot)


@pytest.mark.parametrize("slot", [*HOTP_SLOTS[1:], *TOTP_SLOTS[1:-1]], ids="{:02X}".format)
def test_a_free_slot_is_said_to_be_free(hid, slot):
    for name in ("slot_name", "read_slot", "code"):
        with refused(Status.NOT_PROGRAMMED):
            hid.ask(name, slot=slot)


def test_the_hidden_slot_gives_no_code(hid):
    with refused(Status.WRONG_SLOT):
        hid.code(HIDDEN_SLOT)
