"""Backups: n of m custodians, a second device, a custodian who leaves, two clients at one card."""

from __future__ import annotations

import hashlib
from itertools import combinations

import pytest

from harness.api import Refused
from harness_cards.curves import BY_NAME
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, KEY, ScHsm
from harness_schsm.dkek import check_value, combined
from harness_schsm.items import verifies
from harness_schsm.threshold import Part, divide, join
from harness_suites.schsm.second import SECOND_PIN, SECOND_SO_PIN

P256 = BY_NAME["secp256r1"]
TEXT = b"proved on device B"
PASSWORD = b"8 bytes."
CUSTODIANS, NEEDED = 3, 2


def share_of(password: bytes) -> bytes:
    """The DKEK share that a password protects; the tool derives it in seconds, which is not the subject here."""
    return hashlib.sha256(b"share" + password).digest()


def parts(password: bytes = PASSWORD) -> list[Part]:
    """What each custodian keeps, the same in each run."""
    numbers = iter(range(1_000_003, 10**9, 7_654_321))
    return divide(password, NEEDED, CUSTODIANS, lambda n: next(numbers) % n)


def initialized(hsm: ScHsm, mine, *shares: bytes) -> ScHsm:
    hsm.initialize(mine.so_pin, mine.pin, shares=len(shares))
    for one in shares:
        hsm.import_share(one)
    hsm.verify(mine.pin)
    return hsm


def proves(card: ScHsm, key_id: int, request: bytes) -> bool:
    """A backup counts only when a signature on the other device has proved it."""
    return verifies(cvc.decode_authenticated(request).request.key(), card.sign(key_id, EC_SHA256, TEXT), TEXT)


@pytest.mark.parametrize("present", list(combinations(range(CUSTODIANS), NEEDED)), ids=str)
def test_any_two_of_three_custodians_restore_a_key_on_a_second_device(hsm, mine, second, present):
    card = initialized(hsm, mine, share_of(PASSWORD))
    request = card.generate_ec(9, P256)
    blob = card.wrap(9)
    kept = parts()
    password = join([kept[number] for number in present])
    other = second.initialize(share_of(password))
    assert other.dkek().kcv == card.dkek().kcv
    other.unwrap(9, blob)
    assert proves(other, 9, request)


@pytest.mark.parametrize("alone", range(CUSTODIANS))
def test_one_custodian_alone_restores_nothing(hsm, mine, second, alone):
    card = initialized(hsm, mine, share_of(PASSWORD))
    card.generate_ec(9, P256)
    blob = card.wrap(9)
    other = second.initialize(share_of(join([parts()[alone]])))
    assert other.dkek().kcv != card.dkek().kcv
    with pytest.raises(Refused, match=r"6A8[06]"):
        other.unwrap(9, blob)
    assert KEY | 9 not in other.objects()


@pytest.mark.parametrize("count", [2, 3])
def test_a_dkek_of_several_shares_needs_all_of_them(hsm, mine, second, count):
    """To the card there is no n of m: a share that is missing leaves it without a DKEK, and a KCV of zeros is none."""
    shares = [share_of(bytes([number]) * 8) for number in range(count)]
    card = initialized(hsm, mine, *shares)
    card.generate_ec(9, P256)
    blob = card.wrap(9)
    second.client.initialize(SECOND_SO_PIN, SECOND_PIN, shares=count)
    for one in shares[1:]:
        second.client.import_share(one)
    second.client.verify(SECOND_PIN)
    state = second.client.dkek()
    assert (state.outstanding, state.kcv) == (1, "0" * 16)
    with pytest.raises(Refused):
        second.client.unwrap(9, blob)
    second.client.import_share(shares[0])
    assert second.client.dkek().kcv == check_value(combined(*shares)).hex()
    second.client.unwrap(9, blob)


def test_when_a_custodian_leaves_old_blobs_are_refused_under_the_new_dkek(hsm, mine):
    """A new DKEK takes nothing of the old one: keys are made anew before the old device is initialised."""
    card = initialized(hsm, mine, share_of(PASSWORD))
    card.generate_ec(9, P256)
    old_blob, old = card.wrap(9), card.dkek().kcv
    card = initialized(card, mine, share_of(join(parts(b"another.")[1:])))
    assert card.dkek().kcv != old
    with pytest.raises(Refused, match=r"6A8[06]"):
        card.unwrap(9, old_blob)
    card.generate_ec(9, P256)
    new_blob = card.wrap(9)
    card.delete(KEY | 9)
    card.unwrap(9, new_blob)
    assert KEY | 9 in card.objects()


def test_a_custodian_who_has_left_still_opens_the_old_blob_with_another(hsm, mine, second):
    """So the key in it has to be given up; a new DKEK alone does not take it from them."""
    card = initialized(hsm, mine, share_of(PASSWORD))
    request = card.generate_ec(9, P256)
    blob = card.wrap(9)
    initialized(card, mine, share_of(b"another."))
    other = second.initialize(share_of(join(parts()[:NEEDED])))
    other.unwrap(9, blob)
    assert proves(other, 9, request)


def test_a_key_of_a_card_with_a_random_dkek_has_no_backup(hsm, mine, second):
    """Zero shares: the card makes its DKEK by itself, and no other card will ever have it."""
    hsm.initialize(mine.so_pin, mine.pin, shares=0)
    hsm.verify(mine.pin)
    hsm.generate_ec(9, P256)
    blob = hsm.wrap(9)
    second.client.initialize(SECOND_SO_PIN, SECOND_PIN, shares=0)
    second.client.verify(SECOND_PIN)
    with pytest.raises(Refused, match=r"6A8[06]"):
        second.client.unwrap(9, blob)


# Two clients at one card


def test_another_clients_select_drops_the_login(hsm, mine, rig):
    """Two programs share a card: who selects the applet logs the other out, who sees 6982 at the next command."""
    hsm.verify(mine.pin)
    assert hsm.sign(1, EC_SHA256, TEXT)
    hsm.card.transmit(list(bytes.fromhex("00A404000BE82B0601040181C31F020100")))
    with pytest.raises(Refused, match="6982"):
        hsm.sign(1, EC_SHA256, TEXT)
    hsm.verify(mine.pin)
    assert hsm.sign(1, EC_SHA256, TEXT)


def test_an_initialize_that_a_client_no_longer_waits_for_is_done(hsm, mine, rig):
    """The host gave up, the card went on: what counts is what the card says after it has power again."""
    hsm.initialize(mine.so_pin, "11223344", shares=1)
    rig.power.cycle()
    rig.wait_until_up()
    after = ScHsm(rig)
    after.verify("11223344")
    assert after.objects() == [KEY]
    assert after.dkek().outstanding == 1
