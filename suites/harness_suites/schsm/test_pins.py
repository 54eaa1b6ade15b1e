"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, transport PIN; row by row."""

from __future__ import annotations

import pytest

from harness_schsm.client import EC_SHA256, SO, USER, ScHsm
from harness_suites.schsm.second import (
    BLOCKED,
    FORBIDDEN,
    NOT_LOGGED_IN,
    WRONG_DATA,
    WRONG_SO,
    refused,
    wrong,
)

WRONG, NEW, LONG_PIN = "99999999", "11223344", "1234567890"
WRONG_SO_PIN, NEW_SO_PIN = "9999999999999999", "1122334455667788"


def again(rig) -> ScHsm:
    rig.power.cycle()
    rig.wait_until_up()
    return ScHsm(rig)


def block(hsm) -> None:
    for left in (2, 1, 0):
        with refused(wrong(left)):
            hsm.verify(WRONG)


def test_each_wrong_pin_costs_a_try_and_the_right_one_gives_them_back(hsm, mine):
    for left in (2, 1):
        with refused(wrong(left)):
            hsm.verify(WRONG)
        assert hsm.state() == 0x63C0 + left
    hsm.verify(mine.pin)
    hsm.select()
    assert hsm.state() == 0x63C3


def test_after_three_wrong_pins_the_right_one_is_refused_too(hsm, mine):
    block(hsm)
    assert hsm.state() == 0x6983
    with refused(BLOCKED):
        hsm.verify(mine.pin)


def test_a_blocked_pin_cannot_be_changed(hsm, mine):
    block(hsm)
    with refused(BLOCKED):
        hsm.change(mine.pin, NEW)
    assert hsm.state() == 0x6983


def test_a_power_cycle_gives_no_try_back(hsm, mine, rig):
    with refused({"63C2"}):
        hsm.verify(WRONG)
    assert again(rig).state() == 0x63C2
    hsm = again(rig)
    for left in (1, 0):
        with refused(wrong(left)):
            hsm.verify(WRONG)
    with refused(BLOCKED):
        again(rig).verify(mine.pin)


def test_a_login_ends_with_the_power(user, rig):
    assert user.state() == 0x9000
    assert again(rig).state() == 0x63C3


def test_a_wrong_pin_ends_a_login(user):
    with refused({"63C2"}):
        user.verify(WRONG)
    assert user.state() == 0x63C2
    with refused(NOT_LOGGED_IN):
        user.sign(1, EC_SHA256, b"text")


@pytest.mark.parametrize("pin", ["1", "12345", "1234567", "1" * 15, "1" * 16, "1" * 17], ids=len)
def test_a_pin_of_another_length_is_no_free_try(hsm, pin):
    status = hsm.exchange(0x20, 0, USER, pin.encode())[1]
    assert status != 0x9000
    assert (status, hsm.state()) in ((0x63C2, 0x63C2), (0x6700, 0x63C3), (0x6A80, 0x63C3))


def test_an_unknown_reference_is_refused(hsm):
    assert hsm.exchange(0x20, 0, 0x82, b"12345678")[1] in (0x6A88, 0x6A86)


# CHANGE REFERENCE DATA


def test_a_changed_pin_takes_the_place_of_the_old_one(hsm, mine, rig):
    hsm.change(mine.pin, NEW)
    hsm = again(rig)
    with refused({"63C2"}):
        hsm.verify(mine.pin)
    hsm.verify(NEW)


def test_a_change_with_the_wrong_pin_costs_a_try_and_changes_nothing(hsm, mine):
    with refused({"63C2"}):
        hsm.change("9" * len(mine.pin), NEW)
    assert hsm.state() == 0x63C2
    hsm.verify(mine.pin)


@pytest.mark.parametrize("length", [6, 8, 15, 16])
def test_pins_of_6_to_16_characters_can_be_set(hsm, mine, length):
    hsm.change(mine.pin, "1" * length)
    hsm.select()
    hsm.verify("1" * length)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 30])
def test_pins_of_other_lengths_cannot_be_set(hsm, mine, length):
    with refused(WRONG_DATA):
        hsm.change(mine.pin, "1" * length)
    hsm.select()
    hsm.verify(mine.pin)


def test_letters_are_part_of_a_pin(hsm, mine):
    hsm.change(mine.pin, "Abc-12")
    hsm.select()
    with refused({"63C2"}):
        hsm.verify("abc-12")
    hsm.verify("Abc-12")


def test_a_changed_so_pin_takes_the_place_of_the_old_one(hsm, mine, rig):
    hsm.change_so(mine.so_pin, NEW_SO_PIN)
    hsm = again(rig)
    with refused(WRONG_SO):
        hsm.reset_retry(mine.so_pin, NEW)
    hsm.reset_retry(NEW_SO_PIN, NEW)
    hsm.verify(NEW)


def test_a_change_with_the_wrong_so_pin_costs_a_try(hsm):
    with refused(WRONG_SO):
        hsm.change_so(WRONG_SO_PIN, NEW_SO_PIN)
    assert hsm.state(SO) == 0x63CE


# RESET RETRY COUNTER


def test_the_so_pin_unblocks_with_a_new_pin(hsm, mine):
    block(hsm)
    hsm.reset_retry(mine.so_pin, NEW)
    assert hsm.state() == 0x63C3
    hsm.verify(NEW)


def test_the_so_pin_unblocks_and_leaves_the_pin(hsm, mine):
    block(hsm)
    hsm.reset_retry(mine.so_pin)
    hsm.verify(mine.pin)


@pytest.mark.parametrize("retries", [1, 2, 5, 10])
@pytest.mark.parametrize("pin", ["", NEW], ids=["the old PIN", "a new PIN"])
def test_unblocking_gives_as_many_tries_as_were_set_up(hsm, mine, rig, retries, pin):
    hsm.initialize(mine.so_pin, LONG_PIN, retries=retries)
    for left in range(retries - 1, -1, -1):
        with refused(wrong(left)):
            hsm.verify(WRONG)
    hsm.reset_retry(mine.so_pin, pin)
    assert hsm.state() == 0x63C0 + retries
    hsm = again(rig)
    assert hsm.state() == 0x63C0 + retries
    hsm.verify(pin or LONG_PIN)


@pytest.mark.parametrize("retries", [2, 5, 10])
def test_the_right_pin_gives_as_many_tries_back_as_were_set_up(hsm, mine, rig, retries):
    hsm.initialize(mine.so_pin, LONG_PIN, retries=retries)
    for enter in (lambda card: card.verify(LONG_PIN), lambda card: card.change(LONG_PIN, LONG_PIN)):
        with refused(wrong(retries - 1)):
            hsm.verify(WRONG)
        enter(hsm)
        hsm = again(rig)
        assert hsm.state() == 0x63C0 + retries


def test_unblocking_logs_nobody_in(hsm, mine):
    hsm.reset_retry(mine.so_pin, NEW)
    with refused(NOT_LOGGED_IN):
        hsm.sign(1, EC_SHA256, b"text")


def test_a_wrong_so_pin_unblocks_nothing_and_costs_a_try(hsm, mine):
    block(hsm)
    with refused(WRONG_SO):
        hsm.reset_retry(WRONG_SO_PIN, NEW)
    assert hsm.state(SO) == 0x63CE
    assert hsm.state() == 0x6983


def test_a_right_so_pin_gives_no_lost_try_back(hsm, mine):
    with refused(WRONG_SO):
        hsm.reset_retry(WRONG_SO_PIN, NEW)
    hsm.reset_retry(mine.so_pin, NEW)
    assert hsm.state(SO) == 0x63CE, "its counter comes back by INITIALIZE alone"


def test_without_the_option_nobody_can_unblock(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0000)
    block(hsm)
    with refused(FORBIDDEN):
        hsm.reset_retry(mine.so_pin, NEW)
    assert hsm.state() == 0x6983
    assert hsm.state(SO) == 0x63CF


def test_with_option_20_the_so_pin_unblocks_and_sets_no_pin(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0020)
    block(hsm)
    with refused(FORBIDDEN):
        hsm.reset_retry(mine.so_pin, NEW)
    hsm.reset_retry(mine.so_pin)
    hsm.verify(mine.pin)


# Transport PIN


def test_a_transport_pin_must_be_changed_before_anything_else(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0003)
    assert hsm.state() == 0x6984
    with refused({"6984"}):
        hsm.verify(mine.pin)
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(9)
    hsm.change(mine.pin, NEW)
    assert hsm.state() == 0x63C3
    hsm.verify(NEW)


def test_the_state_of_a_transport_pin_lasts_and_ends_for_good(hsm, mine, rig):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0003)
    hsm = again(rig)
    assert hsm.state() == 0x6984
    hsm.change(mine.pin, NEW)
    assert again(rig).state() == 0x63C3


def test_a_transport_pin_ends_and_the_other_options_stay(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0022)
    hsm.change(mine.pin, NEW)
    block(hsm)
    with refused(FORBIDDEN):
        hsm.reset_retry(mine.so_pin, mine.pin)
    hsm.reset_retry(mine.so_pin)
    hsm.verify(NEW)


def test_a_wrong_transport_pin_costs_a_try(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, options=0x0003)
    for left in (2, 1, 0):
        with refused(wrong(left)):
            hsm.change("9" * len(mine.pin), NEW)
    with refused(BLOCKED):
        hsm.change(mine.pin, NEW)
