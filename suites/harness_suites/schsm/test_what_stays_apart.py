"""What must not reach over: from one PIN to the other, from a deleted key to the next one, from boot to boot.

And what a card must look at to its last byte: the longest PIN, a use counter beyond 255, the parameters of a chain.
"""

from __future__ import annotations

import pytest

from harness_cards.curves import BY_NAME
from harness_cards.tlv import tlv
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, SO, USER, ScHsm, ec_public, request_body
from harness_schsm.home import share
from harness_suites.schsm.second import (
    ALGORITHM,
    FORBIDDEN,
    USED_UP,
    WRONG_SO,
    refused,
    require_known_model,
    require_not_taken_again,
    wrong,
)

P256 = BY_NAME["secp256r1"]
TEXT = b"a message of the host"
LONGEST = "1234567890123456"
WRONG, SHORT = "99999999", "1234"


def again(rig) -> ScHsm:
    rig.power.cycle()
    rig.wait_until_up()
    return ScHsm(rig)


def counted(count: int) -> bytes:
    return tlv(0x90, count.to_bytes(4, "big"))


# Use counters

COUNTED = {
    "sign": (lambda hsm: hsm.generate_ec(9, P256, more=counted(1)), lambda hsm: hsm.sign(9, EC_SHA256, TEXT)),
    "ecdh": (
        lambda hsm: hsm.generate_ec(9, P256, more=counted(1)),
        lambda hsm: hsm.decipher(9, 0x80, P256.point(5)),
    ),
    "rsa": (
        lambda hsm: hsm.generate_rsa(9, 1024, more=counted(1)),
        lambda hsm: hsm.decipher(9, 0x21, bytes(127) + b"\2"),
    ),
    "encrypt": (
        lambda hsm: hsm.generate_aes(9, more=counted(1)),
        lambda hsm: hsm.aes(9, 0x10, bytes(16)),
    ),
    "cmac": (lambda hsm: hsm.generate_aes(9, more=counted(1)), lambda hsm: hsm.aes(9, 0x18, bytes(16))),
}


@pytest.mark.parametrize("use", COUNTED)
def test_each_kind_of_use_is_counted(user, use):
    make, act = COUNTED[use]
    make(user)
    act(user)
    with refused(USED_UP):
        act(user)


def test_a_use_counter_has_four_bytes(user):
    user.generate_ec(9, P256, more=counted(0x101))
    for _ in range(4):
        user.sign(9, EC_SHA256, TEXT)


def test_a_derivation_is_counted(user):
    require_known_model(user, "the use counter in a derivation")
    user.generate_ec(9, P256, more=counted(1))
    user.derive(9, 10, bytes(31) + b"\x01")
    with refused(USED_UP):
        user.derive(9, 11, bytes(31) + b"\x02")
    assert 0xCC0B not in user.objects()


def test_the_next_key_of_a_number_has_not_the_counter_of_the_last_one(user):
    user.generate_ec(9, P256, more=counted(1))
    user.sign(9, EC_SHA256, TEXT)
    user.delete(0xCC09)
    user.generate_ec(9, P256)
    for _ in range(3):
        user.sign(9, EC_SHA256, TEXT)


def test_a_derived_key_may_do_no_more_than_the_one_that_it_comes_from(user):
    require_known_model(user, "what a derived key may do")
    user.generate_ec(9, P256, more=tlv(0x91, b"\x73\x98"))
    user.derive(9, 10, bytes(31) + b"\x01")
    user.sign(10, EC_SHA256, TEXT)
    with refused(ALGORITHM):
        user.decipher(10, 0x80, P256.point(5))
    with refused(ALGORITHM):
        user.wrap(10)


# Shares and chains


def test_a_share_that_was_taken_before_the_last_one_is_not_taken_again(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, shares=3)
    hsm.import_share(share(0))
    hsm.import_share(share(1))
    require_not_taken_again(hsm, share(0))
    assert hsm.dkek().outstanding == 1


@pytest.mark.parametrize("p1, p2", [(10, 0), (9, 1)])
def test_a_chain_that_changes_its_parameters_makes_no_key(user, p1, p2):
    data = request_body(ec_public(P256))
    user.card.transmit([0x10, 0x46, 9, 0, 200, *data[:200]])
    assert user.exchange(0x46, p1, p2, data[200:], le=256)[1] != 0x9000
    assert not {0xCC09, 0xCC0A} & set(user.objects())


# PINs


def test_each_byte_of_the_longest_pin_counts(hsm, mine):
    hsm.initialize(mine.so_pin, LONGEST, shares=1)
    with refused(wrong(2)):
        hsm.verify(LONGEST[:-1] + "0")
    hsm.verify(LONGEST)


@pytest.mark.parametrize("place", [0, 7, 15])
def test_each_digit_of_the_so_pin_counts(hsm, mine, place):
    digit = "1" if mine.so_pin[place] == "0" else "0"
    with refused(WRONG_SO):
        hsm.reset_retry(mine.so_pin[:place] + digit + mine.so_pin[place + 1 :], "11223344")
    assert hsm.tries(SO) == 14


def test_the_right_so_pin_gives_the_user_pin_no_try_back(hsm, mine):
    with refused(wrong(2)):
        hsm.verify(WRONG)
    hsm.exchange(0x20, 0, SO, bytes.fromhex(mine.so_pin))
    assert hsm.state() == 0x63C2
    with refused(WRONG_SO):
        hsm.reset_retry("9" * 16, "11223344")
    assert hsm.state() == 0x63C2


def test_the_right_user_pin_gives_the_so_pin_no_try_back(hsm, mine):
    with refused(WRONG_SO):
        hsm.reset_retry("9" * 16, "11223344")
    hsm.verify(mine.pin)
    assert hsm.tries(SO) == 14


def test_the_right_pin_of_a_change_gives_the_tries_back(hsm, mine):
    with refused(wrong(2)):
        hsm.change(WRONG, "11223344")
    hsm.change(mine.pin, "11223344")
    hsm.select()
    assert hsm.tries() == 3


MALFORMED = {
    "change": (0x24, 0, USER, lambda code: code.encode() + SHORT.encode()),
    "change of the SO-PIN": (0x24, 0, SO, lambda code: bytes.fromhex(code) + b"1234567"),
    "unblock": (0x2C, 0, USER, lambda code: bytes.fromhex(code) + SHORT.encode()),
}


@pytest.mark.parametrize("command", MALFORMED)
def test_a_command_of_a_wrong_form_does_not_tell_for_nothing_whether_its_code_is_right(hsm, mine, command):
    """It may cost a try and say so; if it costs none, a right code and a wrong one have the same answer."""
    ins, p1, p2, data = MALFORMED[command]
    is_so = command != "change"
    reference = SO if is_so else USER
    right = mine.so_pin if is_so else mine.pin
    bad = "9" * len(right)
    before = hsm.tries(reference)
    answer = hsm.exchange(ins, p1, p2, data(bad))[1]
    assert answer != 0x9000
    if hsm.tries(reference) == before:
        assert hsm.exchange(ins, p1, p2, data(right))[1] == answer
        assert hsm.tries(reference) == before


# From boot to boot


def test_what_the_card_draws_in_one_boot_it_does_not_draw_again_in_the_next(user, mine, rig):
    keys, challenges, dkeks = [], [], []
    hsm = user
    for number in (9, 10):
        hsm.verify(mine.pin)
        challenges.append(hsm.challenge(32))
        keys.append(cvc.decode_authenticated(hsm.generate_ec(number, P256)).request.key())
        hsm = again(rig)
    for _ in range(2):
        # No share at all: the card makes a DKEK of its own.
        hsm.initialize(mine.so_pin, mine.pin, more=tlv(0x92, b"\0"))
        dkeks.append(hsm.dkek().kcv)
        hsm = again(rig)
    assert keys[0] != keys[1]
    assert challenges[0] != challenges[1]
    assert dkeks[0] != dkeks[1]


def test_a_login_by_so_pin_uses_no_key(hsm, mine):
    hsm.exchange(0x20, 0, SO, bytes.fromhex(mine.so_pin))
    with refused({"6982"} | FORBIDDEN):
        hsm.sign(1, EC_SHA256, TEXT)
