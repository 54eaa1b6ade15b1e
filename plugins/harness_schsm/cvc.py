"""Card-verifiable certificates and authenticated requests (BSI TR-03110-3, appendices C and D).

    certificate   7F21 { 7F4E { 5F29 profile, 42 CAR, 7F49 public key, 5F20 CHR, 7F4C { 06, 53 role }, 5F25, 5F24 },
                         5F37 signature }
    request       7F21 { 7F4E { 5F29, [42 CAR,] 7F49, 5F20 }, 5F37 signature by the key itself }
    authenticated 67 { request, 42 CHR of the signer, 5F37 signature over request and 42 }

Signatures of EC keys are r and s, each as long as a coordinate; ECDSA with SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from harness_cards.curves import BRAINPOOL_P256, Curve, private_key, public_key, with_prime
from harness_cards.tlv import NotTlv, fields, first, objects, tlv

CERTIFICATE, BODY, AUTHENTICATED = 0x7F21, 0x7F4E, 0x67
PROFILE, CAR, PUBLIC, CHR, HOLDER, SINCE, UNTIL, SIGNATURE = (
    0x5F29,
    0x42,
    0x7F49,
    0x5F20,
    0x7F4C,
    0x5F25,
    0x5F24,
    0x5F37,
)
EC_SHA256 = bytes.fromhex("04007F00070202020203")
"""id-TA-ECDSA-SHA-256."""
RSA_SHA256 = bytes.fromhex("04007F00070202020102")
"""id-TA-RSA-v1-5-SHA-256."""
SC_HSM_ROLE = bytes.fromhex("2B0601040181C31F030101")
ROOT_ROLE, ISSUER_ROLE, DEVICE_ROLE = 0xC0, 0x80, 0x00
_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class BadCertificate(ValueError):
    """A certificate or request that cannot be decoded, or whose signature does not verify."""


@dataclass(frozen=True)
class EcPublic:
    """A public key on a curve; `point` is 04, x and y."""

    curve: Curve
    point: bytes

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Does r || s sign the message, with SHA-256?"""
        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        try:
            public_key(self.curve, self.point).verify(
                encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256())
            )
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class RsaPublic:
    """An RSA public key."""

    modulus: int
    exponent: int

    def key(self) -> rsa.RSAPublicKey:
        """:raises ValueError: the numbers are no RSA key."""
        return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Is this a signature of the message by RSASSA-PKCS1-v1_5 with SHA-256?"""
        try:
            self.key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


Public = EcPublic | RsaPublic


@dataclass(frozen=True)
class Certificate:
    """A decoded certificate or request.

    :ivar car: name of the authority; "" if a request names none. :ivar chr: name of the holder.
    :ivar public: content of 7F49. :ivar role: None in a request.
    :ivar body: the whole object 7F4E, which is what is signed. :ivar encoded: the whole object 7F21.
    """

    car: str
    chr: str
    public: bytes
    role: int | None
    body: bytes
    signature: bytes
    encoded: bytes

    def key(self, curve: Curve | None = None) -> Public:
        """Return the public key.

        :param curve: the issuer's, for a certificate that inherits its domain parameters.
        :raises BadCertificate: there is none that can be used.
        """
        try:
            parts = fields(self.public)
        except NotTlv as error:
            raise BadCertificate(f"public key of {self.chr}: {error}") from None
        if parts.get(0x06, b"")[:9] == RSA_SHA256[:9]:
            return RsaPublic(
                int.from_bytes(parts.get(0x81, b""), "big"), int.from_bytes(parts.get(0x82, b""), "big")
            )
        named = with_prime(parts[0x81]) if 0x81 in parts else curve
        if named is None or 0x86 not in parts:
            raise BadCertificate(f"public key of {self.chr}: no known curve, or no point")
        try:
            public_key(named, parts[0x86])
        except ValueError as error:
            raise BadCertificate(f"public key of {self.chr}: {error}") from None
        return EcPublic(named, parts[0x86])

    def require_signed_by(self, issuer: Public) -> None:
        """:raises BadCertificate: the issuer's key has not signed this."""
        if not issuer.verifies(self.signature, self.body):
            raise BadCertificate(f"{self.chr} is not signed by {self.car or self.chr}")


def decode(encoded: bytes) -> Certificate:
    """Decode the first certificate or request in some bytes.

    :raises BadCertificate: there is none.
    """
    try:
        tag, value, whole = first(encoded)
        if tag != CERTIFICATE:
            raise BadCertificate(f"object {tag:X} instead of {CERTIFICATE:X}")
        (_, inner, body), *rest = list(objects(value))
        parts = fields(inner)
        role = fields(parts[HOLDER])[0x53][0] if HOLDER in parts else None
        signature = next(found for tag, found, _ in rest if tag == SIGNATURE)
        return Certificate(
            parts.get(CAR, b"").decode("latin-1"),
            parts[CHR].decode("latin-1"),
            parts[PUBLIC],
            role,
            body,
            signature,
            whole,
        )
    except (NotTlv, ValueError, KeyError, IndexError, StopIteration) as error:
        raise BadCertificate(f"not a certificate: {type(error).__name__} {error}") from None


def chain(encoded: bytes) -> list[Certificate]:
    """Decode certificates that follow each other, as EF 2F02 holds them: the device's first.

    :raises BadCertificate: one of them cannot be decoded.
    """
    try:
        return [decode(whole) for _, _, whole in objects(encoded)]
    except NotTlv as error:
        raise BadCertificate(f"not a chain of certificates: {error}") from None


def require_chain(encoded: bytes, root: Certificate) -> EcPublic:
    """Verify a chain up to a root, and return the public key of the device.

    :raises BadCertificate: a signature does not verify, a name does not fit, or a role is not the one of its place.
    """
    found = chain(encoded)
    roles = [DEVICE_ROLE, ISSUER_ROLE][: len(found)]
    if [one.role for one in found] != roles or not found:
        raise BadCertificate(f"roles {[one.role for one in found]}: a device and its issuer have {roles}")
    root.require_signed_by(root.key())
    issuer, key = root, root.key()
    for one in reversed(found):
        if one.car != issuer.chr:
            raise BadCertificate(f"{one.chr} names {one.car} as its issuer, not {issuer.chr}")
        one.require_signed_by(key)
        assert isinstance(key, EcPublic)
        issuer, key = one, one.key(key.curve)
    assert isinstance(key, EcPublic)
    return key


@dataclass(frozen=True)
class Authenticated:
    """A request with the signature of the device that made the key.

    :ivar signer: CHR of the device. :ivar signed: what the outer signature is over.
    """

    request: Certificate
    signer: str
    signed: bytes
    signature: bytes

    def require_self_signed(self) -> Public:
        """Verify the signature of the new key alone; return the public key that was requested for.

        :raises BadCertificate: it does not verify.
        """
        key = self.request.key()
        self.request.require_signed_by(key)
        return key

    def require_attested(self, device: Public) -> Public:
        """Verify both signatures; return the public key that was requested for.

        :raises BadCertificate: one of them does not verify.
        """
        key = self.require_self_signed()
        if not device.verifies(self.signature, self.signed):
            raise BadCertificate(f"{self.request.chr} is not attested by {self.signer}")
        return key


def decode_authenticated(encoded: bytes) -> Authenticated:
    """Decode object 67.

    :raises BadCertificate: it is none.
    """
    try:
        tag, value, _ = first(encoded)
        if tag != AUTHENTICATED:
            raise BadCertificate(f"object {tag:X} instead of {AUTHENTICATED:X}")
        parts = list(objects(value))
        by_tag = {tag: (inner, whole) for tag, inner, whole in parts}
        request, name = by_tag[CERTIFICATE][1], by_tag[CAR]
        return Authenticated(
            decode(request), name[0].decode("latin-1"), request + name[1], by_tag[SIGNATURE][0]
        )
    except (NotTlv, KeyError) as error:
        raise BadCertificate(f"not an authenticated request: {error}") from None


# Making them


@lru_cache(maxsize=4096)
def sign_ec(curve: Curve, private: int, message: bytes) -> bytes:
    """r || s by deterministic ECDSA with SHA-256 (RFC 6979)."""
    r, s = decode_dss_signature(private_key(curve, private).sign(message, _ECDSA))
    size = (curve.order.bit_length() + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def certificate(
    *, car: str, chr_: str, public: bytes, role: int, since: str, until: str, issuer: int
) -> bytes:
    """Make a certificate; issuer and holder are on brainpoolP256r1.

    :param public: content of 7F49. :param issuer: the issuer's private key.
    :param since: YYMMDD, as `until`.
    """
    body = tlv(
        BODY,
        tlv(PROFILE, b"\0"),
        tlv(CAR, car.encode()),
        tlv(PUBLIC, public),
        tlv(CHR, chr_.encode()),
        tlv(HOLDER, tlv(0x06, SC_HSM_ROLE), tlv(0x53, bytes([role]))),
        tlv(SINCE, bytes(map(int, since))),
        tlv(UNTIL, bytes(map(int, until))),
    )
    return tlv(CERTIFICATE, body, tlv(SIGNATURE, sign_ec(BRAINPOOL_P256, issuer, body)))
