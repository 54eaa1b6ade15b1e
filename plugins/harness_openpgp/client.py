"""The OpenPGP card client: command APDUs of specification 3.4 as GnuPG sends them (scd/app-openpgp.c)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.api import KeyFault, Look, PinReference, Refused, Rig, pin_try
from harness_cards.client import OK, CardClient
from harness_cards.tlv import NotTlv, Objects, fields, first, tlv
from harness_openpgp.algorithms import Algorithm, decode
from harness_openpgp.slots import Slot

AID = bytes.fromhex("D27600012401")
SIGN, OTHER, ADMIN = 0x81, 0x82, 0x83
"""References of VERIFY: PW1 for one signature, PW1 for all else, PW3."""
PW1 = PinReference("PW1", 3)
PW3 = PinReference("PW3", 3)
RESET_CODE = PinReference("reset code", 3, granted=False)
TERMINATED, NO_KEY = 0x6285, 0x6A88
CERTIFICATE = 0x7F21
_ALL = 65536


@dataclass(frozen=True)
class PinStatus:
    """DO C4. :ivar lasts: PW1 serves for many signatures. Tries that are left: :ivar pw1: :ivar code: :ivar pw3:"""

    lasts: bool
    pw1: int
    code: int
    pw3: int


class OpenPgp(CardClient):
    """A selected application, for as long as this boot lasts. What the card refuses is a Refused with its status word.

    :raises Refused: the card has no such application; 6285: it is terminated.
    :raises KeyFault: its answers make no sense.
    """

    def __init__(self, rig: Rig, *, terminated: bool = False):
        super().__init__(rig)
        status = self.exchange(0xA4, 0x04, 0x00, AID, le=256)[1]
        self.is_terminated = status == TERMINATED
        if status != OK and not (self.is_terminated and terminated):
            raise Refused("SELECT", f"{status:04X}")

    # Data objects

    def get(self, tag: int) -> bytes:
        """GET DATA."""
        return self.command(f"GET DATA {tag:04X}", 0xCA, tag >> 8, tag & 0xFF, le=_ALL)

    def members(self, tag: int) -> Objects:
        """The objects of a constructed one. Some cards answer it with its own tag and length, others without.

        Without: ZeitControl's, Gnuk, opcard-rs. With: SmartPGP, canokey-core.

        :raises NotTlv: it is none.
        """
        found = fields(self.get(tag))
        return fields(found[tag]) if found.keys() == {tag} else found

    def put(self, tag: int, content: bytes) -> None:
        """PUT DATA."""
        self.command(f"PUT DATA {tag:04X}", 0xDA, tag >> 8, tag & 0xFF, content)

    def offers(self, tag: int) -> bool:
        """Is there such a data object?"""
        return self.exchange(0xCA, tag >> 8, tag & 0xFF, le=_ALL)[1] != 0x6A88

    @property
    def aid(self) -> bytes:
        """DO 4F, 16 bytes.

        :raises KeyFault: it is shorter.
        """
        found = self.get(0x4F)
        if len(found) != 16:
            raise KeyFault("DO 4F", found=found.hex(), expected="16 bytes")
        return found

    @property
    def version(self) -> tuple[int, int]:
        aid = self.aid
        return aid[6], aid[7]

    def pin_status(self) -> PinStatus:
        """DO C4.

        :raises KeyFault: it is shorter than 7 bytes.
        """
        found = self.get(0xC4)
        if len(found) < 7:
            raise KeyFault("DO C4", found=found.hex(), expected="7 bytes")
        return PinStatus(found[0] == 1, found[4], found[5], found[6])

    def counter(self) -> int:
        """The number of signatures of the signature key (DO 93 in 7A).

        :raises KeyFault: there is none.
        """
        try:
            return int.from_bytes(self.members(0x7A)[0x93], "big")
        except NotTlv as error:
            raise KeyFault("DO 7A", found=str(error), expected="object 93") from None

    def algorithm(self, slot: Slot) -> Algorithm:
        """The algorithm of a slot.

        :raises KeyFault: attributes that the specification does not know.
        """
        found = self.get(slot.attributes)
        try:
            return decode(found)
        except ValueError as error:
            raise KeyFault(f"DO {slot.attributes:02X}", found=found.hex(), expected=str(error)) from None

    def algorithms(self) -> bytes:
        """DO FA: attributes that each slot may have, under the tags C1 to C3; without the tag FA itself.

        :raises NotTlv: it is none.
        """
        found = self.get(0xFA)
        tag, inside, whole = first(found)
        return inside if (tag, whole) == (0xFA, found) else found

    def certificate(self, slot: Slot) -> bytes:
        """The cardholder certificate of a slot, by SELECT DATA; the occurrence stays chosen."""
        self.select_certificate(slot)
        return self.get(CERTIFICATE)

    def select_certificate(self, slot: Slot) -> None:
        """SELECT DATA of a slot's certificate."""
        self.command("SELECT DATA", 0xA5, slot.occurrence, 0x04, bytes.fromhex("60045C027F21"))

    def put_certificate(self, slot: Slot, content: bytes) -> None:
        """Write a slot's certificate, and choose the first occurrence again, as GnuPG does."""
        self.select_certificate(slot)
        self.put(CERTIFICATE, content)
        self.select_certificate(Slot.AUTHENTICATE)

    # PINs

    def _trying(self, reference: PinReference) -> AbstractContextManager[None]:
        def left() -> int:
            status = self.pin_status()
            return {PW1: status.pw1, PW3: status.pw3, RESET_CODE: status.code}[reference]

        return pin_try(self.rig, reference, left)

    def _setting(self, reference: PinReference, pin: bytes) -> None:
        if self.rig.pin_guard is not None:
            self.rig.pin_guard.setting(reference, pin.decode("latin-1"))

    def verify(self, pin: str | bytes, reference: int = OTHER) -> None:
        """VERIFY."""
        with self._trying(PW3 if reference == ADMIN else PW1):
            self.command("VERIFY", 0x20, 0, reference, _bytes(pin))

    def log_out(self, reference: int) -> None:
        """VERIFY with P1 FF."""
        self.command("VERIFY", 0x20, 0xFF, reference)

    def is_verified(self, reference: int) -> bool:
        """VERIFY without data."""
        return self.exchange(0x20, 0, reference)[1] == OK

    def change(self, before: str | bytes, after: str | bytes, reference: int = SIGN) -> None:
        """CHANGE REFERENCE DATA of PW1 (81) or PW3 (83)."""
        which = PW3 if reference == ADMIN else PW1
        self._setting(which, _bytes(after))
        with self._trying(which):
            self.command("CHANGE REFERENCE DATA", 0x24, 0, reference, _bytes(before) + _bytes(after))

    def reset_pw1(self, pin: str | bytes, code: str | bytes | None = None) -> None:
        """RESET RETRY COUNTER: set PW1, with the reset code, or (None) after PW3 was verified."""
        self._setting(PW1, _bytes(pin))
        if code is None:
            self.command("RESET RETRY COUNTER", 0x2C, 2, SIGN, _bytes(pin))
            return
        with self._trying(RESET_CODE):
            self.command("RESET RETRY COUNTER", 0x2C, 0, SIGN, _bytes(code) + _bytes(pin))

    def set_code(self, code: str | bytes) -> None:
        """Set the reset code; an empty one removes it."""
        if code:
            self._setting(RESET_CODE, _bytes(code))
        self.put(0xD3, _bytes(code))

    # Keys

    def generate(self, slot: Slot) -> bytes:
        """GENERATE ASYMMETRIC KEY PAIR; returns the content of 7F49."""
        return _public(self.command("GENERATE", 0x47, 0x80, 0, bytes([slot.crt, 0]), le=_ALL))

    def public(self, slot: Slot) -> bytes:
        """The content of 7F49 of the key in a slot; empty if there is no key."""
        found, status = self.exchange(0x47, 0x81, 0, bytes([slot.crt, 0]), le=_ALL)
        if status == NO_KEY:
            return b""
        if status != OK:
            raise Refused("READ PUBLIC KEY", f"{status:04X}")
        return _public(found)

    def import_key(self, slot: Slot, parts: dict[int, bytes]) -> None:
        """PUT DATA 3FFF: a private key. :param parts: tag -> content: 91, 92, 93, 97, 99."""
        self.command("import", 0xDB, 0x3F, 0xFF, header_list(slot.crt, parts))

    def sign(self, data: bytes) -> bytes:
        """COMPUTE DIGITAL SIGNATURE."""
        return self.command("SIGN", 0x2A, 0x9E, 0x9A, data, le=_ALL)

    def authenticate(self, data: bytes) -> bytes:
        """INTERNAL AUTHENTICATE."""
        return self.command("INTERNAL AUTHENTICATE", 0x88, 0, 0, data, le=_ALL)

    def decipher(self, data: bytes) -> bytes:
        """DECIPHER: with the padding indicator, or object A6."""
        return self.command("DECIPHER", 0x2A, 0x80, 0x86, data, le=_ALL)

    def agree(self, point: bytes) -> bytes:
        """DECIPHER with a point: the shared secret."""
        return self.decipher(tlv(0xA6, tlv(0x7F49, tlv(0x86, point))))

    def encipher(self, data: bytes) -> bytes:
        """ENCIPHER with the AES key."""
        return self.command("ENCIPHER", 0x2A, 0x86, 0x80, data, le=_ALL)

    def challenge(self, count: int) -> bytes:
        """GET CHALLENGE."""
        return self.command("GET CHALLENGE", 0x84, le=count)

    # Life cycle

    def terminate(self) -> None:
        """TERMINATE DF."""
        self.command("TERMINATE DF", 0xE6)

    def activate(self) -> None:
        """ACTIVATE FILE."""
        self.command("ACTIVATE FILE", 0x44)


def header_list(crt: int, parts: dict[int, bytes]) -> bytes:
    """The extended header list of an import (specification 3.4, section 4.4.3.12)."""
    lengths = b"".join(tlv(tag, content)[: -len(content) or None] for tag, content in parts.items())
    return tlv(0x4D, bytes([crt, 0]), tlv(0x7F48, lengths), tlv(0x5F48, *parts.values()))


def _public(answer: bytes) -> bytes:
    try:
        tag, content, _ = first(answer)
    except NotTlv:
        tag, content = 0, b""
    if tag != 0x7F49:
        raise KeyFault("a public key", found=answer.hex(), expected="object 7F49")
    return content


def _bytes(pin: str | bytes) -> bytes:
    return pin.encode() if isinstance(pin, str) else pin


def openpgp(look: Look) -> OpenPgp:
    """The client that items share in one boot; the card may be terminated."""
    return look.once("openpgp", lambda: OpenPgp(look.rig, terminated=True))
