"""What counts to its last byte: passwords and PINs of the longest kind. And time, which goes on while the key is on.

And what is refused, which must leave everything as it was, or is stored, which must be there whole.
"""

from __future__ import annotations

import pytest

from harness.api import Refused
from harness_nitrokey_pro import client, reports
from harness_nitrokey_pro.client import HIDDEN_SLOT, HOTP_SLOTS, TOTP_SLOTS
from harness_nitrokey_pro.codes import hotp, totp
from harness_nitrokey_pro.home import DAY, HOTP, TOTP, secret, takes_firmware_password
from harness_nitrokey_pro.reports import COMMANDS, Status
from harness_openpgp.client import ADMIN, OTHER, OpenPgp
from harness_suites.pro.common import again, refused

TEMPORARY = b"a temporary pass word 25."
LONG_PIN = "1234567890123456789012345"
FIRMWARE = b"twenty bytes of word"
ENTRY = (b"a name", b"a login", b"a password")
ALMOST = {TEMPORARY: TEMPORARY[:-1] + b"!", FIRMWARE: FIRMWARE[:-1] + b"!"}


def test_each_byte_of_the_admins_temporary_password_counts(hid, pins):
    hid.log_in_admin(pins.pw3, TEMPORARY)
    with refused(Status.NOT_AUTHORIZED):
        hid.erase_slot(TOTP, ALMOST[TEMPORARY])
    hid.erase_slot(TOTP, TEMPORARY)
    assert hid.slot(TOTP) is None


@pytest.mark.parametrize("slot", [HOTP, TOTP], ids="{:02X}".format)
def test_each_byte_of_the_users_temporary_password_counts_for_both_kinds_of_code(admin, mine, pins, slot):
    admin.set_config(pin_on=1)
    admin.set_time(mine.time)
    with refused(Status.NOT_AUTHORIZED):
        admin.code(slot)
    admin.log_in_user(pins.pw1, TEMPORARY)
    with refused(Status.NOT_AUTHORIZED):
        admin.code(slot, ALMOST[TEMPORARY])
    content = mine.slots[slot].secret
    assert admin.code(slot, TEMPORARY) == (hotp(content, 7) if slot == HOTP else totp(content, mine.time))


@pytest.mark.parametrize("which", ["user", "admin"])
def test_each_byte_of_the_longest_pin_counts_on_both_sides(hid, mine, pins, rig, which):
    is_admin = which == "admin"
    change, log_in, reference = (
        (hid.change_admin_pin, hid.log_in_admin, ADMIN)
        if is_admin
        else (hid.change_user_pin, hid.log_in_user, OTHER)
    )
    change(pins.pw3 if is_admin else pins.pw1, LONG_PIN)
    with refused(Status.WRONG_PASSWORD):
        log_in(LONG_PIN[:-1] + "0")
    assert hid.tries()[is_admin] == 2
    log_in(LONG_PIN)
    OpenPgp(rig).verify(LONG_PIN, reference)
    if mine.has_safe and not is_admin:
        hid.open_safe(LONG_PIN)
        assert hid.entries() == mine.entries


def test_an_unblocked_user_pin_counts_to_its_last_byte(hid, pins, rig):
    hid.unblock(pins.pw3, LONG_PIN)
    hid.log_in_user(LONG_PIN)
    OpenPgp(rig).verify(LONG_PIN, OTHER)


def test_each_byte_of_the_longest_firmware_password_counts(updatable, mine):
    updatable.change_firmware_password(mine.firmware_password, FIRMWARE)
    hid = again(updatable)
    with refused(Status.WRONG_PASSWORD):
        hid.change_firmware_password(ALMOST[FIRMWARE], FIRMWARE)
    hid.change_firmware_password(FIRMWARE, mine.firmware_password)


def test_time_goes_on_after_it_was_told(hid, mine, rig):
    told = mine.time // 30 * 30 + 30
    hid.set_time(told)
    began_us = rig.clock.now_us
    if rig.vault is None:
        pytest.skip("not offered: half a minute that does not have to be waited for")
    rig.clock.wait_us(65_000_000)
    seconds = (rig.clock.now_us - began_us) // 1_000_000
    assert hid.code(TOTP) in {totp(secret("totp"), told + late) for late in range(seconds - 1, seconds + 4)}
    assert hid.code(TOTP) != totp(secret("totp"), told)


def test_every_slot_and_every_entry_is_free_after_a_factory_reset(admin, mine, pins):
    for slot in (*HOTP_SLOTS, *TOTP_SLOTS):
        admin.write_slot(slot, b"full", b"secret of the owner", 30)
    if mine.has_safe:
        admin.open_safe(pins.pw1)
        for entry in range(16):
            admin.write_entry(entry, b"name", b"login", b"password")
    admin.factory_reset(pins.pw3)
    hid = again(admin)
    assert [slot for slot in (*HOTP_SLOTS, *TOTP_SLOTS) if hid.slot(slot) is not None] == []


def test_each_hotp_slot_has_a_counter_of_its_own(admin):
    """All of them are used, in turn: none counts for another, nor after a power cycle."""
    bases = {slot: 1000 * number for number, slot in enumerate(HOTP_SLOTS, 1)}
    for slot, base in bases.items():
        admin.write_slot(slot, b"own", bytes([slot]) * 20, base)
    for use in range(3):
        for slot, base in bases.items():
            assert admin.code(slot) == hotp(bytes([slot]) * 20, base + use)
        admin = again(admin)
    assert {slot: admin.slot(slot)["counter"] for slot in bases} == {
        slot: base + 3 for slot, base in bases.items()
    }


def test_a_slot_that_is_written_anew_has_nothing_of_the_erased_one(admin):
    """Without a secret of its own it would go on with the old one, which somebody wanted to be gone."""
    admin.erase_slot(HOTP)
    admin.write_slot(HOTP, b"anew", b"", 7)
    assert admin.code(HOTP) != hotp(secret("hotp"), 7)


def test_what_was_sent_for_one_slot_does_not_serve_for_the_next_one(admin, mine):
    """Name and secret go ahead in reports of their own, and are used up when the slot is written."""
    admin.write_slot(HOTP_SLOTS[1], b"first", b"secret of the first slot", 0)
    before = admin.slot(TOTP)
    with pytest.raises(Refused):
        admin.ask("write_slot", temporary=client.TEMPORARY, slot=TOTP, counter=30)
    assert admin.slot(TOTP) == before
    admin.write_slot(TOTP, b"renamed", b"", 30)
    admin.set_time(mine.time)
    assert admin.code(TOTP) == totp(mine.slots[TOTP].secret, mine.time)


def test_the_configuration_takes_effect_at_once(admin):
    assert admin.code(HOTP) == hotp(secret("hotp"), 7)
    admin.set_config(pin_on=1)
    with refused(Status.NOT_AUTHORIZED):
        admin.code(HOTP)
    admin.set_config(pin_on=0)
    assert admin.code(HOTP) == hotp(secret("hotp"), 8)


def test_a_wrong_user_pin_ends_the_users_temporary_password(admin, pins):
    admin.set_config(pin_on=1)
    admin.log_in_user(pins.pw1, b"user")
    with refused(Status.WRONG_PASSWORD):
        admin.log_in_user("99999999", b"user")
    with refused(Status.NOT_AUTHORIZED):
        admin.code(HOTP, b"user")


def test_unblocking_asks_for_the_admin_pin_though_the_admin_is_logged_in(admin, pins, rig):
    with refused(Status.WRONG_PASSWORD):
        admin.unblock("99999999", LONG_PIN)
    assert admin.tries() == (3, 2)
    OpenPgp(rig).verify(pins.pw1, OTHER)


def test_the_admins_temporary_password_makes_no_code(admin):
    admin.set_config(pin_on=1)
    with refused(Status.NOT_AUTHORIZED):
        admin.code(HOTP, client.TEMPORARY)


def test_a_code_that_the_hidden_slot_refuses_is_not_counted(hid, mine):
    """Asked more often than the window is long: a verified boot would never be verified again."""
    for _ in range(12):
        with refused(Status.WRONG_SLOT):
            hid.code(HIDDEN_SLOT)
    slot = mine.slots[HIDDEN_SLOT]
    assert hid.verify(hotp(slot.secret, mine.counters[HIDDEN_SLOT], slot.digits)) == 0


def test_a_changed_firmware_password_is_in_force_at_once(updatable, mine):
    updatable.change_firmware_password(mine.firmware_password, FIRMWARE)
    with refused(Status.WRONG_PASSWORD):
        updatable.change_firmware_password(mine.firmware_password, mine.firmware_password)
    updatable.change_firmware_password(FIRMWARE, FIRMWARE)


def test_an_entry_that_was_written_after_a_new_safe_is_there(safe, pins):
    """The safe that was open before may take it or not, but what it takes it keeps under the new key."""
    safe.new_safe(pins.pw3)
    try:
        safe.write_entry(1, *ENTRY)
    except Refused:
        safe.open_safe(pins.pw1)
        safe.write_entry(1, *ENTRY)
    found = again(safe)
    found.open_safe(pins.pw1)
    assert found.entries() == {1: ENTRY}


def test_a_new_safe_stays_when_the_firmware_password_is_changed_in_the_same_boot(safe, updatable, mine, pins):
    """Both stand on one page: a copy of it from before would bring the old safe's key back."""
    assert takes_firmware_password(updatable, mine.firmware_password)
    safe.new_safe(pins.pw3)
    safe.open_safe(pins.pw1)
    safe.write_entry(1, *ENTRY)
    updatable.change_firmware_password(mine.firmware_password, FIRMWARE)
    found = again(safe)
    found.open_safe(pins.pw1)
    assert found.entries() == {1: ENTRY}


def test_a_time_that_was_refused_does_not_move_the_clock(hid, mine):
    hid.set_time(mine.time)
    with refused(Status.TIMESTAMP):
        hid.set_time(mine.time - DAY, check=True)
    assert hid.code(TOTP) == totp(mine.slots[TOTP].secret, mine.time)


def test_a_counter_that_is_passed_over_goes_on_beyond_its_page(admin):
    """A page has room for 1,016 uses. Codes are passed over when a computer starts without the key."""
    content = b"secret of a boot"
    admin.write_slot(HIDDEN_SLOT, b"boot", content, 0)
    for counter in range(9, 1120, 10):
        assert admin.verify(hotp(content, counter)) == 9
        assert admin.verify(hotp(content, counter)) is None
    assert again(admin).verify(hotp(content, 1120)) == 0


# Refused, and stored


def spoilt(name, **values):
    """A report that would be obeyed if its check sum were right."""
    report = bytearray(reports.request(COMMANDS[name], values))
    report[-1] ^= 0x80
    return bytes(report)


CHANGES = {
    "config": {"num": 1, "caps": 1, "scroll": 1, "pin_on": 1, "delete": 1},
    "erase_slot": {"slot": TOTP},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_wrong_check_sum_changes_nothing_though_the_admin_asks(admin, name):
    before = admin.status(), admin.slot(TOTP)
    found = admin.exchange(spoilt(name, temporary=client.TEMPORARY, **CHANGES[name]))
    assert found.status == Status.WRONG_CRC
    assert (admin.status(), admin.slot(TOTP)) == before


def test_a_wrong_check_sum_erases_no_entry_of_an_open_safe(safe, mine):
    place = min(mine.entries)
    assert safe.exchange(spoilt("safe_erase", slot=place)).status == Status.WRONG_CRC
    assert safe.entries() == mine.entries


def test_a_time_that_was_refused_is_not_stored(hid, mine):
    """Else who asks twice goes back: the first request is refused, and the second one is later than the first."""
    with refused(Status.TIMESTAMP):
        hid.set_time(mine.time - DAY, check=True)
    later = mine.time - DAY + 3600
    with refused(Status.TIMESTAMP):
        hid.set_time(later, check=True)
    with refused(Status.TIMESTAMP):
        again(hid).set_time(later, check=True)


@pytest.mark.parametrize("slot", [HOTP, TOTP], ids="{:02X}".format)
def test_a_slot_keeps_its_token_id(admin, slot):
    token = bytes(range(1, reports.TOKEN + 1))
    admin.ask("otp_data", temporary=client.TEMPORARY, kind=ord("N"), part=0, data=b"token")
    admin.ask("write_slot", temporary=client.TEMPORARY, slot=slot, counter=30, token=token)
    assert admin.slot(slot)["token"] == token
    assert again(admin).ask("read_slot", slot=slot)["token"] == token
