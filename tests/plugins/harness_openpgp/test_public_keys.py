"""Public keys: what GnuPG 2.2.40 has computed for keys of its own."""

from __future__ import annotations

import pytest

from harness_cards.tlv import tlv
from harness_openpgp.algorithms import ECDH, ED25519, EDDSA, X25519, on_curve
from harness_openpgp.public_keys import PublicKey

DATE = bytes.fromhex("6B0CA049")
KEYS = {
    "to sign": (
        on_curve(EDDSA, ED25519),
        "4205e2d33c42dbb730501ff72c3ca8f5cc6eb4ddb47e547d771b38bf5e971081",
        "b703468d6347187a9cfbf6c847b8369c30689cc5",
    ),
    "to encrypt": (
        on_curve(ECDH, X25519),
        "35940ab0f8fda3e926155cb0036c61c71bac7e382f86eacfe80a023af687641c",
        "26b79544ac1c6a11c75b90266da78f1a4ffdccbe",
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_the_fingerprint_is_that_of_gnupg(name):
    algorithm, point, fingerprint = KEYS[name]
    assert PublicKey(algorithm, tlv(0x86, bytes.fromhex(point))).fingerprint(DATE).hex() == fingerprint
