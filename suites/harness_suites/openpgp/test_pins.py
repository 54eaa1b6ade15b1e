"""VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER, reset code, mode of PW1; row by row."""

from __future__ import annotations

import pytest

from harness_openpgp.client import ADMIN, OTHER, SIGN, OpenPgp
from harness_openpgp.home import OpenPgpMemory, message
from harness_openpgp.slots import Slot
from harness_suites.openpgp.common import (
    BLOCKED,
    NO_CODE,
    NOT_VERIFIED,
    WRONG_DATA,
    WRONG_P1P2,
    again,
    refused,
    wrong,
)

WRONG, NEW, CODE = "99999999", "11223344", "27182818"
REFERENCES = pytest.mark.parametrize("reference", [SIGN, OTHER, ADMIN], ids=["81", "82", "83"])
PINS = pytest.mark.parametrize("reference", [SIGN, ADMIN], ids=["PW1", "PW3"])


def pin(mine: OpenPgpMemory, reference: int) -> str:
    return mine.pw3 if reference == ADMIN else mine.pw1


def left(card: OpenPgp, reference: int) -> int:
    return card.pin_status().pw3 if reference == ADMIN else card.pin_status().pw1


def block(card: OpenPgp, reference: int) -> None:
    for tries in (2, 1, 0):
        with refused(wrong(tries) | BLOCKED):
            card.verify(WRONG, reference)


@REFERENCES
def test_the_right_pin_is_taken(card, mine, reference):
    card.verify(pin(mine, reference), reference)
    assert card.is_verified(reference)
    assert left(card, reference) == 3


@REFERENCES
def test_each_wrong_pin_costs_a_try_and_the_right_one_gives_them_back(card, mine, reference):
    for tries in (2, 1):
        with refused(wrong(tries)):
            card.verify(WRONG, reference)
        assert left(card, reference) == tries
    card.verify(pin(mine, reference), reference)
    assert left(card, reference) == 3


@REFERENCES
def test_after_three_wrong_pins_the_right_one_is_refused_too(card, mine, reference):
    block(card, reference)
    assert left(card, reference) == 0
    with refused(BLOCKED):
        card.verify(pin(mine, reference), reference)


@REFERENCES
def test_a_power_cycle_gives_no_try_back(card, rig, reference):
    with refused(wrong(2)):
        card.verify(WRONG, reference)
    card = again(rig)
    assert left(card, reference) == 2
    with refused(wrong(1)):
        card.verify(WRONG, reference)
    assert left(again(rig), reference) == 1


@REFERENCES
def test_a_blocked_pin_stays_blocked_over_a_power_cycle(card, mine, rig, reference):
    block(card, reference)
    with refused(BLOCKED):
        again(rig).verify(pin(mine, reference), reference)


@REFERENCES
def test_a_wrong_pin_ends_what_was_verified(card, mine, reference):
    card.verify(pin(mine, reference), reference)
    with refused(wrong(2)):
        card.verify(WRONG, reference)
    assert not card.is_verified(reference)


@REFERENCES
def test_the_question_without_data_costs_no_try(card, mine, reference):
    for _ in range(5):
        assert not card.is_verified(reference)
    assert left(card, reference) == 3
    card.verify(pin(mine, reference), reference)
    assert card.is_verified(reference)


@pytest.mark.parametrize(
    "one, other", [(SIGN, ADMIN), (OTHER, ADMIN), (ADMIN, SIGN), (ADMIN, OTHER), (SIGN, OTHER)]
)
def test_one_verified_pin_is_not_another(card, mine, one, other):
    card.verify(pin(mine, one), one)
    assert not card.is_verified(other)


@pytest.mark.parametrize("one, other", [(SIGN, ADMIN), (OTHER, ADMIN), (ADMIN, OTHER)])
def test_a_wrong_pin_costs_no_try_of_another_one(card, one, other):
    with refused(wrong(2)):
        card.verify(WRONG, one)
    assert left(card, other) == 3


def test_both_references_of_pw1_share_one_counter(card):
    with refused(wrong(2)):
        card.verify(WRONG, SIGN)
    with refused(wrong(1)):
        card.verify(WRONG, OTHER)
    assert card.pin_status().pw1 == 1


@REFERENCES
def test_p1_ff_ends_what_was_verified(card, mine, reference):
    if card.version < (3, 3):
        pytest.skip("not offered: VERIFY with P1 FF")
    card.verify(pin(mine, reference), reference)
    card.log_out(reference)
    assert not card.is_verified(reference)


@pytest.mark.reads
@pytest.mark.parametrize("p1, p2", [(0, 0x80), (0, 0x84), (0, 0x00), (1, 0x81), (0x7F, 0x83)])
def test_an_unknown_reference_is_refused(card, p1, p2):
    assert f"{card.exchange(0x20, p1, p2, b'12345678')[1]:04X}" in WRONG_P1P2
    assert (card.pin_status().pw1, card.pin_status().pw3) == (3, 3)


@REFERENCES
@pytest.mark.parametrize("length", [1, 5, 7, 9, 32])
def test_a_pin_of_another_length_is_no_free_try(card, reference, length):
    status = card.exchange(0x20, 0, reference, b"1" * length)[1]
    assert status != 0x9000
    # A length that cannot be right may be refused before it is compared.
    assert left(card, reference) == (2 if f"{status:04X}" in wrong(2) else 3)


def test_the_right_pin_with_more_behind_it_is_wrong(card, mine):
    with refused(wrong(2) | WRONG_DATA):
        card.verify(mine.pw1 + "0", OTHER)


# CHANGE REFERENCE DATA


@PINS
def test_a_changed_pin_takes_the_place_of_the_old_one(card, mine, rig, reference):
    card.change(pin(mine, reference), NEW, reference)
    card = again(rig)
    with refused(wrong(2)):
        card.verify(pin(mine, reference), reference)
    card.verify(NEW, reference)


@PINS
def test_a_change_with_the_wrong_pin_costs_a_try_and_changes_nothing(card, mine, reference):
    with refused(wrong(2)):
        card.change(WRONG, NEW, reference)
    assert left(card, reference) == 2
    card.verify(pin(mine, reference), reference)


@PINS
def test_a_change_verifies_nobody(card, mine, reference):
    card.change(pin(mine, reference), NEW, reference)
    assert not card.is_verified(ADMIN if reference == SIGN else SIGN)


@PINS
@pytest.mark.parametrize("length", [8, 9, 12, 20, 32])
def test_longer_pins_can_be_set(card, mine, rig, reference, length):
    card.change(pin(mine, reference), "1" * length, reference)
    card = again(rig)
    card.verify("1" * length, reference)
    card.change("1" * length, pin(mine, reference), reference)
    card.verify(pin(mine, reference), reference)


def test_pw1_of_six_can_be_set(card, mine, rig):
    card.change(mine.pw1, "123456")
    again(rig).verify("123456", OTHER)


@PINS
@pytest.mark.parametrize("length", [0, 1, 5])
def test_shorter_pins_cannot_be_set(card, mine, reference, length):
    with refused(WRONG_DATA | wrong(2)):
        card.change(pin(mine, reference), "1" * length, reference)
    card.verify(pin(mine, reference), reference)


def test_pw3_of_seven_cannot_be_set(card, mine):
    with refused(WRONG_DATA | wrong(2)):
        card.change(mine.pw3, "1234567", ADMIN)
    card.verify(mine.pw3, ADMIN)


@PINS
def test_a_pin_longer_than_do_c4_says_cannot_be_set(card, mine, reference):
    most = card.get(0xC4)[3 if reference == ADMIN else 1] & 0x7F
    with refused(WRONG_DATA):
        card.change(pin(mine, reference), "1" * (most + 1), reference)
    card.verify(pin(mine, reference), reference)


@PINS
def test_bytes_of_every_value_are_part_of_a_pin(card, mine, rig, reference):
    raw = bytes([0xC3, 0xA4, 0x00, 0xFF, 0x20, 0x31, 0x32, 0x80])
    card.change(pin(mine, reference), raw, reference)
    again(rig).verify(raw, reference)


def test_a_blocked_pin_cannot_be_changed(card, mine):
    block(card, SIGN)
    with refused(BLOCKED | {"6300"}):
        card.change(mine.pw1, NEW)


@pytest.mark.reads
@pytest.mark.parametrize("p1, p2", [(0, 0x80), (1, 0x81), (0, 0x84)])
def test_a_change_of_an_unknown_reference_is_refused(card, p1, p2):
    assert f"{card.exchange(0x24, p1, p2, b'1234567812345678')[1]:04X}" in WRONG_P1P2


def test_keys_work_after_a_change(card, mine, rig):
    card.change(mine.pw1, NEW)
    card = again(rig)
    card.verify(NEW, OTHER)
    key = mine.keys[Slot.AUTHENTICATE]
    signature = card.authenticate(key.signed_data(message(Slot.AUTHENTICATE)))
    assert key.verifies(signature, message(Slot.AUTHENTICATE))


# RESET RETRY COUNTER, reset code


def test_pw3_unblocks_with_a_new_pin(card, mine, rig):
    block(card, SIGN)
    card.verify(mine.pw3, ADMIN)
    card.reset_pw1(NEW)
    card = again(rig)
    assert card.pin_status().pw1 == 3
    card.verify(NEW, OTHER)


def test_keys_work_after_pw3_has_unblocked(card, mine):
    block(card, SIGN)
    card.verify(mine.pw3, ADMIN)
    card.reset_pw1(NEW)
    card.verify(NEW, OTHER)
    cryptogram, right = mine.keys[Slot.DECIPHER].cryptogram(message(Slot.DECIPHER))
    assert card.decipher(cryptogram) == right


def test_without_pw3_nobody_unblocks(card):
    with refused(NOT_VERIFIED):
        card.reset_pw1(NEW)


def test_without_a_reset_code_none_unblocks(card):
    assert card.pin_status().code == 0
    with refused(NO_CODE):
        card.reset_pw1(NEW, CODE)


def test_the_reset_code_unblocks_with_a_new_pin(admin, rig):
    admin.set_code(CODE)
    assert admin.pin_status().code == 3
    card = again(rig)
    block(card, SIGN)
    card.reset_pw1(NEW, CODE)
    assert card.pin_status().pw1 == 3
    card.verify(NEW, OTHER)


def test_keys_work_after_the_reset_code_has_unblocked(admin, mine, rig):
    admin.set_code(CODE)
    card = again(rig)
    card.reset_pw1(NEW, CODE)
    card.verify(NEW, OTHER)
    cryptogram, right = mine.keys[Slot.DECIPHER].cryptogram(message(Slot.DECIPHER))
    assert card.decipher(cryptogram) == right


def test_three_wrong_reset_codes_block_it_for_good(admin, mine, rig):
    admin.set_code(CODE)
    card = again(rig)
    for tries in (2, 1, 0):
        with refused(wrong(tries) | BLOCKED):
            card.reset_pw1(NEW, WRONG)
        assert card.pin_status().code == tries
    card = again(rig)
    with refused(BLOCKED | NOT_VERIFIED):
        card.reset_pw1(NEW, CODE)
    card.verify(mine.pw1, OTHER)


def test_a_new_reset_code_has_all_tries(admin, rig):
    admin.set_code(CODE)
    with refused(wrong(2)):
        admin.reset_pw1(NEW, WRONG)
    admin.set_code("3141592653")
    assert admin.pin_status().code == 3
    again(rig).reset_pw1(NEW, "3141592653")


def test_a_removed_reset_code_unblocks_nothing(admin, rig):
    admin.set_code(CODE)
    admin.set_code("")
    card = again(rig)
    assert card.pin_status().code == 0
    with refused(NO_CODE):
        card.reset_pw1(NEW, CODE)


@pytest.mark.parametrize("length", [1, 7])
def test_a_short_reset_code_cannot_be_set(admin, length):
    with refused(WRONG_DATA):
        admin.set_code("1" * length)
    assert admin.pin_status().code == 0


def test_the_reset_code_cannot_be_read(admin):
    admin.set_code(CODE)
    assert admin.exchange(0xCA, 0x00, 0xD3, le=256)[1] != 0x9000


@pytest.mark.parametrize("length", [0, 5])
def test_a_short_pin_cannot_be_set_by_a_reset(admin, mine, length):
    with refused(WRONG_DATA):
        admin.reset_pw1("1" * length)
    admin.verify(mine.pw1, OTHER)


@pytest.mark.parametrize("p1, p2", [(1, 0x81), (3, 0x81), (2, 0x83), (0, 0x82)])
def test_a_reset_of_an_unknown_reference_is_refused(admin, mine, p1, p2):
    assert f"{admin.exchange(0x2C, p1, p2, b'12345678')[1]:04X}" in WRONG_P1P2
    admin.verify(mine.pw1, OTHER)


def test_a_blocked_pw3_can_be_unblocked_by_nobody(card, mine, rig):
    block(card, ADMIN)
    card = again(rig)
    card.verify(mine.pw1, OTHER)
    assert card.pin_status().pw3 == 0
    with refused(NOT_VERIFIED):
        card.reset_pw1(NEW)


# Mode of PW1


def sign(card: OpenPgp, mine: OpenPgpMemory) -> bytes:
    return card.sign(mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN)))


def test_pw1_serves_for_one_signature(card, mine):
    card.verify(mine.pw1, SIGN)
    sign(card, mine)
    assert not card.is_verified(SIGN)
    with refused(NOT_VERIFIED):
        sign(card, mine)


def test_pw1_serves_for_many_signatures_if_it_is_so_set(admin, mine, rig):
    admin.put(0xC4, b"\x01")
    card = again(rig)
    assert card.pin_status().lasts
    card.verify(mine.pw1, SIGN)
    for _ in range(3):
        assert mine.keys[Slot.SIGN].verifies(sign(card, mine), message(Slot.SIGN))
    assert card.is_verified(SIGN)


def test_82_does_not_sign(user, mine):
    with refused(NOT_VERIFIED):
        sign(user, mine)


def test_82_stays_after_a_signature(user, mine):
    user.verify(mine.pw1, SIGN)
    sign(user, mine)
    assert user.is_verified(OTHER)


@pytest.mark.parametrize("mode", [b"", b"\x02", b"\xff", b"\x00\x00"])
def test_an_unknown_mode_cannot_be_set(admin, mode):
    with refused(WRONG_DATA):
        admin.put(0xC4, mode)
    assert not admin.pin_status().lasts


def test_the_mode_needs_pw3(user):
    with refused(NOT_VERIFIED):
        user.put(0xC4, b"\x01")
