"""Elliptic curves with their domain parameters, which a SmartCard-HSM is sent in full (TR-03110-3, table A.4).

The card recognises a curve by its prime. Parameters: SEC 2 version 2 and RFC 5639; the tests check that points which
`cryptography` computes lie on these curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness_cards.faults import NotOnCurve
from harness_cards.plain_curves import PlainCurve, PlainPrivate, PlainPublic
from harness_cards.tlv import tlv

PrivateKey = ec.EllipticCurvePrivateKey | PlainPrivate
PublicKey = ec.EllipticCurvePublicKey | PlainPublic


@dataclass(frozen=True)
class Curve:
    """A curve over a prime field.

    :ivar prime: the field's prime p, big-endian, as `a` and `b`.
    """

    curve: ec.EllipticCurve
    prime: bytes
    a: bytes
    b: bytes

    @property
    def name(self) -> str:
        """As `cryptography` names it: "secp256r1", "brainpoolP256r1"."""
        return self.curve.name

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return len(self.prime)

    @property
    def order_size(self) -> int:
        """Bytes of the order and of a private key: one more than a coordinate on secp224k1."""
        return (self.order.bit_length() + 7) // 8

    @property
    def bits(self) -> int:
        return self.curve.key_size

    @cached_property
    def order(self) -> int:
        """The number of points on the curve; a private key is from 1 to this less 1."""
        return self.curve.group_order

    def point(self, private: int) -> bytes:
        """Return the public key of a private key: 04, x and y."""
        return point_of(private_key(self, private).public_key())

    def parameters(self, point: bytes = b"") -> bytes:
        """Encode the domain parameters as objects 81 (prime) to 87 (cofactor), with 86 where a point is given."""
        return b"".join(
            (
                tlv(0x81, self.prime),
                tlv(0x82, self.a),
                tlv(0x83, self.b),
                tlv(0x84, self.point(1)),
                tlv(0x85, self.order.to_bytes(self.order_size, "big")),
                tlv(0x86, point) if point else b"",
                tlv(0x87, b"\x01"),
            )
        )


def _curve(curve: ec.EllipticCurve, prime: str, a: str, b: str) -> Curve:
    return Curve(curve, bytes.fromhex(prime), bytes.fromhex(a), bytes.fromhex(b))


def _plain(name: str, prime: str, a: str, b: str, generator: str, order: str) -> Curve:
    """A curve that `cryptography` does not have."""
    half = len(generator) // 2
    point = (int(generator[:half], 16), int(generator[half:], 16))
    numbers = (int(prime, 16), int(a, 16), int(b, 16))
    return _curve(PlainCurve(name, *numbers, point, int(order, 16)), prime, a, b)


CURVES = (
    _curve(
        ec.SECP192R1(),
        "fffffffffffffffffffffffffffffffeffffffffffffffff",
        "fffffffffffffffffffffffffffffffefffffffffffffffc",
        "64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1",
    ),
    _curve(
        ec.SECP224R1(),
        "ffffffffffffffffffffffffffffffff000000000000000000000001",
        "fffffffffffffffffffffffffffffffefffffffffffffffffffffffe",
        "b4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4",
    ),
    _curve(
        ec.SECP256R1(),
        "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
        "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    ),
    _curve(
        ec.SECP384R1(),
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    ),
    _curve(
        ec.SECP521R1(),
        (
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffffffffffffffffffffffffffffff"
        ),
        (
            "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "fffffffffffffffffffffffffffffffffffc"
        ),
        (
            "0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1"
            "bf073573df883d2c34f1ef451fd46b503f00"
        ),
    ),
    _curve(
        ec.SECP256K1(),
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000007",
    ),
    _curve(
        ec.BrainpoolP256R1(),
        "a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377",
        "7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9",
        "26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6",
    ),
    _curve(
        ec.BrainpoolP384R1(),
        "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
        "7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
        "04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
    ),
    _curve(
        ec.BrainpoolP512R1(),
        (
            "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e6"
            "2881ff2f2d82c68528aa6056583a48f3"
        ),
        (
            "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b5"
            "7f1117a72bf2c7b9e7c1ac4d77fc94ca"
        ),
        (
            "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67"
            "984050b75ebae5dd2809bd638016f723"
        ),
    ),
    _plain(
        "brainpoolP192r1",
        "c302f41d932a36cda7a3463093d18db78fce476de1a86297",
        "6a91174076b1e0e19c39c031fe8685c1cae040e5c69a28ef",
        "469a28ef7c28cca3dc721d044f4496bcca7ef4146fbf25c9",
        "c0a0647eaab6a48753b033c56cb0f0900a2f5c4853375fd614b690866abd5bb88b5f4828c1490002e6773fa2fa299b8f",
        "c302f41d932a36cda7a3462f9e9e916b5be8f1029ac4acc1",
    ),
    _plain(
        "brainpoolP224r1",
        "d7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ff",
        "68a5e62ca9ce6c1c299803a6c1530b514e182ad8b0042a59cad29f43",
        "2580f63ccfe44138870713b1a92369e33e2135d266dbb372386c400b",
        (
            "0d9029ad2c7e5cf4340823b2a87dc68c9e4ce3174c1e6efdee12c07d"
            "58aa56f772c0726f24c6b89e4ecdac24354b9e99caa3f6d3761402cd"
        ),
        "d7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939f",
    ),
    _plain(
        "brainpoolP320r1",
        "d35e472036bc4fb7e13c785ed201e065f98fcfa6f6f40def4f92b9ec7893ec28fcd412b1f1b32e27",
        "3ee30b568fbab0f883ccebd46d3f3bb8a2a73513f5eb79da66190eb085ffa9f492f375a97d860eb4",
        "520883949dfdbc42d3ad198640688a6fe13f41349554b49acc31dccd884539816f5eb4ac8fb1f1a6",
        (
            "43bd7e9afb53d8b85289bcc48ee5bfe6f20137d10a087eb6e7871e2a10a599c710af8d0d39e20611"
            "14fdd05545ec1cc8ab4093247f77275e0743ffed117182eaa9c77877aaac6ac7d35245d1692e8ee1"
        ),
        "d35e472036bc4fb7e13c785ed201e065f98fcfa5b68f12a32d482ec7ee8658e98691555b44c59311",
    ),
    _plain(
        "secp192k1",
        "fffffffffffffffffffffffffffffffffffffffeffffee37",
        "000000000000000000000000000000000000000000000000",
        "000000000000000000000000000000000000000000000003",
        "db4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7d9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9d",
        "fffffffffffffffffffffffe26f2fc170f69466a74defd8d",
    ),
    _plain(
        "secp224k1",
        "fffffffffffffffffffffffffffffffffffffffffffffffeffffe56d",
        "00000000000000000000000000000000000000000000000000000000",
        "00000000000000000000000000000000000000000000000000000005",
        "a1455b334df099df30fc28a169a467e9e47075a90f7e650eb6b7a45c"
        "7e089fed7fba344282cafbd6f7e319f7c0b0bd59e2ca4bdb556d61a5",
        "010000000000000000000000000001dce8d2ec6184caf0a971769fb1f7",
    ),
)
BY_NAME = {curve.name: curve for curve in CURVES}
BRAINPOOL_P256 = BY_NAME["brainpoolP256r1"]
"""The curve of device certificates."""


def with_prime(prime: bytes) -> Curve | None:
    """Find the curve over the field of a prime; leading zeros do not count."""
    wanted = prime.lstrip(b"\0")
    return next((curve for curve in CURVES if curve.prime.lstrip(b"\0") == wanted), None)


@lru_cache(maxsize=1024)
def private_key(curve: Curve, private: int) -> PrivateKey:
    """Return the key object of a private key; remembered, because a walk boots the same few keys very often.

    :raises ValueError: the number is no private key of the curve.
    """
    if isinstance(curve.curve, PlainCurve):
        return PlainPrivate(curve.curve, private)
    return ec.derive_private_key(private, curve.curve)


@lru_cache(maxsize=1024)
def public_key(curve: Curve, point: bytes) -> PublicKey:
    """Return the key object of an uncompressed point.

    :raises NotOnCurve: the point is not on the curve.
    """
    try:
        return _public_key(curve, point)
    except ValueError as error:
        raise NotOnCurve(f"{point.hex() or 'nothing'} is no point of {curve.name}: {error}") from None


def _public_key(curve: Curve, point: bytes) -> PublicKey:
    if not isinstance(curve.curve, PlainCurve):
        return ec.EllipticCurvePublicKey.from_encoded_point(curve.curve, point)
    if len(point) != 1 + 2 * curve.size or point[0] != 4:
        raise ValueError("no uncompressed point of this curve")
    x, y = point[1 : 1 + curve.size], point[1 + curve.size :]
    return PlainPublic(curve.curve, int.from_bytes(x, "big"), int.from_bytes(y, "big"))


def point_of(key: PublicKey) -> bytes:
    """Encode a public key as an uncompressed point."""
    if isinstance(key, PlainPublic):
        return key.point
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def shared_x(private: PrivateKey, peer: PublicKey) -> bytes:
    """Return x of the point that two keys of one curve agree on.

    :raises ValueError: they are on different curves.
    """
    if isinstance(private, PlainPrivate) and isinstance(peer, PlainPublic):
        return private.exchange(ec.ECDH(), peer)
    if isinstance(private, PlainPrivate) or isinstance(peer, PlainPublic):
        raise ValueError("two curves")
    return private.exchange(ec.ECDH(), peer)
