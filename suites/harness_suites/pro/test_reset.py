"""Each way of reset against what stays, the firmware password, and the policy on older firmware."""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, Refused, glass_box
from harness_nitrokey_pro.client import number
from harness_nitrokey_pro.home import FACTORY_CONFIG, SLOT_NUMBERS
from harness_nitrokey_pro.images import BOOTLOADER_SINCE, text
from harness_nitrokey_pro.reports import Status
from harness_openpgp.client import ADMIN, OpenPgp
from harness_openpgp.home import DEFAULT_PW1, DEFAULT_PW3
from harness_suites.pro.common import again, refused

OTHER = b"another password"


def takes(hid, password: bytes) -> bool:
    try:
        hid.change_firmware_password(password, password)
    except Refused:
        return False
    return True


def test_a_factory_reset_leaves_no_secret_and_no_setting(hid, pins):
    hid.factory_reset(pins.pw3)
    hid = again(hid)
    assert [number for number in SLOT_NUMBERS if hid.slot(number) is not None] == []
    found = hid.status()
    assert tuple(found[name] for name in ("num", "caps", "scroll", "pin_on", "delete")) == FACTORY_CONFIG
    assert hid.tries() == (3, 3)
    hid.log_in_user(DEFAULT_PW1)
    hid.log_in_admin(DEFAULT_PW3)
    with refused(Status.SAFE_KEY):
        hid.open_safe(DEFAULT_PW1)


def test_after_a_factory_reset_a_new_safe_is_empty(hid, pins, mine):
    hid.factory_reset(pins.pw3)
    if mine.has_safe:
        hid.new_safe(DEFAULT_PW3)
        hid.open_safe(DEFAULT_PW1)
        assert hid.entries() == {}


def test_a_factory_reset_ends_what_was_authorised(admin, pins):
    admin.factory_reset(pins.pw3)
    with refused(Status.NOT_AUTHORIZED):
        admin.erase_slot(0x10)


def test_a_factory_reset_closes_the_safe(hid, pins, mine):
    if mine.has_safe:
        hid.open_safe(pins.pw1)
    hid.factory_reset(pins.pw3)
    with refused(Status.NOT_AUTHORIZED):
        hid.ask("safe_status")


def test_a_factory_reset_ends_what_the_user_was_allowed(admin, pins):
    """Else the temporary password of the owner before gets codes of the next one."""
    admin.set_config(pin_on=1)
    admin.log_in_user(pins.pw1, b"of before")
    admin.factory_reset(pins.pw3)
    admin.log_in_admin(DEFAULT_PW3)
    admin.write_slot(0x10, b"next", b"secret of the next owner", 0)
    admin.set_config(pin_on=1)
    with refused(Status.NOT_AUTHORIZED):
        admin.code(0x10, b"of before")


def test_a_factory_reset_leaves_the_firmware_password_in_force(updatable, pins, mine):
    """nitrokey-pro-firmware 981a7e6, CcidLocalAccess.c, factoryReset: else the admin PIN would open the bootloader."""
    updatable.change_firmware_password(mine.firmware_password, OTHER)
    updatable.factory_reset(pins.pw3)
    assert takes(again(updatable), OTHER)


def test_a_refused_factory_reset_changes_nothing(hid, mine):
    before = {number: hid.slot(number) for number in SLOT_NUMBERS}
    with refused(Status.WRONG_PASSWORD):
        hid.factory_reset("99999999")
    hid = again(hid)
    assert {number: hid.slot(number) for number in SLOT_NUMBERS} == before


def test_a_reset_of_the_card_alone_leaves_the_slots_and_ends_the_safe(hid, pins, mine, rig):
    """gpg's factory-reset: the owner has to know that the seeds stay (nitrokey-app #484)."""
    before = {number: hid.slot(number) for number in SLOT_NUMBERS}
    card = OpenPgp(rig)
    card.verify(pins.pw3, ADMIN)
    card.terminate()
    card.activate()
    hid = again(hid)
    assert {number: hid.slot(number) for number in SLOT_NUMBERS} == before
    with refused(Status.SAFE_KEY):
        hid.open_safe(DEFAULT_PW1)
    if mine.has_safe:
        hid.new_safe(DEFAULT_PW3)
        hid.open_safe(DEFAULT_PW1)
        assert hid.entries() == {}


def test_after_a_factory_reset_no_secret_of_a_slot_is_on_the_flash(admin, pins, rig):
    """Who gets the key next could read it out of the chip, from pages and from copies of pages."""
    glass = glass_box(rig)
    if glass is None:
        pytest.skip(f"{NOT_OFFERED}: a simulated key, whose flash can be read")
    secrets = {place: f"the secret of slot {place:02X}".encode() for place in SLOT_NUMBERS}

    def left() -> list[int]:
        pages = b"".join(page for chip in glass.snapshot().chips.values() for page in chip.pages)
        return [place for place, secret in secrets.items() if secret in pages]

    for place, secret in secrets.items():
        admin.write_slot(place, b"of before", secret, 30)
    assert left() == list(secrets)
    admin.factory_reset(pins.pw3)
    assert left() == []


def test_a_terminated_card_is_not_activated_by_the_hid_side(hid, pins, rig):
    card = OpenPgp(rig)
    card.verify(pins.pw3, ADMIN)
    card.terminate()
    hid = again(hid)
    with refused(Status.WRONG_PASSWORD):
        hid.log_in_user(DEFAULT_PW1)
    assert OpenPgp(rig, terminated=True).is_terminated


# The firmware password


def test_the_firmware_password_is_changed(updatable, mine):
    updatable.change_firmware_password(mine.firmware_password, OTHER)
    hid = again(updatable)
    assert takes(hid, OTHER)
    assert not takes(hid, mine.firmware_password)


@pytest.mark.parametrize("wrong", [b"", b"12345679", b"1234567", b"123456780"], ids=repr)
def test_a_wrong_firmware_password_is_refused_and_the_right_one_stays(updatable, mine, wrong):
    with refused(Status.WRONG_PASSWORD):
        updatable.change_firmware_password(wrong, OTHER)
    assert takes(again(updatable), mine.firmware_password)


@pytest.mark.parametrize("short", [b"", b"1", b"1234567"], ids=len)
def test_a_firmware_password_that_is_too_short_is_refused(updatable, mine, short):
    with pytest.raises(Refused):
        updatable.change_firmware_password(mine.firmware_password, short)
    assert takes(again(updatable), mine.firmware_password)


@pytest.mark.parametrize("length", [8, 19, 20])
def test_a_firmware_password_of_this_length(updatable, mine, length):
    updatable.change_firmware_password(mine.firmware_password, b"p" * length)
    assert takes(again(updatable), b"p" * length)


def test_who_forgot_the_firmware_password_never_updates(updatable, pins):
    """No PIN stands in for it: the bootloader stays closed, and the key goes on."""
    for guess in (pins.pw3.encode(), pins.pw1.encode(), b"00000000"):
        with refused(Status.WRONG_PASSWORD):
            updatable.start_bootloader(guess)
    assert updatable.status()["version"]
    assert updatable.rig.face == "application"


def test_older_firmware_is_kept_out_by_the_firmware_password_alone(updatable, record_property):
    """A fact for the report: below its password the bootloader compares no version and no signature."""
    with refused(Status.WRONG_PASSWORD):
        updatable.start_bootloader(OTHER)
    record_property(
        "policy",
        "the firmware password alone allows an update, also to an older image; without it no update is possible, "
        "and no PIN and no reset replaces it",
    )


def test_firmware_before_0_11_has_no_update(hid, record_property):
    """A fact for the report: it knows neither the bootloader nor its password."""
    found = number(hid.status(), "version")
    if found >= BOOTLOADER_SINCE:
        pytest.skip(f"{NOT_OFFERED}: firmware before 0.11")
    with refused(Status.UNKNOWN):
        hid.start_bootloader(b"12345678")
    with refused(Status.UNKNOWN):
        hid.change_firmware_password(b"12345678", OTHER)
    record_property("policy", f"firmware {text(found)} is never updated: the bootloader came with 0.11")
