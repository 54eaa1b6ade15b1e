"""Make keys and use them: every curve, size, padding and hash; the answers are verified by the host's own library."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from harness.api import NOT_OFFERED, Refused
from harness_cards.curves import BY_NAME, CURVES, PrivateKey, point_of, private_key, public_key, shared_x
from harness_cards.tlv import tlv
from harness_schsm import cvc
from harness_schsm.client import EC_SHA256, RSA_PKCS1_SHA256, ScHsm, ec_public, request_body, rsa_public
from harness_schsm.cvc import EcPublic, RsaPublic
from harness_schsm.home import share
from harness_schsm.items import attested
from harness_schsm.plugin import GENERIC
from harness_suites.schsm.second import (
    ALGORITHM,
    NOT_FOUND,
    NOT_LOGGED_IN,
    TAKEN,
    USED_UP,
    WRONG_DATA,
    generate_on,
    refused,
    require_certificates,
    require_known_model,
)

P256 = BY_NAME["secp256r1"]
TEXT = b"a message of the host"
HASHES = {1: hashes.SHA1(), 2: hashes.SHA224(), 3: hashes.SHA256(), 4: hashes.SHA384(), 5: hashes.SHA512()}
"""Low digit of an algorithm's number -> the hash that the card computes."""
NAMES = {number: hash_.name for number, hash_ in HASHES.items()}
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
CURVE = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
HASHED = pytest.mark.parametrize("number", HASHES, ids=NAMES.get)


def digest(number: int) -> bytes:
    return hashlib.new(NAMES[number], TEXT).digest()


LENGTHS = pytest.mark.parametrize("length", [1, 15, 17, 63, 64, 65, 255, 256, 257, 1000])


def message(length: int) -> bytes:
    """A message of which no part repeats another one."""
    return b"".join(hashlib.sha256(bytes([at])).digest() for at in range(-(-length // 32)))[:length]


def verify_ec(key: cvc.Public, signature: bytes, hash_: hashes.HashAlgorithm) -> None:
    assert isinstance(key, EcPublic)
    public_key(key.curve, key.point).verify(signature, TEXT, ec.ECDSA(hash_))


# Making keys


@CURVE
def test_an_ec_key_comes_with_a_request_that_the_device_attests(user, curve):
    require_certificates(user)
    request = generate_on(user, 9, curve)
    key = attested(user, request)
    assert isinstance(key, EcPublic)
    assert key.curve is curve
    assert cvc.decode_authenticated(request).signer == user.device().chr
    assert user.read(0xCE09) == request


@pytest.mark.parametrize("bits", [1024, 1536, 2048, 3072, 4096])
def test_an_rsa_key_comes_with_a_request_that_the_device_attests(user, bits):
    require_certificates(user)
    request = user.generate_rsa(9, bits)
    key = attested(user, request)
    assert isinstance(key, RsaPublic)
    assert (key.modulus.bit_length(), key.exponent) == (bits, 65537)
    key.key().verify(user.sign(9, RSA_PKCS1_SHA256, TEXT), TEXT, padding.PKCS1v15(), hashes.SHA256())


def test_an_rsa_key_that_names_no_exponent_has_65537(user):
    """One public client leaves it out. A card may refuse that, but not make a key with another one."""
    public = tlv(0x06, cvc.RSA_SHA256) + tlv(0x02, (1024).to_bytes(2, "big"))
    try:
        request = user.generate(9, public)
    except Refused as error:
        assert error.status in WRONG_DATA | ALGORITHM
        return
    key = cvc.decode_authenticated(request).request.key()
    assert isinstance(key, RsaPublic)
    assert key.exponent == 65537


def test_a_key_lasts(user, mine, rig):
    key = attested(user, user.generate_ec(9, P256))
    rig.power.cycle()
    rig.wait_until_up()
    after = ScHsm(rig)
    after.verify(mine.pin)
    verify_ec(key, after.sign(9, EC_SHA256, TEXT), hashes.SHA256())


def test_two_keys_differ(user):
    assert attested(user, user.generate_ec(9, P256)) != attested(user, user.generate_ec(10, P256))


def test_the_number_of_another_key_is_refused_and_that_key_stays(user, mine):
    with refused(TAKEN):
        user.generate_ec(1, P256)
    key = cvc.decode_authenticated(mine.requests[1]).request.key()
    verify_ec(key, user.sign(1, EC_SHA256, TEXT), hashes.SHA256())


@pytest.mark.parametrize(
    "public",
    [
        tlv(0x06, cvc.EC_SHA256) + tlv(0x81, b"\x07"),
        tlv(0x06, cvc.EC_SHA256),
        ec_public(P256).replace(P256.b, P256.a),
        rsa_public(1000),
        rsa_public(8192),
        rsa_public(2048, b"\x02"),
    ],
    ids=["unknown curve", "no curve", "mixed curve", "1000 bits", "8192 bits", "exponent 2"],
)
def test_a_key_of_another_kind_is_not_attested(user, public):
    with refused(ALGORITHM | WRONG_DATA):
        user.generate(9, public)
    assert 0xCC09 not in user.objects()


@pytest.mark.parametrize("data", [b"", b"\x7f", tlv(0x5F29, b"\0"), tlv(cvc.PUBLIC, b"\x06")], ids=len)
def test_data_that_ask_for_no_key_are_refused(user, data):
    with refused(WRONG_DATA):
        user.command("GENERATE", 0x46, 9, 0, data, le=65536)


def test_a_request_too_long_for_a_short_command_may_come_in_a_chain(user):
    data = request_body(ec_public(BY_NAME["secp384r1"]))
    assert len(data) > 255
    block = data[:200]
    assert user.card.transmit([0x10, 0x46, 9, 0, len(block), *block]) == ([], 0x90, 0x00)
    answer, status = user.exchange(0x46, 9, 0, data[200:], le=256)
    assert status == 0x9000
    assert isinstance(attested(user, answer), EcPublic), "the answer came in parts, by GET RESPONSE"


def test_a_chain_that_changes_its_command_is_refused(user):
    data = request_body(ec_public(P256))
    user.card.transmit([0x10, 0x46, 9, 0, 200, *data[:200]])
    assert user.exchange(0x46, 10, 0, data[200:], le=256)[1] in (0x6A80, 0x6883, 0x6884, 0x6985)
    assert not {0xCC09, 0xCC0A} & set(user.objects())


# Signatures


@CURVE
def test_each_curve_signs(user, curve):
    key = attested(user, generate_on(user, 9, curve))
    verify_ec(key, user.sign(9, EC_SHA256, TEXT), hashes.SHA256())


@HASHED
def test_ecdsa_with_a_hash_that_the_card_computes(user, mine, number):
    key = cvc.decode_authenticated(mine.requests[1]).request.key()
    verify_ec(key, user.sign(1, 0x70 + number, TEXT), HASHES[number])


@HASHED
def test_ecdsa_of_a_hash_that_the_host_computed(user, mine, number):
    key = cvc.decode_authenticated(mine.requests[1]).request.key()
    assert isinstance(key, EcPublic)
    signature = user.sign(1, 0x70, digest(number))
    public_key(key.curve, key.point).verify(signature, digest(number), ec.ECDSA(Prehashed(HASHES[number])))


@pytest.fixture
def rsa(user, mine):
    """The card, and the public key of its RSA key 2."""
    key = cvc.decode_authenticated(mine.requests[2]).request.key()
    assert isinstance(key, RsaPublic)
    return user, key.key()


@LENGTHS
def test_each_byte_of_a_message_is_signed(rsa, mine, length):
    hsm, key = rsa
    text = message(length)
    key.verify(hsm.sign(2, RSA_PKCS1_SHA256, text), text, padding.PKCS1v15(), hashes.SHA256())
    of_curve = cvc.decode_authenticated(mine.requests[1]).request.key()
    assert isinstance(of_curve, EcPublic)
    signature = hsm.sign(1, EC_SHA256, text)
    public_key(of_curve.curve, of_curve.point).verify(signature, text, ec.ECDSA(hashes.SHA256()))


@HASHED
def test_pkcs1_with_a_hash_that_the_card_computes(rsa, number):
    hsm, key = rsa
    key.verify(hsm.sign(2, 0x30 + number, TEXT), TEXT, padding.PKCS1v15(), HASHES[number])


def test_pkcs1_of_a_digest_info_that_the_host_made(rsa):
    hsm, key = rsa
    key.verify(hsm.sign(2, 0x30, DIGEST_INFO + digest(3)), TEXT, padding.PKCS1v15(), hashes.SHA256())


def salt_length(hsm: ScHsm, hash_: hashes.HashAlgorithm) -> Any:
    """Clients verify with a salt as long as the hash (OpenSC 14c80b0, pkcs11-tool; RFC 8017, section 9.1)."""
    return padding.PSS.AUTO if hsm.rig.key.name == GENERIC else hash_.digest_size


@HASHED
def test_pss_with_a_hash_that_the_card_computes(rsa, number):
    hsm, key = rsa
    scheme = padding.PSS(padding.MGF1(HASHES[number]), salt_length(hsm, HASHES[number]))
    key.verify(hsm.sign(2, 0x40 + number, TEXT), TEXT, scheme, HASHES[number])


@pytest.mark.parametrize("prefix", [DIGEST_INFO, b""], ids=["digest info", "hash"])
def test_pss_of_a_hash_that_the_host_computed(rsa, prefix):
    """OpenSC 0.23 sends a DigestInfo, which names the hash."""
    hsm, key = rsa
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length(hsm, hashes.SHA256()))
    key.verify(hsm.sign(2, 0x40, prefix + digest(3)), TEXT, scheme, hashes.SHA256())


def test_two_pss_signatures_differ(rsa):
    hsm, _ = rsa
    assert hsm.sign(2, 0x43, TEXT) != hsm.sign(2, 0x43, TEXT)


def test_a_block_that_the_host_padded_is_signed_as_it_is(rsa):
    hsm, key = rsa
    info = DIGEST_INFO + digest(3)
    block = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    key.verify(hsm.sign(2, 0x20, block), TEXT, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("size", [0, 255, 257])
def test_a_block_of_another_size_is_refused(rsa, size):
    hsm, _ = rsa
    with refused(WRONG_DATA):
        hsm.sign(2, 0x20, bytes(size))


# Decryption, key agreement, derivation


def test_what_the_host_encrypted_the_card_decrypts(rsa):
    hsm, key = rsa
    block = hsm.decipher(2, 0x21, key.encrypt(TEXT, padding.PKCS1v15()))
    assert block[:2] == b"\0\2"
    assert block.endswith(b"\0" + TEXT)


def offered(decrypt: Callable[[bytes], bytes], block: bytes) -> bytes:
    """Decrypt where the card removes the padding; no client is known to use these two numbers."""
    try:
        return decrypt(block)
    except Refused as error:
        if error.status in ALGORITHM | {"6A86"}:
            pytest.skip(f"{NOT_OFFERED}: this card leaves the padding to the host")
        raise


OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
PADDINGS = pytest.mark.parametrize(
    "algorithm, pad", [(0x22, padding.PKCS1v15()), (0x23, OAEP)], ids=["PKCS #1", "OAEP"]
)


@PADDINGS
@pytest.mark.parametrize("text", [TEXT, b"", b"\0leading zero"], ids=["text", "empty", "zero"])
def test_the_card_removes_the_padding(rsa, algorithm, pad, text):
    hsm, key = rsa
    assert offered(lambda block: hsm.decipher(2, algorithm, block), key.encrypt(text, pad)) == text


@PADDINGS
def test_a_block_without_that_padding_is_refused(rsa, algorithm, pad):
    hsm, key = rsa
    with refused(WRONG_DATA):
        number = pow(int.from_bytes(b"\0\1" + b"\xff" * 254, "big"), 65537, key.public_numbers().n)
        offered(lambda block: hsm.decipher(2, algorithm, block), number.to_bytes(256, "big"))


@CURVE
def test_both_sides_agree_on_a_point(user, curve):
    """With the private key 2 on the host's side the shared point is twice the card's: both coordinates are known.

    An open implementation answers 04 and x alone. OpenSC drops the 04 and takes what follows.
    """
    key = attested(user, generate_on(user, 9, curve))
    assert isinstance(key, EcPublic)
    host = private_key(curve, 2)
    answer = user.decipher(9, 0x80, point_of(host.public_key()))
    p, a = int.from_bytes(curve.prime, "big"), int.from_bytes(curve.a, "big")
    own = public_key(curve, key.point).public_numbers()
    slope = (3 * own.x**2 + a) * pow(2 * own.y, -1, p) % p
    x = (slope**2 - 2 * own.x) % p
    y = (slope * (own.x - x) - own.y) % p
    alone = b"\x04" + x.to_bytes(curve.size, "big")
    assert answer in (alone + y.to_bytes(curve.size, "big"), alone)
    assert x.to_bytes(curve.size, "big") == shared_x(host, public_key(curve, key.point))


def test_a_shared_point_keeps_the_zeros_that_it_begins_with(user, mine):
    """One of 256 does; a client takes the bytes from a fixed place."""
    base = cvc.decode_authenticated(mine.requests[1]).request.key()
    assert isinstance(base, EcPublic)
    card = public_key(P256, base.point)
    host = next(one for one in map(_host, range(3, 10_000)) if not shared_x(one, card)[0])
    assert user.decipher(1, 0x80, point_of(host.public_key()))[:33] == b"\x04" + shared_x(host, card)


def _host(number: int) -> PrivateKey:
    return private_key(P256, number)


def test_a_point_off_the_curve_is_refused(user):
    with refused(WRONG_DATA):
        user.decipher(1, 0x80, b"\x04" + bytes(63) + b"\x01")


@pytest.mark.parametrize("number", [1, 0xFFFF, 2**255 + 2**127 + 5], ids=hex)
def test_a_derived_key_is_the_sum_of_key_and_parameter(user, mine, number):
    base = cvc.decode_authenticated(mine.requests[1]).request.key()
    assert isinstance(base, EcPublic)
    user.derive(1, 9, number.to_bytes(32, "big"))
    # Q + G, with G times the number, is on the line through both; the library that verifies needs the point itself.
    p = int.from_bytes(P256.prime, "big")
    q = public_key(P256, base.point).public_numbers()
    g = public_key(P256, P256.point(number)).public_numbers()
    slope = (q.y - g.y) * pow(q.x - g.x, -1, p) % p
    x = (slope * slope - q.x - g.x) % p
    y = (slope * (q.x - x) - q.y) % p
    derived = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    derived.verify(user.sign(9, EC_SHA256, TEXT), TEXT, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_derived_key_replaces_no_key(user, mine, place):
    used = {1: (0x68, EC_SHA256), 2: (0x68, RSA_PKCS1_SHA256), 3: (0x78, 0x18)}[place]
    before = user.command("use", used[0], place, used[1], TEXT, cla=0x80, le=512)
    with refused(TAKEN):
        user.derive(1, place, bytes(31) + b"\x01")
    after = user.command("use", used[0], place, used[1], TEXT, cla=0x80, le=512)
    if place > 1:
        assert after == before
        return
    key = cvc.decode_authenticated(mine.requests[1]).request.key()
    verify_ec(key, after, hashes.SHA256())


def test_a_derived_key_stays_in_the_domain_of_the_one_that_it_comes_from(hsm, mine):
    require_known_model(hsm, "the domain of a derived key")
    hsm.initialize(mine.so_pin, mine.pin, more=tlv(0x97, b"\2"))
    hsm.verify(mine.pin)
    hsm.command("key domain", 0x52, 0x01, 1, b"\1", cla=0x80, le=256)
    hsm.import_share(share(1), domain=1)
    hsm.generate_ec(9, P256, more=tlv(0x92, b"\1"))
    hsm.derive(9, 10, bytes(31) + b"\x01")
    assert hsm.wrap(10)[:8].hex() == hsm.dkek(1).kcv


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_new_aes_key_replaces_no_key(user, place):
    used = {1: (0x62, 0x80), 2: (0x68, RSA_PKCS1_SHA256), 3: (0x78, 0x18)}[place]
    data = P256.point(5) if place == 1 else TEXT
    before = user.command("use", used[0], place, used[1], data, cla=0x80, le=512)
    with refused(TAKEN):
        user.generate_aes(place)
    assert user.command("use", used[0], place, used[1], data, cla=0x80, le=512) == before


# AES


@pytest.mark.parametrize("size", [16, 24, 32])
def test_aes_keys_of_each_size_encrypt_and_decrypt(user, size):
    user.generate_aes(9, size)
    text = TEXT.ljust(48, b".")
    cipher = user.aes(9, 0x10, text)
    assert cipher != text
    assert user.aes(9, 0x11, cipher) == text


def test_encryption_is_cbc_from_zeros(user):
    """The first block of a chain of two equal ciphers is the cipher of the second plaintext block, mixed with it."""
    one = user.aes(3, 0x10, bytes(16))
    assert user.aes(3, 0x10, bytes(32)) == one + user.aes(3, 0x10, one)


def test_the_cmac_is_that_of_the_cipher(user):
    """AES-CMAC (RFC 4493) from the card's own encryption of zeros, by the host."""
    text = b"sixteen bytes ok"
    assert user.aes(3, 0x18, text) == by_cbc(user, 3, text)


def by_cbc(hsm: ScHsm, key_id: int, text: bytes) -> bytes:
    """AES-CMAC by the card's encryption: the last block of a chain whose last block is mixed with a subkey."""
    subkey = int.from_bytes(hsm.aes(key_id, 0x10, bytes(16)), "big")
    whole = len(text) > 0 and len(text) % 16 == 0
    for _ in range(1 if whole else 2):
        subkey = (subkey << 1) & (1 << 128) - 1 ^ (0x87 if subkey >> 127 else 0)
    padded = text if whole else text + b"\x80" + bytes(-(len(text) + 1) % 16)
    last = bytes(left ^ right for left, right in zip(padded[-16:], subkey.to_bytes(16, "big")))
    return hsm.aes(key_id, 0x10, padded[:-16] + last)[-16:]


@LENGTHS
def test_each_byte_of_a_message_is_in_its_cmac(user, length):
    text = message(length)
    assert user.aes(3, 0x18, text) == by_cbc(user, 3, text)


@pytest.mark.parametrize("length", [256, 512, 1024])
def test_long_texts_are_encrypted_whole(user, length):
    text = message(length)
    cipher = user.aes(3, 0x10, text)
    assert len({cipher[at : at + 16] for at in range(0, length, 16)}) == length // 16
    assert user.aes(3, 0x11, cipher) == text


def test_a_key_that_is_derived_depends_on_the_parameter_and_on_the_key(user):
    user.generate_aes(9, 16)
    found = [user.aes(3, 0x99, bytes(31) + b"\1"), user.aes(3, 0x99, bytes(32)), user.aes(9, 0x99, bytes(32))]
    assert len(set(found)) == 3
    assert {len(one) for one in found} == {32}
    assert user.aes(3, 0x99, bytes(32)) == found[1]


@pytest.mark.parametrize("size", [0, 1, 15, 17])
def test_cbc_takes_whole_blocks(user, size):
    with refused(WRONG_DATA):
        user.aes(3, 0x10, bytes(size))


def test_a_key_is_derived_from_a_parameter_only(user):
    with refused(WRONG_DATA):
        user.aes(3, 0x99, b"")


# What is refused


USES = {
    "sign": lambda hsm: hsm.sign(1, EC_SHA256, TEXT),
    "ecdh": lambda hsm: hsm.decipher(1, 0x80, P256.point(5)),
    "aes": lambda hsm: hsm.aes(3, 0x10, bytes(16)),
    "derive": lambda hsm: hsm.derive(1, 9, bytes(31) + b"\x01"),
    "generate": lambda hsm: hsm.generate_ec(9, P256),
    "generate aes": lambda hsm: hsm.generate_aes(9),
    "wrap": lambda hsm: hsm.wrap(1),
    "unwrap": lambda hsm: hsm.command("UNWRAP KEY", 0x74, 9, 0x93, bytes(32), cla=0x80),
    "update": lambda hsm: hsm.update(0xCF09, b"data"),
    "delete": lambda hsm: hsm.delete(0xCC01),
}


@pytest.mark.parametrize("use", USES)
def test_nothing_is_done_before_a_login(hsm, use):
    before = hsm.objects()
    with refused(NOT_LOGGED_IN):
        USES[use](hsm)
    assert hsm.objects() == before


@pytest.mark.parametrize("use", ["sign", "ecdh", "aes", "wrap"])
def test_a_key_that_is_missing_is_not_found(user, use):
    commands = {
        "sign": lambda: user.sign(9, EC_SHA256, TEXT),
        "ecdh": lambda: user.decipher(9, 0x80, P256.point(5)),
        "aes": lambda: user.aes(9, 0x10, bytes(16)),
        "wrap": lambda: user.wrap(9),
    }
    with refused(NOT_FOUND):
        commands[use]()


@pytest.mark.parametrize(
    "key_id, algorithm",
    [(1, 0x33), (1, 0x20), (2, 0x73), (3, 0x73), (1, 0x7E), (2, 0x3E), (1, 0x00)],
    ids=str,
)
def test_an_algorithm_of_another_kind_of_key_is_refused(user, key_id, algorithm):
    with refused(ALGORITHM | WRONG_DATA):
        user.sign(key_id, algorithm, TEXT)


def test_a_key_may_do_only_what_its_list_allows(user):
    key = attested(user, user.generate_ec(9, P256, more=tlv(0x91, b"\x73")))
    verify_ec(key, user.sign(9, EC_SHA256, TEXT), hashes.SHA256())
    with refused(ALGORITHM):
        user.sign(9, 0x70, digest(3))
    with refused(ALGORITHM):
        user.decipher(9, 0x80, P256.point(5))
    with refused(ALGORITHM):
        user.wrap(9)


def test_an_aes_key_may_by_default_not_leave(user):
    with refused(ALGORITHM):
        user.wrap(3)


@pytest.mark.parametrize("count", [1, 3])
def test_a_key_with_a_use_counter_signs_so_often_and_never_again(user, mine, rig, count):
    user.generate_ec(9, P256, more=tlv(0x90, count.to_bytes(4, "big")))
    for _ in range(count):
        user.sign(9, EC_SHA256, TEXT)
    with refused(USED_UP):
        user.sign(9, EC_SHA256, TEXT)
    rig.power.cycle()
    rig.wait_until_up()
    after = ScHsm(rig)
    after.verify(mine.pin)
    with refused(USED_UP):
        after.sign(9, EC_SHA256, TEXT)


def test_a_deleted_key_is_gone_and_its_number_is_free(user):
    user.delete(0xCC01)
    assert 0xCC01 not in user.objects()
    with refused(NOT_FOUND):
        user.sign(1, EC_SHA256, TEXT)
    key = attested(user, user.generate_ec(1, P256))
    verify_ec(key, user.sign(1, EC_SHA256, TEXT), hashes.SHA256())


@pytest.mark.parametrize("number", [0x7F, 0x80, 0xFE], ids=hex)
def test_keys_of_high_numbers_are_listed_and_work(user, number):
    key = attested(user, user.generate_ec(number, P256))
    assert 0xCC00 | number in user.objects()
    verify_ec(key, user.sign(number, EC_SHA256, TEXT), hashes.SHA256())


def test_private_keys_cannot_be_read(user):
    for key_id in (0, 1, 2, 3):
        status = user.exchange(0xB1, 0xCC, key_id, tlv(0x54, b"\0\0"), le=256)[1]
        assert status != 0x9000
