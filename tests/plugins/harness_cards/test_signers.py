"""Public keys from signatures: a key that signs is known again, and nothing else passes for one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from harness_cards.curves import BRAINPOOL_P256, BY_NAME, Curve, private_key
from harness_cards.signers import of_one_key, signers

P256 = BY_NAME["secp256r1"]
A, B = b"one message", b"another message"


def signed(curve: Curve, private: int, message: bytes) -> bytes:
    return private_key(curve, private).sign(message, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("curve", [P256, BRAINPOOL_P256], ids=lambda curve: curve.name)
@settings(max_examples=5, deadline=None)
@given(private=st.integers(1, min(P256.order, BRAINPOOL_P256.order) - 1), message=st.binary(max_size=40))
def test_the_public_key_is_among_those_that_a_signature_fits(curve, private, message):
    found = signers(curve, signed(curve, private, message), message)
    assert curve.point(private) in found
    assert len(found) <= 4


def test_two_signatures_of_one_key_are_told_from_those_of_two_keys():
    assert of_one_key(P256, {A: signed(P256, 5, A), B: signed(P256, 5, B)})
    assert not of_one_key(P256, {A: signed(P256, 5, A), B: signed(P256, 6, B)})


def test_what_no_key_has_signed_is_of_no_key():
    right = signed(P256, 5, A)
    assert not of_one_key(P256, {A: right, B: right}), "a signature of another message"
    for wrong in (b"", bytes(70), right[:-1], bytes.fromhex("3006020100020101")):
        assert not of_one_key(P256, {A: wrong, B: signed(P256, 5, B)})
