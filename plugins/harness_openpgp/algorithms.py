"""Algorithm attributes of the OpenPGP card (specification 3.4, section 4.4.3.9) and the curves behind their OIDs."""

from __future__ import annotations

from dataclasses import dataclass

from harness_cards.curves import BY_NAME, Curve

RSA, ECDH, ECDSA, EDDSA = 0x01, 0x12, 0x13, 0x16
"""First byte of attributes: RFC 4880 and RFC 6637 number the algorithms so."""
EXPONENT_BITS = 32
RSA_BITS = (2048, 3072, 4096)
IMPORT_STANDARD, IMPORT_MODULUS = 0x00, 0x02
"""Last byte of RSA attributes: what an import brings, e p q, or these and n."""
PUBLIC_WANTED = 0xFF
"""Last byte of EC attributes: an import brings the public key, too."""
ED25519, X25519 = "Ed25519", "X25519"
SIZE_25519 = 32
OIDS = {
    "secp256r1": "2A8648CE3D030107",
    "secp384r1": "2B81040022",
    "secp521r1": "2B81040023",
    "secp256k1": "2B8104000A",
    "brainpoolP256r1": "2B2403030208010107",
    "brainpoolP384r1": "2B240303020801010B",
    "brainpoolP512r1": "2B240303020801010D",
    ED25519: "2B06010401DA470F01",
    X25519: "2B060104019755010501",
}
"""Name of a curve -> its OID as hex digits, without tag and length."""
_NAMES = {bytes.fromhex(oid): name for name, oid in OIDS.items()}


@dataclass(frozen=True)
class Algorithm:
    """What a key slot holds.

    :ivar number: first byte of the attributes. :ivar bits: of an RSA modulus. :ivar name: of a curve.
    """

    number: int
    bits: int = 0
    name: str = ""

    @property
    def is_rsa(self) -> bool:
        return self.number == RSA

    @property
    def curve(self) -> Curve:
        """The curve of an ECDSA or ECDH key; KeyError for the two of RFC 8032 and RFC 7748."""
        return BY_NAME[self.name]

    @property
    def oid(self) -> bytes:
        return bytes.fromhex(OIDS[self.name])

    def encoded(self, *, public: bool = False, imported: int = IMPORT_STANDARD) -> bytes:
        """The attributes.

        :param public: an EC key is imported with its public key. :param imported: the last byte for RSA.
        """
        if self.is_rsa:
            return bytes([RSA]) + self.bits.to_bytes(2, "big") + bytes([0, EXPONENT_BITS, imported])
        return bytes([self.number]) + self.oid + (bytes([PUBLIC_WANTED]) if public else b"")


def rsa(bits: int) -> Algorithm:
    """RSA with a modulus of that many bits and an exponent of 32."""
    return Algorithm(RSA, bits=bits)


def on_curve(number: int, name: str) -> Algorithm:
    """An algorithm on the curve of a name of `OIDS`."""
    return Algorithm(number, name=name)


def decode(attributes: bytes) -> Algorithm:
    """Decode attributes.

    :raises ValueError: no algorithm of the specification, or one of another form.
    """
    number, rest = attributes[0] if attributes else 0, attributes[1:]
    if number == RSA:
        if len(rest) != 5 or int.from_bytes(rest[2:4], "big") not in (17, EXPONENT_BITS) or rest[4] > 3:
            raise ValueError("RSA attributes are 6 bytes: 01, modulus bits, exponent bits, import format")
        return rsa(int.from_bytes(rest[:2], "big"))
    if number in (ECDH, ECDSA, EDDSA):
        name = _NAMES.get(rest) or _NAMES.get(rest[:-1] if rest[-1:] in (b"\xff", b"\0") else b"")
        if name is None:
            raise ValueError("an unknown curve")
        return on_curve(number, name)
    raise ValueError(f"an unknown algorithm {number:02X}")


def fits(algorithm: Algorithm, *, deciphers: bool) -> bool:
    """May a slot hold it? One deciphers, the others sign."""
    if algorithm.is_rsa:
        return algorithm.bits in RSA_BITS
    if deciphers:
        return algorithm.number == ECDH and algorithm.name != ED25519
    if algorithm.number == EDDSA:
        return algorithm.name == ED25519
    return algorithm.number == ECDSA and algorithm.name not in (ED25519, X25519)
