"""Public key authentication: n of m other devices log in, by answering a challenge."""

from __future__ import annotations

import pytest

from harness_cards.curves import BRAINPOOL_P256, BY_NAME
from harness_cards.plain_curves import dss_numbers
from harness_cards.tlv import tlv
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, ScHsm
from harness_schsm.home import share
from harness_suites.schsm.second import (
    FORBIDDEN,
    NOT_FOUND,
    NOT_LOGGED_IN,
    WRONG_DATA,
    refused,
    require_certificates,
)

HOLDERS = ["UTCUSTA00001", "UTCUSTB00001", "UTCUSTC00001"]


def initialize(
    hsm: ScHsm, mine, required: int, total: int, *, pin: bool = False, options: int = 0x0001
) -> None:
    """Initialise the card for `required` of `total` public keys."""
    more = tlv(0x93, bytes([total, required]))
    hsm.initialize(mine.so_pin, mine.pin if pin else None, options=options, more=more)


@pytest.fixture
def custodians(second) -> tuple[ScHsm, list[bytes]]:
    """The second card with three keys, and their authenticated requests."""
    other = second.initialize(share(0))
    require_certificates(other)
    requests = [
        other.generate_ec(number, BRAINPOOL_P256, holder=name) for number, name in enumerate(HOLDERS, 1)
    ]
    return other, requests


def register(hsm: ScHsm, custodians, count: int) -> None:
    other, requests = custodians
    hsm.trust(reversed(cvc.chain(other.certificates())))
    for request in requests[:count]:
        hsm.register(request)


def answer(hsm: ScHsm, other: ScHsm, number: int, *, message: bytes | None = None) -> int:
    """Let a custodian answer a challenge; returns the status word."""
    signature = signed(hsm, other, number, message=message)
    return hsm.exchange(0x82, 0, 0, signature)[1]


def signed(hsm: ScHsm, other: ScHsm, number: int, *, message: bytes | None = None) -> bytes:
    """A custodian's signature over a challenge, or over another message; r || s."""
    hsm.command("MANAGE SE", 0x22, 0x81, 0xA4, tlv(0x83, HOLDERS[number - 1].encode()))
    asked = hsm.device().chr.encode() + hsm.challenge(8)
    r, s = dss_numbers(other.sign(number, EC_SHA256, asked if message is None else message))
    assert max(r, s) < 1 << 256
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_the_state_shows_total_missing_required_and_authenticated(hsm, mine, custodians):
    initialize(hsm, mine, 2, 3)
    assert hsm.register() == (3, 3, 2, 0)
    register(hsm, custodians, 2)
    assert hsm.register() == (3, 1, 2, 0)


def test_a_card_without_it_says_so(hsm):
    with refused(NOT_FOUND | FORBIDDEN | {"6D00"}):
        hsm.register()


def test_a_card_without_a_pin_does_not_ask_for_one(hsm, mine):
    initialize(hsm, mine, 1, 1)
    status = hsm.state()
    assert status not in (0x9000, 0x6A88, 0x6984)
    assert status & 0xFFF0 != 0x63C0


@pytest.mark.parametrize("required, total", [(1, 1), (1, 2), (2, 3), (3, 3)])
def test_enough_custodians_log_in_and_fewer_do_not(hsm, mine, custodians, required, total):
    initialize(hsm, mine, required, total)
    register(hsm, custodians, total)
    other, _ = custodians
    for number in range(1, required + 1):
        with refused(NOT_LOGGED_IN):
            hsm.generate_aes(9)
        assert answer(hsm, other, number) == 0x9000
    hsm.generate_aes(9)
    assert hsm.register()[3] == required


def test_one_custodian_counts_once(hsm, mine, custodians):
    initialize(hsm, mine, 2, 3)
    register(hsm, custodians, 3)
    assert answer(hsm, custodians[0], 1) == 0x9000
    assert answer(hsm, custodians[0], 1) in (0x9000, 0x6985), "a card may refuse the second answer"
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(9)


def test_a_signature_over_something_else_is_refused(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 1)
    assert answer(hsm, custodians[0], 1, message=b"an old challenge") != 0x9000
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(9)


def test_a_challenge_is_answered_once(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 1)
    signature = signed(hsm, custodians[0], 1)
    assert hsm.exchange(0x82, 0, 0, signature)[1] == 0x9000
    assert hsm.exchange(0x82, 0, 0, signature)[1] != 0x9000


def test_the_answer_to_an_earlier_challenge_is_refused(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 1)
    signature = signed(hsm, custodians[0], 1)
    hsm.challenge(8)
    assert hsm.exchange(0x82, 0, 0, signature)[1] != 0x9000
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(9)


def test_a_login_by_keys_ends_with_the_selection_of_the_applet(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 1)
    answer(hsm, custodians[0], 1)
    hsm.generate_aes(9)
    hsm.select()
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(10)


def test_a_key_is_registered_only_where_its_device_is_trusted(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    with refused(NOT_FOUND | WRONG_DATA):
        hsm.register(custodians[1][0])


def test_a_changed_request_is_not_registered(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 0)
    request = bytearray(custodians[1][0])
    request[-1] ^= 1
    with refused(WRONG_DATA):
        hsm.register(bytes(request))
    assert hsm.register() == (1, 1, 1, 0)


def test_a_key_is_registered_once(hsm, mine, custodians):
    initialize(hsm, mine, 1, 2)
    register(hsm, custodians, 1)
    with refused(WRONG_DATA | FORBIDDEN):
        hsm.register(custodians[1][0])
    assert hsm.register()[1] == 1


def test_no_more_keys_are_registered_than_were_asked_for(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1)
    register(hsm, custodians, 1)
    with refused(FORBIDDEN | WRONG_DATA):
        hsm.register(custodians[1][1])


def test_with_option_10_the_pin_is_needed_too(hsm, mine, custodians):
    initialize(hsm, mine, 1, 1, pin=True, options=0x0011)
    register(hsm, custodians, 1)
    hsm.verify(mine.pin)
    with refused(NOT_LOGGED_IN):
        hsm.generate_aes(9)
    assert answer(hsm, custodians[0], 1) == 0x9000
    hsm.generate_aes(9)


def test_a_stranger_is_not_known(hsm):
    status = hsm.exchange(0x22, 0x81, 0xB6, tlv(0x83, b"UTNOBODY00001"))[1]
    assert status == 0x6A88


def test_a_certificate_that_its_issuer_did_not_sign_is_refused(hsm, second):
    chain = cvc.chain(second.client.certificates())
    assert len(chain) == 2
    device, issuer = chain
    hsm.trust([issuer])
    hsm.command("MANAGE SE", 0x22, 0x81, 0xB6, tlv(0x83, issuer.chr.encode()))
    content = bytearray(device.encoded[3:] if device.encoded[2] < 0x80 else device.encoded[4:])
    content[-1] ^= 1
    with refused(WRONG_DATA | {"6982", "6300", "6984"}):
        hsm.command("VERIFY CERTIFICATE", 0x2A, 0x00, 0xBE, bytes(content))


def test_keys_on_another_curve_are_not_registered(hsm, mine, second):
    other = second.initialize(share(0))
    request = other.generate_ec(1, BY_NAME["secp256r1"], holder=HOLDERS[0])
    initialize(hsm, mine, 1, 1)
    hsm.trust(reversed(cvc.chain(other.certificates())))
    with refused({"6A81", *WRONG_DATA}):
        hsm.register(request)
