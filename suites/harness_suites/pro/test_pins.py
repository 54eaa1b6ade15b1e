"""PINs by HID are those of the card; what one side has verified, the other has not."""

from __future__ import annotations

import pytest

from harness_nitrokey_pro.reports import Status
from harness_openpgp.client import ADMIN, OTHER, OpenPgp
from harness_suites.pro.common import again, refused

WRONG, NEW = "99999999", "11223344"
WAYS = {
    "log_in_user": (0, lambda hid: hid.log_in_user(WRONG)),
    "log_in_admin": (1, lambda hid: hid.log_in_admin(WRONG)),
    "change_user_pin": (0, lambda hid: hid.change_user_pin(WRONG, NEW)),
    "change_admin_pin": (1, lambda hid: hid.change_admin_pin(WRONG, NEW)),
    "unblock": (1, lambda hid: hid.unblock(WRONG, NEW)),
    "factory_reset": (1, lambda hid: hid.factory_reset(WRONG)),
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)
REFUSALS = (Status.WRONG_PASSWORD, Status.USER_CHANGE, Status.ADMIN_CHANGE)


@EACH_WAY
def test_a_wrong_pin_costs_one_try_on_both_sides(hid, rig, way):
    which, offer = WAYS[way]
    with refused(*REFUSALS):
        offer(hid)
    assert hid.tries()[which] == 2
    assert hid.tries()[1 - which] == 3
    status = OpenPgp(rig).pin_status()
    assert (status.pw1, status.pw3) == hid.tries()


@EACH_WAY
def test_a_power_cycle_gives_no_try_back(hid, way):
    which, offer = WAYS[way]
    with refused(*REFUSALS):
        offer(hid)
    assert again(hid).tries()[which] == 2


@pytest.mark.parametrize("way", ["log_in_user", "log_in_admin"])
def test_after_three_wrong_pins_the_right_one_is_refused(hid, pins, way):
    which, offer = WAYS[way]
    for _ in range(3):
        with refused(Status.WRONG_PASSWORD):
            offer(hid)
    assert hid.tries()[which] == 0
    with refused(Status.WRONG_PASSWORD):
        hid.log_in_admin(pins.pw3) if which else hid.log_in_user(pins.pw1)


def test_the_right_pin_gives_the_tries_back(hid, pins):
    with refused(Status.WRONG_PASSWORD):
        hid.log_in_user(WRONG)
    hid.log_in_user(pins.pw1)
    assert hid.tries() == (3, 3)


def test_a_user_pin_that_was_changed_by_hid_is_the_cards(hid, pins, rig):
    hid.change_user_pin(pins.pw1, NEW)
    OpenPgp(rig).verify(NEW, OTHER)
    with refused(Status.WRONG_PASSWORD):
        again(hid).log_in_user(pins.pw1)


def test_an_admin_pin_that_was_changed_by_hid_is_the_cards(hid, pins, rig):
    hid.change_admin_pin(pins.pw3, NEW)
    OpenPgp(rig).verify(NEW, ADMIN)
    with refused(Status.WRONG_PASSWORD):
        again(hid).log_in_admin(pins.pw3)


def test_a_pin_that_was_changed_on_the_card_is_that_of_hid(hid, pins, rig):
    OpenPgp(rig).change(pins.pw1, NEW)
    hid.log_in_user(NEW)


def test_a_blocked_user_pin_is_set_anew_with_the_admin_pin(hid, pins):
    for _ in range(3):
        with refused(Status.WRONG_PASSWORD):
            hid.log_in_user(WRONG)
    hid.unblock(pins.pw3, NEW)
    hid.log_in_user(NEW)
    assert hid.tries() == (3, 3)


@pytest.mark.parametrize("short", ["1", "12345"])
def test_a_user_pin_that_is_too_short_is_refused_and_the_old_one_stays(hid, pins, short):
    with refused(Status.USER_CHANGE):
        hid.change_user_pin(pins.pw1, short)
    hid.log_in_user(pins.pw1)


def test_what_hid_has_verified_the_card_has_not(hid, pins, rig):
    card = OpenPgp(rig)
    hid.log_in_user(pins.pw1)
    hid.log_in_admin(pins.pw3)
    assert not card.is_verified(OTHER)
    assert not card.is_verified(ADMIN)


def test_what_the_card_has_verified_hid_has_not(hid, pins, rig):
    card = OpenPgp(rig)
    card.verify(pins.pw3, ADMIN)
    card.verify(pins.pw1, OTHER)
    with refused(Status.NOT_AUTHORIZED):
        hid.ask("safe_status")
    with refused(Status.WRONG_PASSWORD):
        hid.new_safe("")


def test_a_client_of_the_card_keeps_what_it_has_verified(hid, pins, rig):
    card = OpenPgp(rig)
    card.verify(pins.pw1, OTHER)
    hid.log_in_admin(pins.pw3)
    hid.status()
    assert card.is_verified(OTHER)
