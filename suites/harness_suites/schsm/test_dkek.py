"""DKEK shares and key domains."""

from __future__ import annotations

from itertools import permutations

import pytest

from harness_cards.curves import BY_NAME
from harness_cards.tlv import tlv
from harness_schsm.client import ScHsm
from harness_schsm.dkek import check_value, combined
from harness_schsm.home import share
from harness_suites.schsm.second import (
    FORBIDDEN,
    NOT_FOUND,
    NOT_LOGGED_IN,
    OTHER_DKEK,
    WRONG_DATA,
    refused,
    require_not_taken_again,
)

P256 = BY_NAME["secp256r1"]
NO_KCV = "0" * 16


def domains(hsm: ScHsm, mine, count: int = 3) -> ScHsm:
    """The card, initialised with key domains; the user is logged in."""
    hsm.initialize(mine.so_pin, mine.pin, more=tlv(0x97, bytes([count])))
    hsm.verify(mine.pin)
    return hsm


def manage(hsm: ScHsm, p1: int, domain: int, data: bytes = b"") -> bytes:
    return hsm.command("key domain", 0x52, p1, domain, data, cla=0x80, le=256)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_check_value_comes_with_the_last_share(hsm, mine, count):
    hsm.initialize(mine.so_pin, mine.pin, shares=count)
    shares = [share(number) for number in range(count)]
    whole = check_value(combined(*shares)).hex()
    for number, one in enumerate(shares, 1):
        before = hsm.dkek()
        assert (before.total, before.outstanding) == (count, count - number + 1)
        # Nobody has published whether the genuine card shows zeros until then, or what the shares so far make.
        assert before.kcv != whole
        after = hsm.import_share(one)
        assert after.outstanding == count - number
    assert hsm.dkek().kcv == whole


@pytest.mark.parametrize("order", list(permutations(range(3)))[1:], ids=str)
def test_shares_may_come_in_any_order(hsm, mine, order):
    hsm.initialize(mine.so_pin, mine.pin, shares=3)
    for number in order:
        hsm.import_share(share(number))
    assert hsm.dkek().kcv == check_value(combined(*map(share, range(3)))).hex()


def test_a_share_that_was_taken_is_not_taken_again(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, shares=2)
    hsm.import_share(share(0))
    require_not_taken_again(hsm, share(0))
    assert hsm.dkek().outstanding == 1


def test_a_complete_dkek_takes_no_further_share(hsm):
    before = hsm.dkek()
    with refused(FORBIDDEN | WRONG_DATA):
        hsm.import_share(share(7))
    assert hsm.dkek() == before


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_a_share_has_32_bytes(hsm, mine, size):
    hsm.initialize(mine.so_pin, mine.pin, shares=1)
    with refused(WRONG_DATA):
        hsm.import_share(bytes(size))
    assert hsm.dkek().outstanding == 1


def test_shares_last_over_a_power_cycle(hsm, mine, rig):
    hsm.initialize(mine.so_pin, mine.pin, shares=2)
    hsm.import_share(share(0))
    rig.power.cycle()
    rig.wait_until_up()
    hsm = ScHsm(rig)
    assert hsm.dkek().outstanding == 1
    assert hsm.import_share(share(1)).kcv == check_value(combined(share(0), share(1))).hex()


def test_a_card_without_a_dkek_does_not_know_the_command(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin)
    with refused({"6D00"}):
        hsm.dkek()


def test_no_key_leaves_the_card_before_the_last_share(hsm, mine):
    hsm.initialize(mine.so_pin, mine.pin, shares=2)
    hsm.import_share(share(0))
    hsm.verify(mine.pin)
    hsm.generate_ec(9, P256)
    with refused(FORBIDDEN):
        hsm.wrap(9)


# Key domains


def test_a_domain_is_made_for_a_number_of_shares(hsm, mine):
    domains(hsm, mine)
    assert manage(hsm, 0x01, 1, b"\x02")[:2] == b"\x02\x02"
    for number in (0, 1):
        hsm.import_share(share(number), domain=1)
    assert hsm.dkek(1).kcv == check_value(combined(share(0), share(1))).hex()
    with refused(NOT_FOUND | {"6A88"}):
        hsm.dkek(0)


def test_a_domain_beyond_the_last_one_is_not_there(hsm, mine):
    domains(hsm, mine, 2)
    with refused(NOT_FOUND | {"6A86"}):
        manage(hsm, 0x01, 2, b"\x01")


def test_a_domain_is_made_once(hsm, mine):
    domains(hsm, mine)
    manage(hsm, 0x01, 0, b"\x01")
    with refused(FORBIDDEN):
        manage(hsm, 0x01, 0, b"\x01")


def test_making_a_domain_needs_a_login(hsm, mine):
    domains(hsm, mine)
    hsm.select()
    with refused(NOT_LOGGED_IN):
        manage(hsm, 0x01, 0, b"\x01")


@pytest.mark.parametrize("p1", [0x03, 0x04], ids=["delete", "reset"])
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_ending_a_domain_needs_a_login(hsm, mine, p1, taken):
    domains(hsm, mine)
    manage(hsm, 0x01, 1, b"\x02")
    for number in range(taken):
        hsm.import_share(share(number), domain=1)
    before = hsm.dkek(1)
    hsm.select()
    with refused(NOT_LOGGED_IN):
        manage(hsm, p1, 1)
    assert hsm.dkek(1) == before


@pytest.mark.parametrize("p1", [0x03, 0x04], ids=["delete", "reset"])
def test_a_domain_with_a_key_in_it_stays(hsm, mine, p1):
    domains(hsm, mine)
    manage(hsm, 0x01, 1, b"\x01")
    hsm.import_share(share(0), domain=1)
    hsm.generate_ec(9, P256, more=tlv(0x92, b"\x01"))
    before = hsm.dkek(1)
    with refused(FORBIDDEN):
        manage(hsm, p1, 1)
    assert hsm.dkek(1) == before


def test_an_empty_domain_can_be_deleted(hsm, mine):
    domains(hsm, mine)
    manage(hsm, 0x01, 1, b"\x01")
    # One card answers 9000, another what it answers of the domain that is gone.
    assert hsm.exchange(0x52, 0x03, 1, cla=0x80)[1] in (0x9000, 0x6A88)
    with refused(NOT_FOUND | {"6A88"}):
        hsm.dkek(1)


def test_an_empty_domain_that_is_reset_asks_for_its_shares_again(hsm, mine):
    domains(hsm, mine)
    manage(hsm, 0x01, 1, b"\x01")
    hsm.import_share(share(0), domain=1)
    manage(hsm, 0x04, 1)
    assert (hsm.dkek(1).outstanding, hsm.dkek(1).kcv) == (1, NO_KCV)
    # The custodian brings the same share again.
    assert hsm.import_share(share(0), domain=1).kcv == check_value(share(0)).hex()


def test_a_key_leaves_under_the_dkek_of_its_own_domain(hsm, mine):
    domains(hsm, mine, 5)
    for domain in range(5):
        manage(hsm, 0x01, domain, b"\x01")
        hsm.import_share(share(domain), domain=domain)
        hsm.generate_ec(8 + domain, P256, more=tlv(0x92, bytes([domain])))
        hsm.generate_aes(20 + domain, more=tlv(0x91, b"\x92") + tlv(0x92, bytes([domain])))
    for domain in range(5):
        assert hsm.wrap(8 + domain)[:8].hex() == hsm.dkek(domain).kcv
        assert hsm.wrap(20 + domain)[:8].hex() == hsm.dkek(domain).kcv
        with refused(FORBIDDEN):
            manage(hsm, 0x03, domain)


def test_a_key_comes_back_into_the_domain_that_opens_it(hsm, mine):
    domains(hsm, mine)
    for domain in (0, 1):
        manage(hsm, 0x01, domain, b"\x01")
        hsm.import_share(share(domain), domain=domain)
    hsm.generate_ec(9, P256, more=tlv(0x92, b"\x01"))
    blob = hsm.wrap(9)
    hsm.delete(0xCC09)
    hsm.unwrap(9, blob)
    with refused(FORBIDDEN):
        manage(hsm, 0x03, 1)
    manage(hsm, 0x03, 0)
    with refused(OTHER_DKEK):
        hsm.unwrap(10, bytes(8) + blob[8:])


def test_a_key_in_a_domain_that_is_not_there_is_not_made(hsm, mine):
    domains(hsm, mine, 2)
    with refused(NOT_FOUND | WRONG_DATA):
        hsm.generate_ec(9, P256, more=tlv(0x92, b"\x05"))
