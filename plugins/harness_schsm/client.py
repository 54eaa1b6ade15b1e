"""The SmartCard-HSM client: command APDUs as OpenSC 14c80b0 sends them (card-sc-hsm.c), on the card of a rig."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from harness.api import KeyFault, Look, PinReference, Refused, Rig, pin_try
from harness_cards.client import OK, CardClient
from harness_cards.curves import Curve
from harness_cards.tlv import NotTlv, fields, first, tlv
from harness_schsm import cvc
from harness_schsm.cvc import BadCertificate, Certificate

AID = bytes.fromhex("E82B0601040181C31F0201")
USER, SO = 0x81, 0x88
USER_PIN = PinReference("user PIN", 3)
"""Three tries, as the home state sets it up."""
SO_PIN = PinReference("SO-PIN", 15, granted=False, hexadecimal=True)
"""Its counter comes back by INITIALIZE alone, and not at all once it is spent."""
CERTIFICATES, TOKEN_INFO, STAGED = 0x2F02, 0x2F03, 0x2F10
KEY, PRKD, CERTIFICATE, DATA_INFO, PROTECTED, DATA = 0xCC00, 0xC400, 0xCE00, 0xC900, 0xCD00, 0xCF00
"""First bytes of file numbers; the second byte is the number of the key or object."""
END_OF_FILE = 0x6282
BLOCK = 1024
"""Bytes of data in one UPDATE BINARY; OpenSC sends 1,223 at most."""
EC_SHA256, RSA_PKCS1_SHA256, AES_ENCRYPT = 0x73, 0x33, 0x10
RESET_ALLOWED = 0x0001
HOLDER = "UTKEYHARNS00001"
"""Name of the holder in requests."""
_ALL = 65536
OF_THE_DEVICE = frozenset({KEY, PRKD, CERTIFICATE})
"""The device's own key, and where a card lists them its description and its request: number 0, which no owner uses."""
MISSING = ("6A82", "6A88")
"""Status words of a file that is not there."""


@dataclass(frozen=True)
class Info:
    """What SELECT says. :ivar version: "3.5". :ivar options: 16 bits, set by INITIALIZE."""

    version: str
    options: int


@dataclass(frozen=True)
class Dkek:
    """State of a DKEK. :ivar kcv: 16 hex digits; zeros while shares are outstanding."""

    total: int
    outstanding: int
    kcv: str


class ScHsm(CardClient):
    """A selected applet, for as long as this boot lasts. What the card refuses is a Refused with its status word.

    :raises Refused: the card has no such applet.
    :raises KeyFault: its answers make no sense.
    """

    def __init__(self, rig: Rig):
        super().__init__(rig)
        self.select()

    # Selection and files

    def select(self) -> Info:
        """SELECT the applet; this ends every login."""
        control = self.command("SELECT", 0xA4, 0x04, 0x00, AID, le=256)
        try:
            told = fields(first(control)[1])[0x85]
        except (NotTlv, KeyError):
            raise KeyFault("the applet shows no version", found=control.hex()) from None
        if len(told) < 5:
            raise KeyFault(
                "the applet shows no version", found=told.hex(), expected="5 bytes or more in object 85"
            )
        self.info = Info(f"{told[-2]}.{told[-1]}", int.from_bytes(told[-5:-3], "big"))
        return self.info

    def size_of(self, fid: int) -> int:
        """SELECT a file; returns its size from the control parameters."""
        control = self.command(f"SELECT {fid:04X}", 0xA4, 0, 0, fid.to_bytes(2, "big"), le=256)
        try:
            parts = fields(first(control)[1])
            return int.from_bytes(parts[0x80] if 0x80 in parts else parts[0x81], "big")
        except (NotTlv, KeyError):
            raise KeyFault(
                f"file {fid:04X} shows no size", found=control.hex(), expected="object 80 or 81"
            ) from None

    def read(self, fid: int) -> bytes:
        """Read a whole file, in blocks.

        :raises Refused: there is none, or it may not be read.
        """
        size = self.size_of(fid)
        found = b""
        while len(found) < size:
            part, status = self.exchange(
                0xB1, data=tlv(0x54, len(found).to_bytes(2, "big")), le=min(BLOCK, size - len(found))
            )
            if status not in (OK, END_OF_FILE):
                raise Refused(f"READ BINARY {fid:04X}", f"{status:04X}")
            found += part
            if status == END_OF_FILE or not part:
                break
        return found

    def update(self, fid: int, content: bytes, *, block: int = BLOCK) -> None:
        """Write a whole file, in blocks from front to back."""
        for at in range(0, max(len(content), 1), block):
            self.update_block(fid, at, content[at : at + block])

    def update_block(self, fid: int, at: int, part: bytes) -> None:
        """UPDATE BINARY at an offset."""
        data = tlv(0x54, at.to_bytes(2, "big")) + tlv(0x53, part)
        self.command(f"UPDATE BINARY {fid:04X}", 0xD7, fid >> 8, fid & 0xFF, data)

    def delete(self, fid: int) -> None:
        """DELETE FILE: a file or, by CCxx, a key."""
        self.command(f"DELETE FILE {fid:04X}", 0xE4, 0x02, 0x00, fid.to_bytes(2, "big"))

    def objects(self) -> list[int]:
        """ENUMERATE OBJECTS: the numbers of all files, in ascending order."""
        found = self.command("ENUMERATE OBJECTS", 0x58, cla=0x80, le=_ALL)
        return sorted(int.from_bytes(found[at : at + 2], "big") for at in range(0, len(found), 2))

    def certificates(self) -> bytes:
        """EF 2F02: the certificate of the device and of its issuer."""
        return self.read(CERTIFICATES)

    def has(self, fid: int) -> bool:
        """Can an elementary file be selected?"""
        try:
            self.size_of(fid)
        except Refused as refused:
            if refused.status in MISSING:
                return False
            raise
        return True

    def has_certificates(self) -> bool:
        """Is EF 2F02 there, and not empty? A card that its maker has not certified yet has none."""
        try:
            return bool(self.certificates())
        except Refused as refused:
            if refused.status in MISSING:
                return False
            raise

    def device(self) -> Certificate:
        """The certificate of the device.

        :raises KeyFault: it cannot be decoded.
        """
        found = self.certificates()
        try:
            return cvc.decode(found)
        except BadCertificate as error:
            raise KeyFault("EF 2F02 holds no certificate", found=str(error)) from None

    # PINs

    def state(self, reference: int = USER) -> int:
        """VERIFY without data: the status word (9000, 63Cx, 6983, 6984, 6A88)."""
        return self.exchange(0x20, 0, reference)[1]

    def tries(self, reference: int = USER) -> int:
        """How many tries are left.

        :raises Refused: the card does not say: it is not initialised, or waits for a new PIN.
        """
        status = self.state(reference)
        if status == OK:
            # Logged in: the counter is full.
            return USER_PIN.full
        if status == 0x6983:
            return 0
        if status & 0xFFF0 != 0x63C0:
            raise Refused("VERIFY without a PIN", f"{status:04X}")
        return status & 0x0F

    def _trying(self, reference: int) -> AbstractContextManager[None]:
        return pin_try(self.rig, SO_PIN if reference == SO else USER_PIN, lambda: self.tries(reference))

    def _setting(self, reference: PinReference, pin: str) -> None:
        if self.rig.pin_guard is not None:
            self.rig.pin_guard.setting(reference, pin)

    def verify(self, pin: str) -> None:
        """VERIFY the user PIN."""
        with self._trying(USER):
            self.command("VERIFY", 0x20, 0, USER, pin.encode())

    def change(self, before: str, after: str) -> None:
        """CHANGE REFERENCE DATA of the user PIN; it also ends the state of a transport PIN."""
        self._setting(USER_PIN, after)
        data = (before + after).encode()
        if self.state() == 0x6984:
            self.command("CHANGE REFERENCE DATA", 0x24, 0, USER, data)
        else:
            with self._trying(USER):
                self.command("CHANGE REFERENCE DATA", 0x24, 0, USER, data)

    def change_so(self, before: str, after: str) -> None:
        """CHANGE REFERENCE DATA of the SO-PIN."""
        self._setting(SO_PIN, after)
        with self._trying(SO):
            self.command("CHANGE REFERENCE DATA", 0x24, 0, SO, bytes.fromhex(before + after))

    def reset_retry(self, so_pin: str, pin: str = "") -> None:
        """RESET RETRY COUNTER of the user PIN, with a new PIN if one is given."""
        if pin:
            self._setting(USER_PIN, pin)
        with self._trying(SO):
            self.command("RESET RETRY COUNTER", 0x2C, 0, USER, bytes.fromhex(so_pin) + pin.encode())

    def initialize(
        self,
        so_pin: str,
        pin: str | None,
        *,
        options: int = RESET_ALLOWED,
        retries: int = USER_PIN.full,
        shares: int | None = None,
        more: bytes = b"",
    ) -> None:
        """INITIALIZE DEVICE.

        :param so_pin: the SO-PIN that was set at first; sets it on a card that never was initialised.
        :param shares: number of DKEK shares; 0 is a random DKEK, None is none.
        :param more: further objects (93: public key authentication, 97: key domains).
        """
        data = tlv(0x80, options.to_bytes(2, "big"))
        if pin is not None:
            data += tlv(0x81, pin.encode())
            self._setting(USER_PIN, pin)
        data += tlv(0x82, bytes.fromhex(so_pin)) + tlv(0x91, bytes([retries]))
        if shares is not None:
            data += tlv(0x92, bytes([shares]))
        if self.state(SO) == 0x6A88:
            self._setting(SO_PIN, so_pin)
            self.command("INITIALIZE DEVICE", 0x50, data=data + more, cla=0x80)
        else:
            with self._trying(SO):
                self.command("INITIALIZE DEVICE", 0x50, data=data + more, cla=0x80)

    # DKEK

    def dkek(self, domain: int = 0) -> Dkek:
        """The state of a key domain's DKEK.

        :raises Refused: there is none.
        """
        return _dkek(self.command("DKEK state", 0x52, 0, domain, cla=0x80, le=256))

    def import_share(self, share: bytes, domain: int = 0) -> Dkek:
        """Import a DKEK share of 32 bytes."""
        return _dkek(self.command("DKEK share", 0x52, 0, domain, share, cla=0x80, le=256))

    # Keys

    def generate(self, key_id: int, public: bytes, *, holder: str = HOLDER, more: bytes = b"") -> bytes:
        """GENERATE ASYMMETRIC KEY PAIR; returns the authenticated request (object 67).

        :param public: content of 7F49. :param holder: CHR of the request. :param more: objects 90, 91 and 92, that
            restrict the key.
        """
        body = request_body(public, holder) + more
        return self.command("GENERATE ASYMMETRIC KEY PAIR", 0x46, key_id, 0, body, le=_ALL)

    def generate_ec(self, key_id: int, curve: Curve, *, holder: str = HOLDER, more: bytes = b"") -> bytes:
        """Generate a key on a curve; as `generate`."""
        return self.generate(key_id, ec_public(curve), holder=holder, more=more)

    def generate_rsa(self, key_id: int, bits: int, *, more: bytes = b"") -> bytes:
        """Generate an RSA key with exponent 65537; as `generate`."""
        return self.generate(key_id, rsa_public(bits), more=more)

    def generate_aes(self, key_id: int, size: int = 32, *, more: bytes = b"") -> None:
        """Generate an AES key of 16, 24 or 32 bytes."""
        kind = {16: 0xB0, 24: 0xB1, 32: 0xB2}[size]
        self.command("GENERATE SYMMETRIC KEY", 0x48, key_id, kind, more)

    def sign(self, key_id: int, algorithm: int, data: bytes) -> bytes:
        """SIGN: an RSA signature, or an ECDSA signature in DER."""
        return self.command("SIGN", 0x68, key_id, algorithm, data, cla=0x80, le=512)

    def decipher(self, key_id: int, algorithm: int, data: bytes) -> bytes:
        """DECIPHER (21), or ECDH (80): 04, x and y of the shared point."""
        return self.command("DECIPHER", 0x62, key_id, algorithm, data, cla=0x80, le=512)

    def aes(self, key_id: int, algorithm: int, data: bytes) -> bytes:
        """AES: 10 encrypts with CBC, 11 decrypts, 18 makes a CMAC."""
        return self.command("AES", 0x78, key_id, algorithm, data, cla=0x80, le=_ALL)

    def derive(self, key_id: int, new_id: int, parameter: bytes) -> None:
        """Derive an EC key: the private key plus a number."""
        self.command("DERIVE EC KEY", 0x76, key_id, new_id, b"\x98" + parameter, cla=0x80)

    def wrap(self, key_id: int) -> bytes:
        """WRAP KEY: a blob under the DKEK."""
        return self.command("WRAP KEY", 0x72, key_id, 0x92, cla=0x80, le=_ALL)

    def unwrap(self, key_id: int, blob: bytes) -> None:
        """UNWRAP KEY, by way of EF 2F10 as OpenSC does it."""
        self.update(STAGED, blob)
        self.command("UNWRAP KEY", 0x74, key_id, 0x93, cla=0x80)

    def challenge(self, count: int) -> bytes:
        """GET CHALLENGE: random bytes, 1,024 at most."""
        return self.command("GET CHALLENGE", 0x84, le=count)

    # Public key authentication

    def trust(self, certificates: Iterable[Certificate]) -> None:
        """Let the card verify certificates of another device, the issuer's first."""
        for one in certificates:
            if self.exchange(0x22, 0x81, 0xB6, tlv(0x83, one.chr.encode()))[1] == OK:
                continue
            self.command("MANAGE SE", 0x22, 0x81, 0xB6, tlv(0x83, one.car.encode()))
            self.command("VERIFY CERTIFICATE", 0x2A, 0x00, 0xBE, first(one.encoded)[1])

    def register(self, request: bytes = b"") -> tuple[int, int, int, int]:
        """Register a public key from an authenticated request; returns total, missing, required, authenticated."""
        answer = self.command(
            "REGISTER PUBLIC KEY", 0x54, data=request and first(request)[1], cla=0x80, le=256
        )
        if len(answer) != 4:
            raise KeyFault("REGISTER PUBLIC KEY", found=answer.hex(), expected="4 bytes")
        return answer[0], answer[1], answer[2], answer[3]


def ec_public(curve: Curve) -> bytes:
    """Content of 7F49 that asks for a key on a curve."""
    return tlv(0x06, cvc.EC_SHA256) + curve.parameters()


def rsa_public(bits: int, exponent: bytes = b"\1\0\1") -> bytes:
    """Content of 7F49 that asks for an RSA key."""
    return tlv(0x06, cvc.RSA_SHA256) + tlv(0x82, exponent) + tlv(0x02, bits.to_bytes(2, "big"))


def request_body(public: bytes, holder: str = HOLDER) -> bytes:
    """The data of GENERATE ASYMMETRIC KEY PAIR: what the request's body is to hold."""
    body = tlv(cvc.PROFILE, b"\0") + tlv(cvc.CAR, b"UTCA00001")
    return body + tlv(cvc.PUBLIC, public) + tlv(cvc.CHR, holder.encode())


def _dkek(answer: bytes) -> Dkek:
    if len(answer) < 10:
        raise KeyFault("DKEK state", found=answer.hex(), expected="total, outstanding and 8 bytes of KCV")
    return Dkek(answer[0], answer[1], answer[2:10].hex())


def schsm(look: Look) -> ScHsm:
    """The client that items share in one boot."""
    return look.once("schsm", lambda: ScHsm(look.rig))
