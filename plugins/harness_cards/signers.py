"""Whose signature is it, where nobody has kept the public key? Public keys are computed from ECDSA signatures.

A signature fits the public keys of SEC 1, 4.1.6: two, rarely four. Signatures of two messages by one private key have
one of them in common; of two signatures that no key has made, or two keys, none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness_cards.curves import Curve
from harness_cards.plain_curves import PlainCurve


def signers(curve: Curve, signature: bytes, message: bytes) -> frozenset[bytes]:
    """Return the public keys (04, x and y) under which an ECDSA signature with SHA-256 verifies; empty if none.

    :param curve: its prime is 3 modulo 4 and its order has 256 bits or more, as those of secp256r1 and
        brainpoolP256r1.
    :param signature: in DER.
    """
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return frozenset()
    n, plain = curve.order, _plain(curve)
    if not (0 < r < n and 0 < s < n):
        return frozenset()
    p, z = plain.prime, int.from_bytes(hashlib.sha256(message).digest(), "big")
    found = set()
    for x in (x for x in (r, r + n) if x < p):
        y = pow(x**3 + plain.a * x + plain.b, (p + 1) // 4, p)
        if not plain.holds((x, y)):
            continue
        of_message = plain.times(-z * pow(r, -1, n) % n, plain.generator)
        for root in (y, p - y):
            point = plain.add(plain.times(s * pow(r, -1, n) % n, (x, root)), of_message)
            if point is not None:
                found.add(b"\x04" + b"".join(part.to_bytes(curve.size, "big") for part in point))
    return frozenset(found)


def of_one_key(curve: Curve, signatures: Mapping[bytes, bytes]) -> bool:
    """Return whether one private key has made the signatures of several messages (message -> signature)."""
    sets = [signers(curve, signature, message) for message, signature in signatures.items()]
    return bool(frozenset.intersection(*sets))


def _plain(curve: Curve) -> PlainCurve:
    generator = curve.point(1)[1:]
    x, y = (int.from_bytes(part, "big") for part in (generator[: curve.size], generator[curve.size :]))
    prime, a, b = (int.from_bytes(part, "big") for part in (curve.prime, curve.a, curve.b))
    return PlainCurve(curve.name, prime, a, b, (x, y), curve.order)
