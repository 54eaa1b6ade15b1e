"""One-time passwords: the vectors of RFC 4226 and RFC 6238, every slot, counters, time, and who may write."""

from __future__ import annotations

import pytest

from harness_nitrokey_pro.client import HIDDEN_SLOT, HOTP_SLOTS, TOTP_SLOTS
from harness_nitrokey_pro.codes import hotp, totp
from harness_nitrokey_pro.home import DAY, HOTP, TOTP, secret
from harness_nitrokey_pro.reports import Status
from harness_suites.pro.common import again, refused

RFC = b"12345678901234567890"
HOTP_VECTORS = (755224, 287082, 359152, 969429, 338314, 254676, 287922, 162583, 399871, 520489)
TOTP_VECTORS = {2000000000: 69279037, 20000000000: 65353130}
EIGHT = 1
EVERY = [*HOTP_SLOTS, *TOTP_SLOTS]
SLOTS = pytest.mark.parametrize("slot", EVERY, ids="{:02X}".format)


def set_up(hid, slot, content=RFC, parameter=None, **more):
    """Write a slot, and tell the time for a TOTP one."""
    hid.write_slot(slot, b"case", content, parameter or (5 if slot < 0x20 else 30), **more)


@pytest.mark.parametrize("counter, code", enumerate(HOTP_VECTORS))
def test_hotp_codes_of_rfc_4226(admin, counter, code):
    admin.write_slot(HOTP, b"rfc", RFC, counter)
    assert admin.code(HOTP) == code


def test_hotp_codes_one_after_the_other(admin):
    admin.write_slot(HOTP, b"rfc", RFC, 0)
    assert tuple(admin.code(HOTP) for _ in HOTP_VECTORS) == HOTP_VECTORS


@pytest.mark.parametrize("time, code", TOTP_VECTORS.items())
def test_totp_codes_of_rfc_6238(admin, time, code):
    admin.write_slot(TOTP, b"rfc", RFC, 30, config=EIGHT)
    admin.set_time(time)
    assert admin.code(TOTP) == code


@pytest.mark.parametrize("interval", [1, 10, 30, 60, 3600])
def test_totp_codes_of_this_interval(admin, interval):
    admin.write_slot(TOTP, b"interval", RFC, interval, config=EIGHT)
    time = 2_000_000_000 // 3600 * 3600
    admin.set_time(time)
    # An interval of one second may end between the two requests.
    assert admin.code(TOTP) in {totp(RFC, time + late, interval, 8) for late in range(3)}


@SLOTS
def test_what_is_written_into_this_slot_is_there_and_alone(admin, mine, slot):
    before = {other: admin.slot(other) for other in EVERY if other != slot}
    set_up(admin, slot, config=EIGHT)
    found = admin.slot(slot)
    assert (found["name"], found["config"]) == (b"case", EIGHT)
    assert found["counter"] == (5 if slot < 0x20 else 30)
    assert {other: admin.slot(other) for other in before} == before
    hid = again(admin)
    assert hid.slot(slot) == found
    hid.set_time(2_000_000_000)
    assert hid.code(slot) == (hotp(RFC, 5, 8) if slot < 0x20 else totp(RFC, 2_000_000_000, 30, 8))


@SLOTS
def test_a_slot_that_was_erased_is_free(admin, slot):
    set_up(admin, slot)
    admin.erase_slot(slot)
    assert admin.slot(slot) is None
    with refused(Status.NOT_PROGRAMMED):
        admin.code(slot)
    assert again(admin).slot(slot) is None


@pytest.mark.parametrize("length", [1, 10, 20, 29, 30, 31, 39, 40])
def test_a_secret_of_this_many_bytes(admin, length):
    content = bytes(range(1, length + 1))
    admin.write_slot(HOTP, b"long", content, 0)
    assert admin.code(HOTP) == hotp(content, 0)


@pytest.mark.parametrize("counter", [0, 255, 2**16 - 1, 2**32 - 1, 2**32, 2**48], ids=hex)
def test_a_counter_of_this_size(admin, counter):
    admin.write_slot(HOTP, b"counter", RFC, counter)
    assert [admin.code(HOTP), admin.code(HOTP)] == [hotp(RFC, counter), hotp(RFC, counter + 1)]


@pytest.mark.parametrize("name", [b"x", b"fifteen letters", "Käse".encode()], ids=len)
def test_a_name_of_this_length(admin, name):
    admin.write_slot(HOTP, name, RFC, 0)
    assert admin.ask("slot_name", slot=HOTP)["name"] == name


def test_a_slot_without_a_name_is_refused_and_stays(admin, mine):
    before = admin.slot(HOTP)
    with refused(Status.NO_NAME):
        admin.write_slot(HOTP, b"", RFC, 0)
    assert admin.slot(HOTP) == before


def test_without_a_secret_the_old_one_stays(admin):
    admin.write_slot(HOTP, b"renamed", b"", 100)
    assert admin.ask("slot_name", slot=HOTP)["name"] == b"renamed"
    assert admin.code(HOTP) == hotp(secret("hotp"), 100)


def test_a_shorter_secret_leaves_nothing_of_a_longer_one(admin):
    admin.write_slot(HOTP, b"long", bytes(range(1, 41)), 0)
    admin.write_slot(HOTP, b"short", b"short", 0)
    assert admin.code(HOTP) == hotp(b"short", 0)


def test_seeds_that_are_entered_again_give_the_same_codes_and_the_counter_goes_on(admin):
    """A new key after a loss: the owner has the seeds, and the counter where the old key was."""
    set_up(admin, HOTP, parameter=41)
    first = [admin.code(HOTP) for _ in range(3)]
    reached = admin.slot(HOTP)["counter"]
    admin.erase_slot(HOTP)
    set_up(admin, HOTP_SLOTS[2], parameter=reached)
    assert [*first, admin.code(HOTP_SLOTS[2])] == [hotp(RFC, counter) for counter in range(41, 45)]


def test_a_counter_outlives_a_power_cycle(admin):
    set_up(admin, HOTP, parameter=9)
    admin.code(HOTP)
    assert again(admin).code(HOTP) == hotp(RFC, 10)


# Who may write


def test_nobody_writes_without_the_admin(hid):
    for attempt in (
        lambda: hid.ask("otp_data", kind=ord("N"), data=b"x", temporary=b"guess"),
        lambda: hid.ask("write_slot", slot=HOTP, temporary=b"guess"),
        lambda: hid.erase_slot(HOTP),
        lambda: hid.set_config(temporary=b"guess"),
    ):
        with refused(Status.NOT_AUTHORIZED):
            attempt()
    assert hid.slot(HOTP) is not None


def test_an_empty_temporary_password_authorises_nothing(hid, pins):
    hid.log_in_admin(pins.pw3, temporary=b"")
    with refused(Status.NOT_AUTHORIZED):
        hid.erase_slot(HOTP, temporary=b"")


def test_another_temporary_password_authorises_nothing(admin):
    with refused(Status.NOT_AUTHORIZED):
        admin.erase_slot(HOTP, temporary=b"another")


def test_the_temporary_password_is_gone_after_a_power_cycle(admin):
    with refused(Status.NOT_AUTHORIZED):
        again(admin).erase_slot(HOTP)


def test_a_wrong_pin_ends_the_temporary_password(admin, pins):
    with refused(Status.WRONG_PASSWORD):
        admin.log_in_admin("99999999")
    with refused(Status.NOT_AUTHORIZED):
        admin.erase_slot(HOTP)


def test_the_users_temporary_password_is_not_the_admins(hid, pins):
    hid.log_in_user(pins.pw1, temporary=b"user")
    with refused(Status.NOT_AUTHORIZED):
        hid.erase_slot(HOTP, temporary=b"user")


def test_codes_ask_for_the_user_pin_where_the_configuration_says_so(admin, pins):
    admin.set_config(pin_on=1)
    hid = again(admin)
    with refused(Status.NOT_AUTHORIZED):
        hid.code(HOTP)
    hid.log_in_user(pins.pw1, temporary=b"user")
    assert hid.code(HOTP, b"user") == hotp(secret("hotp"), 7)
    assert hid.code(HOTP, b"user") == hotp(secret("hotp"), 8)


def test_the_users_temporary_password_serves_once_where_the_configuration_says_so(admin, pins):
    admin.set_config(pin_on=1, delete=1)
    admin.log_in_user(pins.pw1, temporary=b"user")
    admin.code(HOTP, b"user")
    with refused(Status.NOT_AUTHORIZED):
        admin.code(HOTP, b"user")


@pytest.mark.parametrize("slot", [HOTP, TOTP], ids="{:02X}".format)
def test_the_users_temporary_password_serves_once_for_each_kind_of_code(admin, mine, pins, slot):
    admin.set_config(pin_on=1, delete=1)
    admin.set_time(mine.time)
    admin.log_in_user(pins.pw1, temporary=b"user")
    admin.code(slot, b"user")
    for other in (HOTP, TOTP):
        with refused(Status.NOT_AUTHORIZED):
            admin.code(other, b"user")


@SLOTS
def test_a_slot_that_is_written_or_erased_leaves_the_configuration(admin, slot):
    names = ("num", "caps", "scroll", "pin_on", "delete")
    before = dict(zip(names, (0, 1, 2, 1, 1)))
    admin.set_config(**before)
    for change in (lambda: set_up(admin, slot), lambda: admin.erase_slot(slot)):
        change()
        assert {name: admin.status()[name] for name in names} == before
    found = again(admin).status()
    assert {name: found[name] for name in names} == before


@pytest.mark.parametrize("config", [(0, 1, 2, 0, 0), (255, 255, 255, 1, 0), (2, 2, 2, 1, 1)], ids=str)
def test_a_configuration_outlives_a_power_cycle(admin, config):
    num, caps, scroll, pin_on, delete = config
    admin.set_config(num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete)
    found = again(admin).status()
    assert tuple(found[name] for name in ("num", "caps", "scroll", "pin_on", "delete")) == config


# The hidden slot


@pytest.mark.parametrize("offset", range(10))
def test_a_code_ahead_is_taken_and_counted(hid, mine, offset):
    slot, counter = mine.slots[HIDDEN_SLOT], mine.counters[HIDDEN_SLOT]
    assert hid.verify(hotp(slot.secret, counter + offset, slot.digits)) == offset
    assert hid.verify(hotp(slot.secret, counter + offset, slot.digits)) is None
    assert hid.verify(hotp(slot.secret, counter + offset + 1, slot.digits)) == 0


@pytest.mark.parametrize("offset", [-1, 10, 11, 100])
def test_a_code_too_far_away_is_refused_and_nothing_is_counted(hid, mine, offset):
    slot, counter = mine.slots[HIDDEN_SLOT], mine.counters[HIDDEN_SLOT]
    assert hid.verify(hotp(slot.secret, counter + offset, slot.digits)) is None
    assert hid.verify(hotp(slot.secret, counter, slot.digits)) == 0


@pytest.mark.parametrize("digits", [6, 8])
def test_each_digit_of_a_code_counts(admin, digits):
    set_up(admin, HIDDEN_SLOT, parameter=5, config=EIGHT if digits == 8 else 0)
    right = hotp(RFC, 5, digits)
    wrong = {(right + 10**place) % 10**digits for place in range(digits)} | {right + 10**digits}
    near = {hotp(RFC, 5 + ahead, digits) for ahead in range(10)}
    assert [code for code in sorted(wrong - near) if admin.verify(code) is not None] == []
    assert admin.verify(right) == 0


def test_five_boots_of_a_verified_boot(hid, mine):
    """Each boot shows one code; the boot without the key shows one that the key never sees."""
    slot, counter = mine.slots[HIDDEN_SLOT], mine.counters[HIDDEN_SLOT]
    for passed_over in (0, 0, 1, 0, 3):
        counter += passed_over
        assert hid.verify(hotp(slot.secret, counter, slot.digits)) == passed_over
        counter += 1
        hid = again(hid)


# Time


def test_no_code_is_made_of_a_time_that_nobody_told_in_this_boot(hid):
    with refused(Status.TIMESTAMP):
        hid.code(TOTP)


def test_a_later_time_is_taken_without_force(hid, mine):
    hid.set_time(mine.time + DAY, check=True)
    assert hid.code(TOTP) == totp(mine.slots[TOTP].secret, mine.time + DAY)


@pytest.mark.parametrize("back", [120, DAY, 365 * DAY])
def test_an_older_time_is_refused_and_no_code_is_made_of_it(hid, mine, back):
    with refused(Status.TIMESTAMP):
        hid.set_time(mine.time - back, check=True)
    with refused(Status.TIMESTAMP):
        hid.code(TOTP)


def test_a_time_that_was_told_outlives_a_power_cycle(hid, mine):
    hid.set_time(mine.time + 10 * DAY)
    with refused(Status.TIMESTAMP):
        again(hid).set_time(mine.time + 9 * DAY, check=True)


def test_an_older_time_can_be_forced(hid, mine):
    hid.set_time(mine.time - DAY)
    assert hid.code(TOTP) == totp(mine.slots[TOTP].secret, mine.time - DAY)
    again(hid).set_time(mine.time - DAY + 60, check=True)
