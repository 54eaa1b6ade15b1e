"""TLV, curves, certificates, DKEK blobs: against numbers that another implementation computes."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness_cards.curves import BRAINPOOL_P256, CURVES, private_key, with_prime
from harness_cards.rsa import BITS, EXPONENT, digest_info, key_of, pkcs1_block, pss_block
from harness_cards.tlv import NotTlv, fields, first, objects, tlv
from harness_schsm import cvc, dkek
from harness_schsm.cvc import BadCertificate
from harness_schsm.dkek import BadBlob, Contents
from harness_schsm.roots import TWIN_ROOT, private_of, public_of, twin_certificates, twin_root

NAME = "UTKH000000100000"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_an_object_of_any_length_comes_back(size):
    value = bytes(size)
    assert list(objects(tlv(0x7F21, value) + tlv(0x42))) == [
        (0x7F21, value, tlv(0x7F21, value)),
        (0x42, b"", b"\x42\x00"),
    ]


@pytest.mark.parametrize("text", ["42", "4203AABB", "4280AA0000", "7F", "7F81", "428200", "4285FFFFFFFFFF"])
def test_what_is_cut_off_is_no_object(text):
    with pytest.raises(NotTlv):
        list(objects(bytes.fromhex(text)))


def test_of_two_objects_with_one_tag_the_first_counts():
    assert fields(tlv(0x53, b"a") + tlv(0x53, b"b")) == {0x53: b"a"}
    assert first(tlv(0x53, b"a") + b"rubbish")[1] == b"a"


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_points_that_another_library_computes_lie_on_the_curve(curve):
    p, a, b = (int.from_bytes(part, "big") for part in (curve.prime, curve.a, curve.b))
    for private in (1, 2, 3, curve.order - 1):
        numbers = private_key(curve, private).public_key().public_numbers()
        assert (numbers.y**2 - numbers.x**3 - a * numbers.x - b) % p == 0
    assert with_prime(b"\0" + curve.prime) is curve


def test_an_unknown_prime_is_no_curve():
    assert with_prime(b"\x07") is None


# Certificates


def test_a_twins_chain_descends_from_our_root_and_from_no_other():
    chain = twin_certificates(private_of("a device"), NAME)
    key = cvc.require_chain(chain, twin_root())
    assert key.point == BRAINPOOL_P256.point(private_of("a device"))
    other = private_of("another root")
    stranger = cvc.certificate(
        car=TWIN_ROOT, chr_=TWIN_ROOT, public=public_of(other, domain=True), role=0xC0, since="260101", until="460101",
        issuer=other,
    )  # fmt: skip
    with pytest.raises(BadCertificate, match="is not signed by"):
        cvc.require_chain(chain, cvc.decode(stranger))


def test_a_chain_looks_as_a_genuine_one_does():
    """Sizes and names as a public EF 2F02 of a genuine HSM 2 has them."""
    device, issuer = cvc.chain(twin_certificates(private_of("a device"), NAME))
    assert (device.chr, device.car, issuer.car) == (NAME, issuer.chr, TWIN_ROOT)
    assert (device.role, issuer.role, twin_root().role) == (0x00, 0x80, 0xC0)
    assert len(device.signature) == len(issuer.signature) == 64


@pytest.mark.parametrize("at", [20, 60, 120, 200, 400])
def test_a_changed_byte_in_a_chain_is_noticed(at):
    chain = bytearray(twin_certificates(private_of("a device"), NAME))
    chain[at] ^= 1
    with pytest.raises(BadCertificate):
        cvc.require_chain(bytes(chain), twin_root())


@pytest.mark.parametrize(
    "encoded", [b"", b"\x30\x00", bytes.fromhex("7F2100"), bytes.fromhex("7F21047F4E0100")]
)
def test_what_is_no_certificate_is_said_to_be_none(encoded):
    with pytest.raises(BadCertificate):
        cvc.decode(encoded)
    with pytest.raises(BadCertificate):
        cvc.require_chain(encoded, twin_root())
    with pytest.raises(BadCertificate):
        cvc.decode_authenticated(encoded)


# DKEK


def test_shares_combine_in_any_order_and_a_share_twice_is_none():
    one, two = (hashlib.sha256(bytes([number])).digest() for number in (1, 2))
    assert dkek.combined(one, two) == dkek.combined(two, one)
    assert dkek.combined(one, two, two) == one
    # The check value of a DKEK of zeros, computed by sha256sum.
    assert dkek.check_value(bytes(32)).hex() == "66687aadf862bd77"


@pytest.mark.parametrize(
    "contents",
    [
        Contents(dkek.AES, 32, (bytes(range(32)),), b"\x10\x11\x92"),
        Contents(dkek.EC, 256, tuple(bytes([number]) * 32 for number in range(7))),
        Contents(dkek.RSA_CRT, 2048, tuple(bytes([number]) * 128 for number in range(7))),
    ],
    ids=["aes", "ec", "rsa"],
)
def test_a_blob_opens_under_its_dkek_alone_and_only_unchanged(contents):
    key, other = bytes(range(32)), bytes(32)
    blob = dkek.wrapped(key, contents, b"\x5a" * 8)
    assert blob[:8] == dkek.check_value(key)
    assert dkek.unwrapped(key, blob) == contents
    with pytest.raises(BadBlob, match="another DKEK"):
        dkek.unwrapped(other, blob)
    for at in (8, 9, 40, len(blob) - 17, len(blob) - 1):
        with pytest.raises(BadBlob):
            dkek.unwrapped(key, blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
    assert bytes(contents.parts[0]) not in blob


# RSA of the twin


@pytest.mark.parametrize("bits", BITS)
def test_what_the_pools_keys_sign_another_library_verifies(bits):
    """A number that is no prime would give another private exponent, and signatures that do not verify."""
    for number in range(10):
        key = key_of(bits, number)
        assert key.n.bit_length() == bits
        signature = key.raw(pkcs1_block(digest_info("sha256", b"text"), key.size))
        public = rsa.RSAPublicNumbers(EXPONENT, key.n).public_key()
        public.verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())
    assert len({key_of(bits, number).n for number in range(10)}) == 10


@pytest.mark.parametrize(
    "name, hash_", [("sha1", hashes.SHA1()), ("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())]
)
def test_signatures_of_both_paddings_verify_elsewhere(name, hash_):
    key = key_of(2048, 3)
    public = rsa.RSAPublicNumbers(key.e, key.n).public_key()
    public.verify(
        key.raw(pkcs1_block(digest_info(name, b"text"), key.size)), b"text", padding.PKCS1v15(), hash_
    )
    digest = hashlib.new(name, b"text").digest()
    block = pss_block(name, digest, bytes(len(digest)), 2048)
    public.verify(key.raw(block), b"text", padding.PSS(padding.MGF1(hash_), len(digest)), hash_)


@pytest.mark.parametrize("block", [b"", bytes(255), b"\xff" * 256])
def test_a_block_that_does_not_fit_the_modulus_is_refused(block):
    with pytest.raises(ValueError):
        key_of(2048, 0).raw(block)


def test_there_are_no_other_sizes():
    with pytest.raises(ValueError, match="1000"):
        key_of(1000, 0)
