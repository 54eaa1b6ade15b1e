"""The password safe."""

from __future__ import annotations

import pytest

from harness_nitrokey_pro.reports import Status
from harness_suites.pro.common import again, refused

LOCKED: dict[str, dict[str, int | bytes]] = {
    "safe_status": {},
    "safe_name": {"slot": 0},
    "safe_password": {"slot": 0},
    "safe_login": {"slot": 0},
    "safe_put": {"slot": 0, "name": b"x"},
    "safe_store": {"slot": 0, "login": b"x"},
    "safe_erase": {"slot": 0},
}
ENTRY = (b"a name", b"a login", b"a password")


@pytest.mark.parametrize("name", LOCKED)
def test_a_closed_safe_refuses(hid, name):
    with refused(Status.NOT_AUTHORIZED):
        hid.ask(name, **LOCKED[name])


def test_the_entries_are_there(safe, mine):
    assert safe.entries() == mine.entries


def test_the_entries_outlive_a_power_cycle(safe, mine, pins):
    hid = again(safe)
    hid.open_safe(pins.pw1)
    assert hid.entries() == mine.entries


@pytest.mark.parametrize("slot", range(16))
def test_an_entry_of_this_slot_is_written_and_alone(safe, mine, pins, slot):
    safe.write_entry(slot, *ENTRY)
    assert safe.entries() == {**mine.entries, slot: ENTRY}
    hid = again(safe)
    hid.open_safe(pins.pw1)
    assert hid.entries() == {**mine.entries, slot: ENTRY}


@pytest.mark.parametrize("slot", [0, 7, 15])
def test_an_entry_that_was_erased_is_gone_and_the_others_stay(safe, mine, slot):
    safe.erase_entry(slot)
    assert safe.entries() == {other: entry for other, entry in mine.entries.items() if other != slot}
    assert safe.entry(slot) == (b"", b"", b"")


@pytest.mark.parametrize(
    "entry",
    [(b"x", b"", b""), (b"elevenbytes", b"l" * 32, b"p" * 20), ("Grüße".encode(), b"\x80", b"\xff")],
    ids=["least", "most", "not ASCII"],
)
def test_an_entry_of_these_lengths(safe, entry):
    safe.write_entry(4, *entry)
    assert safe.entry(4) == entry


@pytest.mark.parametrize("slot", [16, 17, 255])
def test_there_is_no_such_entry(safe, slot):
    for name in ("safe_name", "safe_password", "safe_login", "safe_put", "safe_store", "safe_erase"):
        with refused(Status.WRONG_SLOT):
            safe.ask(name, slot=slot)


def test_the_first_report_of_an_entry_alone_writes_nothing(safe, mine, pins):
    safe.ask("safe_put", slot=4, name=b"half", password=b"half")
    assert safe.entries() == mine.entries
    hid = again(safe)
    hid.open_safe(pins.pw1)
    assert hid.entries() == mine.entries


def test_the_second_report_stores_nothing_that_was_announced_for_another_slot(safe, mine):
    safe.ask("safe_put", slot=4, name=b"four", password=b"four")
    with refused(Status.WRONG_SLOT):
        safe.ask("safe_store", slot=5, login=b"five")
    assert safe.entries() == mine.entries


def test_locking_closes_the_safe(safe):
    safe.lock()
    with refused(Status.NOT_AUTHORIZED):
        safe.ask("safe_status")


def test_a_power_cycle_closes_the_safe(safe):
    with refused(Status.NOT_AUTHORIZED):
        again(safe).ask("safe_status")


def test_a_wrong_pin_opens_nothing_and_costs_a_try(hid, mine):
    with refused(Status.WRONG_PASSWORD):
        hid.open_safe("99999999")
    assert hid.tries()[0] == 2
    with refused(Status.NOT_AUTHORIZED):
        hid.ask("safe_status")


def test_a_wrong_pin_closes_an_open_safe(safe):
    with refused(Status.WRONG_PASSWORD):
        safe.open_safe("99999999")
    with refused(Status.NOT_AUTHORIZED):
        safe.ask("safe_status")


def test_a_new_key_empties_the_safe(safe, pins):
    safe.new_safe(pins.pw3)
    safe.open_safe(pins.pw1)
    assert safe.entries() == {}


def test_a_refused_new_key_changes_nothing(safe, mine, pins):
    with refused(Status.WRONG_PASSWORD):
        safe.new_safe("99999999")
    assert safe.tries()[1] == 2
    hid = again(safe)
    hid.open_safe(pins.pw1)
    assert hid.entries() == mine.entries


def test_the_entries_stay_when_the_pin_is_changed(safe, mine, pins):
    safe.change_user_pin(pins.pw1, "11223344")
    hid = again(safe)
    hid.open_safe("11223344")
    assert hid.entries() == mine.entries


def test_the_entries_stay_when_the_firmware_password_is_changed(safe, updatable, mine, pins):
    updatable.change_firmware_password(mine.firmware_password, b"another one")
    hid = again(safe)
    hid.open_safe(pins.pw1)
    assert hid.entries() == mine.entries


def test_the_card_can_hold_the_safes_key(safe, pins):
    safe.ask("detect_aes", pin=pins.pw1.encode())
