"""Keys on the card: how they are stored, and the signed requests that say that this card made them."""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import records
from harness_cards import rsa
from harness_cards.curves import BY_NAME, Curve
from harness_cards.rsa import RsaPrivate
from harness_cards.tlv import tlv
from harness_schsm.cvc import (
    AUTHENTICATED,
    BODY,
    CAR,
    CERTIFICATE,
    CHR,
    EC_SHA256,
    PROFILE,
    PUBLIC,
    RSA_SHA256,
    SIGNATURE,
    sign_ec,
)
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import NOT_FOUND, NOT_SUPPORTED, USED_UP, CardError


@dataclass(frozen=True)
class EcPrivate:
    """A private key on a curve."""

    curve: Curve
    d: int


@dataclass(frozen=True)
class AesKey:
    """A symmetric key of 16, 24 or 32 bytes."""

    value: bytes


Secret = RsaPrivate | EcPrivate | AesKey


@dataclass(frozen=True)
class CardKey:
    """A key with what restricts it.

    :ivar algorithms: numbers of the algorithms that it may be used for; None is all of its kind.
    :ivar domain: number of its key domain.
    """

    secret: Secret
    algorithms: bytes | None = None
    domain: int = 0

    def sealed(self) -> bytes:
        secret = self.secret
        content: dict[int, object]
        if isinstance(secret, RsaPrivate):
            content = {1: "rsa", 2: _bytes(secret.p), 3: _bytes(secret.q), 4: secret.e}
        elif isinstance(secret, EcPrivate):
            content = {1: "ec", 2: secret.curve.name, 3: _bytes(secret.d)}
        else:
            content = {1: "aes", 2: secret.value}
        return records.seal({**content, 8: self.algorithms, 9: self.domain})

    def require_algorithm(self, algorithm: int) -> None:
        """:raises CardError: the key may not be used so."""
        if self.algorithms is not None and algorithm not in self.algorithms:
            raise CardError(NOT_SUPPORTED)


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def key_file(key_id: int) -> str:
    return f"key{key_id:02X}"


def uses_file(key_id: int) -> str:
    return f"uses{key_id:02X}"


def load(card: Card, key_id: int) -> CardKey | None:
    """Return a key; None if there is none."""
    found = card.files.record(key_file(key_id))
    if found is None:
        return None
    secret: Secret
    if found[1] == "rsa":
        secret = RsaPrivate(int.from_bytes(found[2], "big"), int.from_bytes(found[3], "big"), found[4])
    elif found[1] == "ec":
        secret = EcPrivate(BY_NAME[found[2]], int.from_bytes(found[3], "big"))
    else:
        secret = AesKey(found[2])
    return CardKey(secret, found[8], found[9])


def require(card: Card, key_id: int) -> CardKey:
    """:raises CardError: there is no such key."""
    found = load(card, key_id)
    if found is None:
        raise CardError(NOT_FOUND)
    return found


def key_ids(card: Card) -> list[int]:
    """The numbers of all keys, without the device's own (0)."""
    return [int(name[3:], 16) for name in card.files.names() if name.startswith("key")]


def uses_left(card: Card, key_id: int) -> int | None:
    """How often a key may still be used; None: it has no use counter."""
    stored = card.files.read(uses_file(key_id))
    return None if stored is None else int.from_bytes(stored, "big")


def use(card: Card, key_id: int) -> None:
    """Take one use off a key that has a use counter; stored before the key is used.

    :raises CardError: none is left.
    """
    left = uses_left(card, key_id)
    if left == 0:
        raise CardError(USED_UP)
    if left is None:
        return
    lowered = (left - 1).to_bytes(4, "big")
    if "use-counted-later" in card.defects:
        card.later.append(lambda: card.files.write(uses_file(key_id), lowered))
    else:
        card.files.write(uses_file(key_id), lowered)


# Requests


def public_object(secret: RsaPrivate | EcPrivate) -> bytes:
    """Object 7F49 of a key, with its domain parameters."""
    if isinstance(secret, RsaPrivate):
        return tlv(PUBLIC, tlv(0x06, RSA_SHA256), tlv(0x81, _bytes(secret.n)), tlv(0x82, _bytes(secret.e)))
    return tlv(PUBLIC, tlv(0x06, EC_SHA256), secret.curve.parameters(secret.curve.point(secret.d)))


def sign_request(secret: RsaPrivate | EcPrivate, body: bytes) -> bytes:
    """Sign with the key itself: RSASSA-PKCS1-v1_5, or r || s of ECDSA, each with SHA-256."""
    if isinstance(secret, RsaPrivate):
        return secret.raw(rsa.pkcs1_block(rsa.digest_info("sha256", body), secret.size))
    return sign_ec(secret.curve, secret.d, body)


def request(card: Card, secret: RsaPrivate | EcPrivate, car: bytes, chr_: bytes, outer: bytes) -> bytes:
    """Object 67: the request, signed by the key, and signed again by the device.

    :param outer: CHR of the signing device.
    """
    body = tlv(
        BODY,
        tlv(PROFILE, b"\0"),
        tlv(CAR, car) if car else b"",
        public_object(secret),
        tlv(CHR, chr_),
    )
    inner = tlv(CERTIFICATE, body, tlv(SIGNATURE, sign_request(secret, body)))
    signed = inner + tlv(CAR, outer)
    return tlv(AUTHENTICATED, signed, tlv(SIGNATURE, card.identity.sign(signed)))
