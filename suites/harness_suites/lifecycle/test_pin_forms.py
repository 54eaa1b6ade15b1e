"""Forms of PINs, and what two client libraries make of the same text."""

from __future__ import annotations

import pytest

from harness.api import Refused
from harness_cards.curves import BY_NAME
from harness_cards.tlv import tlv
from harness_schsm.client import EC_SHA256, KEY, OF_THE_DEVICE, SO, USER, ScHsm
from harness_schsm.so_pin import as_embedded, as_opensc, user_pin_of_init_token

LETTERS, DIGITS = "A1B2C3D4E5F60718", "3537363231383830"


def initialize(hsm: ScHsm, code: bytes, pin: bytes) -> int:
    """INITIALIZE with any bytes; returns the status word."""
    data = tlv(0x80, b"\0\1") + tlv(0x81, pin) + tlv(0x82, code) + tlv(0x91, b"\3")
    return hsm.exchange(0x50, data=data, cla=0x80)[1]


def set_so_pin(hsm: ScHsm, mine, code: bytes) -> None:
    hsm.command("CHANGE REFERENCE DATA", 0x24, 0, SO, bytes.fromhex(mine.so_pin) + code)


def test_an_so_pin_of_digits_is_the_same_to_both_libraries(hsm, mine):
    assert as_opensc(DIGITS) == as_embedded(DIGITS)
    set_so_pin(hsm, mine, as_opensc(DIGITS))
    assert initialize(hsm, as_embedded(DIGITS), b"648219") == 0x9000


def test_an_so_pin_with_letters_that_one_library_set_costs_the_other_a_try(hsm, mine):
    """The owner types the same text, and is told that it is wrong: each time a try is gone for ever."""
    set_so_pin(hsm, mine, as_opensc(LETTERS))
    assert initialize(hsm, as_embedded(LETTERS), b"648219") != 0x9000
    assert hsm.state(SO) == 0x63CE
    assert initialize(hsm, as_opensc(LETTERS), b"648219") == 0x9000
    assert hsm.state(SO) == 0x63CF


def test_an_so_pin_that_is_sent_as_its_characters_is_no_free_try_and_no_right_one(hsm, mine):
    """Sixteen characters instead of eight bytes: the slip behind many a blocked card."""
    before = hsm.state(SO)
    status = hsm.exchange(0x20, 0, SO, mine.so_pin.encode())[1]
    assert status != 0x9000
    assert hsm.state(SO) in (before, before - 1)
    assert hsm.exchange(0x20, 0, SO, bytes.fromhex(mine.so_pin))[1] == 0x9000


@pytest.mark.parametrize("size", [0, 1, 7, 9, 16])
def test_an_initialization_code_of_another_length_initialises_nothing(hsm, size):
    before = hsm.objects()
    assert initialize(hsm, bytes(size), b"648219") != 0x9000
    assert hsm.objects() == before
    assert hsm.state(SO) in (0x63CE, 0x63CF)


def test_a_token_that_pkcs11_has_initialised_has_a_user_pin_of_raw_bytes(hsm, mine):
    """C_InitToken sends the first six bytes of the SO-PIN as user PIN; nobody can type them."""
    code = bytes.fromhex(mine.so_pin)
    assert initialize(hsm, code, user_pin_of_init_token(code)) == 0x9000
    assert hsm.exchange(0x20, 0, USER, code[:6])[1] == 0x9000


@pytest.mark.parametrize("length", [6, 8, 15, 16])
def test_a_pin_of_each_length_works_as_long_as_it_was_set(hsm, mine, length):
    """Sixteen can be set, and OpenSC's PKCS #11 lets nobody enter more than fifteen: such a card is locked to it."""
    pin = ("1234567890123456")[:length].encode()
    assert initialize(hsm, bytes.fromhex(mine.so_pin), pin) == 0x9000
    if length > 6:
        assert hsm.exchange(0x20, 0, USER, pin[:-1])[1] != 0x9000
    assert hsm.exchange(0x20, 0, USER, pin)[1] == 0x9000


@pytest.mark.parametrize(("length", "retries"), [(6, 4), (6, 10), (7, 6), (7, 10), (8, 11)])
def test_short_pins_come_with_few_tries_only(hsm, mine, length, retries):
    data = tlv(0x80, b"\0\1") + tlv(0x81, b"1" * length) + tlv(0x82, bytes.fromhex(mine.so_pin))
    status = hsm.exchange(0x50, data=data + tlv(0x91, bytes([retries])), cla=0x80)[1]
    assert status in (0x6A80, 0x6700, 0x6985)


# Counters (invariant P1), for each PIN


def test_the_so_pin_is_blocked_after_fifteen_wrong_tries_for_good(hsm, mine, rig):
    """Over power cycles, each by another command. Then nothing opens the card again but a firmware update."""
    wrong = bytes(8)
    commands = (
        lambda card: card.exchange(0x20, 0, SO, wrong),
        lambda card: card.exchange(0x24, 0, SO, wrong + wrong),
        lambda card: card.exchange(0x2C, 0, USER, wrong + b"648219"),
    )
    for spent in range(15):
        assert hsm.state(SO) == 0x63CF - spent
        assert commands[spent % 3](hsm)[1] != 0x9000
        if spent % 5 == 4:
            rig.power.cycle()
            rig.wait_until_up()
            hsm = ScHsm(rig)
    assert hsm.state(SO) == 0x6983
    assert initialize(hsm, bytes.fromhex(mine.so_pin), b"648219") != 0x9000
    with pytest.raises(Refused, match="6983"):
        hsm.reset_retry(mine.so_pin, "11223344")
    assert hsm.state(SO) == 0x6983
    hsm.verify(mine.pin)
    assert hsm.sign(1, EC_SHA256, b"text"), "the keys are still there for who has the user PIN"


def test_a_wrong_user_pin_costs_the_so_pin_nothing_and_the_reverse(hsm, mine):
    hsm.exchange(0x20, 0, USER, b"00000000")
    assert (hsm.state(USER), hsm.state(SO)) == (0x63C2, 0x63CF)
    hsm.exchange(0x20, 0, SO, bytes(8))
    assert (hsm.state(USER), hsm.state(SO)) == (0x63C2, 0x63CE)


def test_with_the_user_pin_blocked_and_no_reset_option_the_keys_are_lost(hsm, mine):
    """INITIALIZE is what is left, and it erases them."""
    hsm.initialize(mine.so_pin, mine.pin, options=0x0000)
    hsm.verify(mine.pin)
    hsm.generate_ec(9, BY_NAME["secp256r1"])
    hsm.select()
    while hsm.state(USER) != 0x6983:
        hsm.exchange(0x20, 0, USER, b"00000000")
    with pytest.raises(Refused):
        hsm.reset_retry(mine.so_pin, mine.pin)
    assert 0xCC09 in hsm.objects()
    hsm.initialize(mine.so_pin, mine.pin)
    assert KEY in hsm.objects()
    assert set(hsm.objects()) <= OF_THE_DEVICE
