"""What tells OpenPGP cards apart: version, limits, curves, and what each offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import xor

from harness_openpgp.algorithms import ED25519, OIDS, X25519

NIST = ("secp256r1", "secp384r1", "secp521r1")
_INTERFACE = bytes.fromhex("18FF81B1FE751F03")
"""Interface bytes of the answer to reset, as genuine cards show them."""
BRAINPOOL = ("brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1")


@dataclass(frozen=True)
class Traits:
    """A model of card.

    :ivar version: as in the AID: (3, 4). :ivar manufacturer: two bytes of the AID.
    :ivar historical: bytes of the answer to reset and of DO 5F52, which has the life cycle in the third from the end.
    :ivar capabilities: DO C0, ten bytes.
    :ivar longest: most bytes of a command and of an answer with extended length (DO 7F66); (0, 0): no such DO.
    :ivar pin_max: most bytes of a PIN (DO C4). :ivar rsa: sizes. :ivar curves: names of `OIDS`.
    :ivar certificates: how many cardholder certificates.
    :ivar public_wanted: EC attributes are answered with FF at the end.
    :ivar says_blocked: a blocked PIN is answered with 6983; otherwise with 63C0.
    :ivar starts_selected: it is the card's only application, selected when the card gets power (ISO 7816-4, 8.2.2.2).
    :ivar change_says: the status word of a wrong old PIN in CHANGE; None is the one of VERIFY.
    :ivar hash_says: the status word of what is too long, or no hash, in a request for a signature.
    :ivar flag_refused: the status word of a touch flag that cannot be written so; None: 6A80 and 6985.
    :ivar wants_le: a command without Le gets no data at once: 61xx, then GET RESPONSE (ISO 7816-4, section 5.1).
    :ivar checks_kdf: a KDF of another form is refused; otherwise it is stored as it comes.
    :ivar language: DO 5F2D of a new card. :ivar sex: DO 5F35 of a new card, as ISO 5218 has it.
    """

    version: tuple[int, int]
    manufacturer: int
    historical: bytes
    capabilities: bytes
    longest: tuple[int, int]
    pin_max: int
    rsa: tuple[int, ...]
    curves: tuple[str, ...]
    certificates: int = 3
    has_kdf: bool = True
    has_uif: bool = True
    has_aes: bool = True
    has_information: bool = True
    public_wanted: bool = False
    says_blocked: bool = True
    change_says: int | None = None
    starts_selected: bool = True
    hash_says: int = 0x6700
    flag_refused: int | None = None
    wants_le: bool = False
    checks_kdf: bool = True
    language: bytes = b""
    sex: int = 0x30
    defects: frozenset[str] = field(default_factory=frozenset)

    @property
    def atr(self) -> bytes:
        """An answer to reset with these historical bytes, T=1, and its check byte (ISO 7816-3, section 8)."""
        body = bytes([0xD0 | len(self.historical)]) + _INTERFACE + self.historical
        return b"\x3b" + body + bytes([reduce(xor, body)])

    @property
    def has_environments(self) -> bool:
        """Does MANAGE SECURITY ENVIRONMENT exchange the keys of decryption and authentication?"""
        return self.version >= (3, 0) and self.capabilities[9] == 1

    @property
    def special_max(self) -> int:
        """Most bytes of a data object of variable length."""
        return int.from_bytes(self.capabilities[6:8], "big")

    @property
    def certificate_max(self) -> int:
        return int.from_bytes(self.capabilities[4:6], "big")

    @property
    def challenge_max(self) -> int:
        return int.from_bytes(self.capabilities[2:4], "big")


REFERENCE = Traits(
    version=(3, 4),
    # The range for tests (specification 3.4, section 4.2.1).
    manufacturer=0xFFFE,
    historical=bytes.fromhex("0031F573C00160009000"),
    capabilities=bytes.fromhex("7F001000100010000001"),
    longest=(0x1DB9, 0x1DB9),
    pin_max=127,
    rsa=(2048, 3072, 4096),
    curves=tuple(OIDS),
)
"""Everything of version 3.4 but secure messaging."""
NITROKEY3 = Traits(
    version=(3, 4),
    manufacturer=0x000F,
    historical=bytes.fromhex("0031F573C00160009000"),
    capabilities=bytes.fromhex("3F001000100010000001"),
    longest=(0x1DB9, 0x1DB9),
    pin_max=127,
    rsa=(2048, 3072, 4096),
    curves=(*NIST, *BRAINPOOL, "secp256k1", ED25519, X25519),
    public_wanted=True,
    says_blocked=False,
    change_says=0x6300,
    hash_says=0x6985,
    flag_refused=0x6983,
    starts_selected=False,
    wants_le=True,
    checks_kdf=False,
)
"""As opcard-rs 2d9170d answers."""
CHIP_3 = Traits(
    version=(3, 3),
    manufacturer=0x0005,
    historical=bytes.fromhex("0031F573C00160009000"),
    capabilities=bytes.fromhex("7F000800080008000001"),
    longest=(0x0800, 0x0800),
    pin_max=64,
    rsa=(2048, 3072, 4096),
    curves=(*NIST, *BRAINPOOL),
    has_uif=False,
    has_information=False,
    language=b"de",
    sex=0x39,
)
"""The chip in later Nitrokey Pros. Limits and DO C0 are assumed: no dump of a genuine one is published."""
CHIP_2 = Traits(
    version=(2, 1),
    manufacturer=0x0005,
    historical=bytes.fromhex("0031C573C00140009000"),
    capabilities=bytes.fromhex("7C000800080008000800"),
    longest=(0, 0),
    pin_max=32,
    rsa=(2048, 3072, 4096),
    curves=(),
    certificates=1,
    has_kdf=False,
    has_uif=False,
    has_aes=False,
    has_information=False,
    language=b"de",
    sex=0x39,
)
"""The chip in earlier Nitrokey Pros: no curves, one certificate, no KDF, no list of algorithms."""
