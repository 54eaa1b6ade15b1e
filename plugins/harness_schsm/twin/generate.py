"""GENERATE ASYMMETRIC KEY PAIR and GENERATE SYMMETRIC KEY: a new key and its files, all of them or none."""

from __future__ import annotations

from dataclasses import dataclass

from harness_cards import rsa
from harness_cards.curves import Curve, with_prime
from harness_cards.rsa import RsaPrivate
from harness_cards.tlv import NotTlv, fields
from harness_schsm.cvc import CAR, CHR, PUBLIC, RSA_SHA256
from harness_schsm.twin.elementary import ef_file, sealed_ef
from harness_schsm.twin.keys import (
    AesKey,
    CardKey,
    EcPrivate,
    Secret,
    key_file,
    load,
    request,
    uses_file,
)
from harness_schsm.twin.state import Card
from harness_schsm.twin.status import EXISTS, NOT_REFERENCED, NOT_SUPPORTED, WRONG_DATA, WRONG_P1P2, CardError

AES_BYTES = {0xB0: 16, 0xB1: 24, 0xB2: 32}
DEFAULT_AES = bytes.fromhex("10111899")
_EC_US, _RSA_US = 120_000, 1_400_000


@dataclass(frozen=True)
class Restrictions:
    """Objects 90 (use counter), 91 (allowed algorithms) and 92 (key domain) of a request to make a key."""

    uses: int | None
    algorithms: bytes | None
    domain: int


def restrictions(card: Card, parts: dict[int, bytes]) -> Restrictions:
    """:raises CardError: one of them has a wrong form, or the key domain does not exist."""
    uses, algorithms, domain = parts.get(0x90), parts.get(0x91), parts.get(0x92, b"\0")
    if (uses is not None and len(uses) != 4) or len(algorithms or b"") > 16 or len(domain) != 1:
        raise CardError(WRONG_DATA)
    existing = card.require_configuration().domains
    # Assumed: a card without key domains takes no notice of the number. The maker's own test names domain 1 anywhere.
    number = domain[0] if existing else 0
    if number >= max(1, existing):
        raise CardError(NOT_REFERENCED)
    return Restrictions(None if uses is None else int.from_bytes(uses, "big"), algorithms, number)


def require_free(card: Card, key_id: int) -> None:
    """:raises CardError: a key has this number, or it is the device's own."""
    if key_id == 0:
        raise CardError(WRONG_P1P2)
    if load(card, key_id) is not None:
        raise CardError(EXISTS)


def store(
    card: Card, key_id: int, secret: Secret, limits: Restrictions, certificate: bytes | None = None
) -> None:
    """Store a key with its counter and its request in one change."""
    sealed = CardKey(secret, limits.algorithms, limits.domain).sealed()
    rest: dict[str, bytes | None] = {}
    if certificate is not None:
        rest[ef_file(0xCE00 | key_id)] = sealed_ef(certificate)
    rest[uses_file(key_id)] = None if limits.uses is None else limits.uses.to_bytes(4, "big")
    if "key-in-place" in card.defects:
        card.files.write_in_place(key_file(key_id), sealed)
        card.files.change(rest)
    elif "key-in-pieces" in card.defects:
        for name, content in {key_file(key_id): sealed, **rest}.items():
            if content is not None:
                card.files.write(name, content)
    else:
        card.files.change({key_file(key_id): sealed, **rest})


def generate(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """GENERATE ASYMMETRIC KEY PAIR; returns the authenticated request.

    :raises CardError: nobody is logged in, the number is taken, or the key cannot be made.
    """
    card.require_login()
    if p2:
        # Only the device's own key signs requests here.
        raise CardError(NOT_REFERENCED)
    try:
        parts = fields(data)
        public = fields(parts[PUBLIC])
    except (NotTlv, KeyError):
        raise CardError(WRONG_DATA) from None
    if CHR not in parts:
        raise CardError(WRONG_DATA)
    require_free(card, p1)
    limits = restrictions(card, parts)
    secret = _rsa(card, public) if public.get(0x06, b"")[:9] == RSA_SHA256[:9] else _ec(card, public)
    made = request(
        card, secret, parts.get(CAR, b""), parts[CHR], parts.get(0x45, card.identity.name.encode())
    )
    store(card, p1, secret, limits, made)
    return made


def _rsa(card: Card, public: dict[int, bytes]) -> RsaPrivate:
    """:raises CardError: another size, or another exponent than 65537; a request may leave the exponent out."""
    bits = int.from_bytes(public.get(0x02, b""), "big")
    exponent = int.from_bytes(public[0x82], "big") if 0x82 in public else rsa.EXPONENT
    if bits not in rsa.BITS or exponent != rsa.EXPONENT:
        raise CardError(NOT_SUPPORTED)
    card.work(_RSA_US * bits // 2048)
    return rsa.key_of(bits, int.from_bytes(card.random("rsa", 4), "big"))


def _ec(card: Card, public: dict[int, bytes]) -> EcPrivate:
    curve = _curve(public)
    card.work(_EC_US)
    return EcPrivate(curve, scalar(card, curve))


def _curve(public: dict[int, bytes]) -> Curve:
    curve = with_prime(public.get(0x81, b""))
    if curve is None:
        raise CardError(NOT_SUPPORTED)
    given = {tag: public.get(tag, b"") for tag in (0x82, 0x83, 0x84, 0x85)}
    if given != {tag: value for tag, value in fields(curve.parameters()).items() if tag in given}:
        # Its prime is known, the rest is of another curve.
        raise CardError(WRONG_DATA)
    return curve


def scalar(card: Card, curve: Curve) -> int:
    """A new private key of a curve; the remainder's bias is below 2**-64."""
    return int.from_bytes(card.random("ec", curve.size + 8), "big") % (curve.order - 1) + 1


def generate_symmetric(card: Card, p1: int, p2: int, data: bytes, le: int | None) -> bytes:
    """GENERATE SYMMETRIC KEY: an AES key; by default it encrypts, decrypts, and makes CMACs."""
    card.require_login()
    if p2 not in AES_BYTES:
        raise CardError(NOT_SUPPORTED)
    try:
        parts = fields(data)
    except NotTlv:
        raise CardError(WRONG_DATA) from None
    require_free(card, p1)
    limits = restrictions(card, {0x91: DEFAULT_AES, **parts})
    store(card, p1, AesKey(card.random("aes", AES_BYTES[p2])), limits)
    return b""
