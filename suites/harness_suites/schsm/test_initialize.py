"""INITIALIZE DEVICE: the SO-PIN is checked and paid for first; then nothing of before is left."""

from __future__ import annotations

import pytest

from harness_cards.tlv import tlv
from harness_schsm.client import EC_SHA256, KEY, OF_THE_DEVICE, SO, ScHsm
from harness_suites.schsm.second import BLOCKED, NOT_FOUND, NOT_LOGGED_IN, WRONG_DATA, WRONG_SO, refused

WRONG_SO_PIN, NEW = "9999999999999999", "11223344"


def so(mine) -> bytes:
    return tlv(0x82, bytes.fromhex(mine.so_pin))


def initialize(hsm: ScHsm, *objects: bytes) -> None:
    hsm.command("INITIALIZE DEVICE", 0x50, data=b"".join(objects), cla=0x80)


def test_a_wrong_so_pin_changes_nothing_and_costs_a_try(hsm, mine):
    with refused(WRONG_SO):
        hsm.initialize(WRONG_SO_PIN, NEW, shares=1)
    assert hsm.state(SO) == 0x63CE
    hsm.verify(mine.pin)
    assert hsm.sign(1, EC_SHA256, b"text")


def test_success_gives_every_try_of_the_so_pin_back(hsm, mine):
    for _ in range(3):
        with refused({"63CE", "63CD", "63CC", *WRONG_SO}):
            hsm.initialize(WRONG_SO_PIN, NEW)
    hsm.initialize(mine.so_pin, NEW)
    assert hsm.state(SO) == 0x63CF


def test_after_fifteen_wrong_so_pins_the_card_is_blocked_for_good(hsm, mine, rig):
    for left in range(14, -1, -1):
        with refused({f"63C{left:X}", *WRONG_SO}):
            hsm.initialize(WRONG_SO_PIN, NEW)
    assert hsm.state(SO) == 0x6983
    for _ in range(2):
        with refused(BLOCKED):
            hsm.initialize(mine.so_pin, NEW)
        with refused(BLOCKED):
            hsm.reset_retry(mine.so_pin, NEW)
        rig.power.cycle()
        rig.wait_until_up()
        hsm = ScHsm(rig)
    hsm.verify(mine.pin)
    assert hsm.sign(1, EC_SHA256, b"text"), "keys stay usable with the user PIN"


def test_no_key_and_no_file_of_before_is_left(hsm, mine):
    hsm.initialize(mine.so_pin, NEW, shares=1)
    assert KEY in hsm.objects()
    assert set(hsm.objects()) <= OF_THE_DEVICE
    hsm.verify(NEW)
    for key_id in (1, 2, 3):
        with refused(NOT_FOUND):
            hsm.sign(key_id, EC_SHA256, b"text")
    with refused(NOT_FOUND):
        hsm.read(0xCF01)


def test_the_old_pin_is_gone(hsm, mine):
    hsm.initialize(mine.so_pin, NEW)
    with refused({"63C2"}):
        hsm.verify(mine.pin)


def test_nobody_is_logged_in_afterwards(user, mine):
    user.initialize(mine.so_pin, mine.pin)
    assert user.state() == 0x63C3
    with refused(NOT_LOGGED_IN):
        user.generate_aes(9)


@pytest.mark.parametrize("options", [0x0000, 0x0001, 0x0020, 0x0009], ids="{:04X}".format)
def test_select_shows_the_options(hsm, mine, options):
    hsm.initialize(mine.so_pin, NEW, options=options)
    assert hsm.select().options == options


@pytest.mark.parametrize("retries, pin", [(1, "123456"), (3, "123456"), (5, "1234567"), (10, "12345678")])
def test_the_number_of_tries_can_be_chosen(hsm, mine, retries, pin):
    hsm.initialize(mine.so_pin, pin, retries=retries)
    assert hsm.state() == 0x63C0 + retries


@pytest.mark.parametrize(
    "retries, pin",
    [(4, "123456"), (6, "1234567"), (11, "12345678"), (0, "12345678"), (3, "12345"), (3, "1" * 17)],
)
def test_short_pins_have_few_tries_and_no_pin_is_shorter_than_six(hsm, mine, retries, pin):
    with refused(WRONG_DATA):
        hsm.initialize(mine.so_pin, pin, retries=retries)
    hsm.verify(mine.pin)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        tlv(0x81, b"12345678"),
        tlv(0x81, b"12345678") + tlv(0x82, bytes(7)),
        b"\x80\x05\x00",
        tlv(0x80, b"\1"),
    ],
    ids=["nothing", "no code", "short code", "cut off", "short options"],
)
def test_data_of_a_wrong_form_cost_no_try(hsm, mine, data):
    with refused(WRONG_DATA):
        initialize(hsm, data)
    assert hsm.state(SO) == 0x63CF
    hsm.verify(mine.pin)


def test_without_a_user_pin_it_needs_public_keys(hsm, mine):
    with refused(WRONG_DATA):
        initialize(hsm, so(mine))
    assert hsm.state(SO) == 0x63CF


def test_an_unknown_object_is_refused(hsm, mine):
    with refused(WRONG_DATA):
        initialize(hsm, tlv(0x81, b"12345678"), so(mine), tlv(0x9F, b"\0"))


def test_a_random_dkek_has_no_shares_and_is_another_one_each_time(hsm, mine):
    values = set()
    for _ in range(2):
        hsm.initialize(mine.so_pin, NEW, shares=0)
        found = hsm.dkek()
        assert (found.total, found.outstanding) == (0, 0)
        values.add(found.kcv)
    assert len(values) == 2
    assert "0" * 16 not in values
