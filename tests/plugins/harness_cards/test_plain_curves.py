"""Curves in plain Python: against openssl, against `cryptography` where both have the curve, and by their laws."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_cards.curves import BY_NAME, CURVES, private_key, public_key, shared_x
from harness_cards.plain_curves import PlainCurve, PlainPrivate
from harness_cards.tlv import tlv

PLAIN = [curve for curve in CURVES if isinstance(curve.curve, PlainCurve)]
OIDS = {
    "brainpoolP192r1": "2B2403030208010103",
    "brainpoolP224r1": "2B2403030208010105",
    "brainpoolP320r1": "2B2403030208010109",
    "secp192k1": "2B8104001F",
    "secp224k1": "2B81040020",
}
EC_PUBLIC_KEY = "2A8648CE3D0201"
SHA256 = ec.ECDSA(hashes.SHA256())
EACH = pytest.mark.parametrize("curve", PLAIN, ids=lambda curve: curve.name)


def twice_known() -> PlainCurve:
    """P-256 in plain Python, which `cryptography` has as well."""
    known = BY_NAME["secp256r1"]
    point = known.point(1)
    numbers = (int.from_bytes(part, "big") for part in (known.prime, known.a, known.b))
    generator = (int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big"))
    return PlainCurve("P-256", *numbers, generator, known.order)


def test_each_of_them_has_an_oid_here():
    assert {curve.name for curve in PLAIN} == OIDS.keys()


@EACH
def test_the_order_of_the_generator_is_that_of_the_curve(curve):
    plain = curve.curve
    assert plain.holds(plain.generator)
    assert plain.times(plain.order, plain.generator) is None
    assert plain.times(plain.order + 1, plain.generator) == plain.generator


@EACH
@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_verifies_a_signature(curve, tmp_path):
    private = private_key(curve, 0x1234567890ABCDEF)
    algorithm = tlv(
        0x30, tlv(0x06, bytes.fromhex(EC_PUBLIC_KEY)) + tlv(0x06, bytes.fromhex(OIDS[curve.name]))
    )
    point = private.public_key().point
    (tmp_path / "key").write_bytes(tlv(0x30, algorithm + tlv(0x03, b"\0" + point)))
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "signature").write_bytes(private.sign(b"text", SHA256))
    verify = [
        "openssl",
        "dgst",
        "-sha256",
        "-verify",
        "key",
        "-keyform",
        "DER",
        "-signature",
        "signature",
        "text",
    ]
    done = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n", done.stderr


@EACH
@given(one=st.integers(1, 2**190), other=st.integers(1, 2**190))
@settings(max_examples=5, deadline=None)
def test_both_sides_agree(curve, one, other):
    mine, theirs = private_key(curve, one), private_key(curve, other)
    assert shared_x(mine, theirs.public_key()) == shared_x(theirs, mine.public_key())


@EACH
def test_a_signature_is_of_its_text_and_its_key_alone(curve):
    private = private_key(curve, 7)
    made = private.sign(b"text", SHA256)
    assert made == private.sign(b"text", SHA256), "the same each time"
    prehashed = ec.ECDSA(Prehashed(hashes.SHA256()))
    assert made == private.sign(hashlib.sha256(b"text").digest(), prehashed)
    private.public_key().verify(made, b"text", SHA256)
    for key, text in ((private, b"texu"), (private_key(curve, 8), b"text")):
        with pytest.raises(InvalidSignature):
            key.public_key().verify(made, text, SHA256)


@pytest.mark.parametrize("hash_", [hashes.SHA1(), hashes.SHA256(), hashes.SHA512()], ids=lambda one: one.name)
@given(private=st.integers(1, 2**255), text=st.binary(max_size=40))
@settings(max_examples=5, deadline=None)
def test_it_signs_as_the_library_does_where_both_have_the_curve(hash_, private, text):
    known = BY_NAME["secp256r1"]
    plain, library = PlainPrivate(twice_known(), private), private_key(known, private)
    assert plain.public_key().point == known.point(private)
    scheme = ec.ECDSA(hash_, deterministic_signing=True)
    assert plain.sign(text, scheme) == library.sign(text, scheme)
    plain.public_key().verify(library.sign(text, ec.ECDSA(hash_)), text, ec.ECDSA(hash_))


@EACH
def test_what_is_no_key_is_refused(curve):
    for number in (0, curve.order):
        with pytest.raises(ValueError, match="no private key"):
            private_key(curve, number)
    point = curve.point(5)
    for wrong in (point[:-1], b"\x02" + point[1:], point[:-1] + bytes([point[-1] ^ 1]), b""):
        with pytest.raises(ValueError, match="curve"):
            public_key(curve, wrong)
