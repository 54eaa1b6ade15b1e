"""WRAP and UNWRAP between two cards: a backup counts once a signature on the second card has proved it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from harness_cards.curves import BY_NAME, CURVES, public_key
from harness_cards.tlv import tlv
from harness_schsm import cvc, dkek
from harness_schsm.client import EC_SHA256, RSA_PKCS1_SHA256
from harness_schsm.cvc import EcPublic, RsaPublic
from harness_schsm.dkek import Contents
from harness_schsm.home import share
from harness_suites.schsm.second import FORBIDDEN, OTHER_DKEK, TAKEN, WRONG_DATA, generate_on, refused

TEXT = b"signed on the second card"
P256 = BY_NAME["secp256r1"]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_an_ec_key_signs_on_the_second_card(user, second, curve):
    key = cvc.decode_authenticated(generate_on(user, 9, curve)).request.key()
    assert isinstance(key, EcPublic)
    other = second.initialize(share(0))
    other.unwrap(5, user.wrap(9))
    public_key(key.curve, key.point).verify(other.sign(5, EC_SHA256, TEXT), TEXT, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_an_rsa_key_signs_on_the_second_card(user, second, bits):
    key = cvc.decode_authenticated(user.generate_rsa(9, bits)).request.key()
    assert isinstance(key, RsaPublic)
    other = second.initialize(share(0))
    other.unwrap(5, user.wrap(9))
    key.key().verify(other.sign(5, RSA_PKCS1_SHA256, TEXT), TEXT, padding.PKCS1v15(), hashes.SHA256())


def test_an_rsa_key_without_its_primes_signs_on_the_card(user):
    """A host may make a blob of a modulus and its two exponents alone."""
    key = rsa.generate_private_key(65537, 1024)
    numbers = key.private_numbers()
    parts = (numbers.d.to_bytes(128, "big"), numbers.public_numbers.n.to_bytes(128, "big"), b"\1\0\1")
    user.unwrap(9, dkek.wrapped(share(0), Contents(dkek.RSA, 1024, parts), bytes(8)))
    signature = user.sign(9, RSA_PKCS1_SHA256, TEXT)
    key.public_key().verify(signature, TEXT, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("wrong", ["exponent", "modulus"])
def test_numbers_that_are_no_rsa_key_are_refused(user, wrong):
    numbers = rsa.generate_private_key(65537, 1024).private_numbers()
    d, n = numbers.d + 2 * (wrong == "exponent"), numbers.public_numbers.n * (wrong != "modulus")
    parts = (d.to_bytes(128, "big"), n.to_bytes(128, "big"), b"\1\0\1")
    with refused(WRONG_DATA | OTHER_DKEK):
        user.unwrap(9, dkek.wrapped(share(0), Contents(dkek.RSA, 1024, parts), bytes(8)))
    assert 0xCC09 not in user.objects()


@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_aes_key_decrypts_on_the_second_card(user, second, size):
    user.generate_aes(9, size, more=tlv(0x91, b"\x10\x11\x92"))
    cipher = user.aes(9, 0x10, TEXT.ljust(32, b"."))
    other = second.initialize(share(0))
    other.unwrap(5, user.wrap(9))
    assert other.aes(5, 0x11, cipher) == TEXT.ljust(32, b".")


@pytest.mark.parametrize("count", [2, 3])
def test_two_cards_with_the_same_shares_have_the_same_dkek(user, mine, second, count):
    shares = [share(number) for number in range(count)]
    user.initialize(mine.so_pin, mine.pin, shares=count)
    for one in shares:
        user.import_share(one)
    user.verify(mine.pin)
    key = cvc.decode_authenticated(user.generate_ec(9, P256)).request.key()
    assert isinstance(key, EcPublic)
    other = second.initialize(*reversed(shares))
    assert other.dkek().kcv == user.dkek().kcv
    other.unwrap(9, user.wrap(9))
    public_key(key.curve, key.point).verify(other.sign(9, EC_SHA256, TEXT), TEXT, ec.ECDSA(hashes.SHA256()))


def test_a_card_with_another_dkek_refuses(user, second):
    other = second.initialize(share(1))
    with refused(OTHER_DKEK):
        other.unwrap(5, user.wrap(1))
    assert 0xCC05 not in other.objects()


def test_a_card_without_a_dkek_refuses(user, second):
    other = second.client
    other.initialize("3141592653589793", "27182818")
    other.verify("27182818")
    with refused(OTHER_DKEK | FORBIDDEN | {"6D00"}):
        other.unwrap(5, user.wrap(1))


@pytest.mark.parametrize("at", [0, 7, 8, 12, 25, 60, -17, -1])
def test_a_changed_blob_is_refused(user, at):
    blob = bytearray(user.wrap(1))
    assert len(blob) > 60
    blob[at] ^= 0x01
    with refused(OTHER_DKEK | WRONG_DATA):
        user.unwrap(9, bytes(blob))
    assert 0xCC09 not in user.objects()


@pytest.mark.parametrize("size", [0, 1, 8, 40, 100])
def test_a_blob_that_is_cut_off_is_refused(user, size):
    with refused(OTHER_DKEK | WRONG_DATA):
        user.unwrap(9, user.wrap(1)[:size])


def test_a_blob_does_not_replace_a_key(user, mine):
    blob = user.wrap(1)
    with refused(TAKEN):
        user.unwrap(2, blob)
    key = cvc.decode_authenticated(mine.requests[2]).request.key()
    assert isinstance(key, RsaPublic)
    key.key().verify(user.sign(2, RSA_PKCS1_SHA256, TEXT), TEXT, padding.PKCS1v15(), hashes.SHA256())


def test_the_list_of_algorithms_travels_along(user, second):
    user.generate_ec(9, P256, more=tlv(0x91, b"\x73\x92"))
    other = second.initialize(share(0))
    other.unwrap(5, user.wrap(9))
    other.sign(5, EC_SHA256, TEXT)
    with refused({"6A81", "6985"}):
        other.sign(5, 0x70, bytes(32))


def test_two_blobs_of_one_key_differ_and_show_nothing_of_it(user):
    one, two = user.wrap(1), user.wrap(1)
    assert one != two
    assert one[:8].hex() == user.dkek().kcv
