"""What the host remembers of an OpenPGP card, and the home state: PINs, three keys, data objects, a certificate.

The login data (DO 5E) that we write begin with "keyharness "; so another run, and the check for data that are not ours,
know the card again without a PIN.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from harness.api import CallerError, Memory, Refused, Rig, candidates, pin_for
from harness_openpgp.algorithms import ECDH, ECDSA, Algorithm, on_curve
from harness_openpgp.client import ADMIN, PW1, PW3, OpenPgp
from harness_openpgp.public_keys import PublicKey
from harness_openpgp.slots import Slot

OURS = b"keyharness "
DEFAULT_PW1, DEFAULT_PW3 = "123456", "12345678"
LOGIN, URL, NAME, PRIVATE = 0x5E, 0x5F50, 0x5B, 0x0102
DATA = {
    LOGIN: OURS + b"canary",
    URL: b"https://example.org/keyharness",
    NAME: b"Canary<<Keyharness",
    PRIVATE: OURS + b"private use",
}
"""What the home state writes."""
CERTIFICATE = (OURS + b"certificate ") * 20
DATE = bytes.fromhex("69560000")
"""When every key of ours was made, as it says: 1 January 2026."""
P256 = {slot: on_curve(ECDH if slot is Slot.DECIPHER else ECDSA, "secp256r1") for slot in Slot}
_ATTRIBUTES_CHANGE = 0x04
"""Bit of the first byte of DO C0."""


@dataclass
class OpenPgpMemory:
    """What the host knows of the card.

    :ivar pw1: in force, as `pw3`; bytes of a KDF as latin-1. :ivar code: the reset code, empty without one.
    :ivar keys: the three keys; none after a factory reset.
    :ivar counter: the highest signature counter seen. :ivar data: what was written: tag -> content.
    :ivar certificates: what was written, by slot.
    :ivar lasted_first: how PW1 served when the card was new (DO C4: True is for many signatures); None: not seen.
    :ivar aid: DO 4F as hex digits. :ivar has_kdf: it offers a KDF, as :ivar has_touch: flags for touches.
    """

    pw1: str = ""
    pw3: str = ""
    code: str = ""
    keys: dict[Slot, PublicKey] = field(default_factory=dict)
    counter: int = 0
    data: dict[int, bytes] = field(default_factory=dict)
    certificates: dict[Slot, bytes] = field(default_factory=dict)
    lasted_first: bool | None = None
    aid: str = ""
    has_kdf: bool = False
    has_touch: bool = False


def known(memory: Memory) -> OpenPgpMemory:
    return memory.part("openpgp", OpenPgpMemory)


def message(slot: Slot) -> bytes:
    """What a canary signs, or what makes its cryptogram; 32 bytes."""
    return hashlib.sha256(OURS + slot.title.encode()).digest()


def as_admin(rig: Rig, memory: Memory) -> OpenPgp:
    """A client of which PW3 is verified."""
    client = OpenPgp(rig)
    client.verify(known(memory).pw3, ADMIN)
    return client


def prepare(rig: Rig, memory: Memory) -> None:
    """Bring a card to the home state; what an earlier run left of ours is replaced.

    :raises CallerError: the card has keys or data of somebody, or no PIN is known for it.
    """
    mine = known(memory)
    if found := foreign(rig):
        raise CallerError(
            f'rig "{rig.name}": the OpenPGP card is not empty',
            found=", ".join(found),
            expected="an empty card: what others put on a card is never removed",
            mend="take another card, or reset this one yourself if nobody needs what is on it",
        )
    client = OpenPgp(rig, terminated=True)
    if client.is_terminated:
        client.activate()
        client = OpenPgp(rig)
    if client.get(LOGIN).startswith(OURS):
        in_force, mine.pw3 = verified_admin(rig, client), pin_for(rig, "first", PW3)
        if in_force != mine.pw3:
            client.change(in_force, mine.pw3, ADMIN)
            client.verify(mine.pw3, ADMIN)
        client.reset_pw1(pin_for(rig, "first", PW1))
        mine.pw1 = pin_for(rig, "first", PW1)
    else:
        mine.pw1, mine.pw3 = pin_for(rig, "first", PW1), pin_for(rig, "first", PW3)
        mine.lasted_first = client.pin_status().lasts
        # The mark comes first: a card that has it has been ours, whatever happens next.
        client.verify(DEFAULT_PW3, ADMIN)
        client.put(LOGIN, DATA[LOGIN])
        client.change(DEFAULT_PW3, mine.pw3, ADMIN)
        client.change(DEFAULT_PW1, mine.pw1)
        client.verify(mine.pw3, ADMIN)
    mine.aid, mine.has_kdf, mine.has_touch = client.aid.hex(), client.offers(0xF9), client.offers(0xD6)
    _lay_down(client, mine)


def verified_admin(rig: Rig, client: OpenPgp) -> str:
    """Verify PW3 by one of the PINs that it may have; return that one.

    :raises CallerError: it is none of ours, and not that of the factory.
    """
    for pin in dict.fromkeys([*candidates(rig, PW3), DEFAULT_PW3]):
        try:
            client.verify(pin, ADMIN)
        except Refused:
            continue
        return pin
    raise CallerError(
        f'rig "{rig.name}": the OpenPGP card has been set up',
        found="none of the known PINs is its PW3",
        expected="a card with the PINs of the factory, or the PINs of this one",
        mend="give its PINs as docs/safety.md says",
    )


def _lay_down(client: OpenPgp, mine: OpenPgpMemory) -> None:
    """Make the canaries; PW3 is verified."""
    if client.pin_status().lasts:
        client.put(0xC4, b"\0")
    if client.pin_status().code:
        client.set_code("")
    mine.code = ""
    changes = client.get(0xC0)[:1] and client.get(0xC0)[0] & _ATTRIBUTES_CHANGE
    for slot in Slot:
        if changes and client.version >= (3, 0):
            _set_algorithm(client, slot, P256[slot])
        make(client, mine, slot)
        if mine.has_touch and client.get(slot.uif)[:1] not in (b"", b"\0"):
            client.put(slot.uif, b"\0\x20")
    mine.counter = client.counter()
    for tag, content in DATA.items():
        client.put(tag, content)
    mine.data = dict(DATA)
    mine.certificates = {}
    if client.version >= (3, 0):
        client.put_certificate(Slot.AUTHENTICATE, CERTIFICATE)
        mine.certificates[Slot.AUTHENTICATE] = CERTIFICATE


def _set_algorithm(client: OpenPgp, slot: Slot, algorithm: Algorithm) -> None:
    """Set an algorithm; a card that does not offer it keeps the one that it has."""
    try:
        client.put(slot.attributes, algorithm.encoded())
    except Refused:
        return


def make(client: OpenPgp, mine: OpenPgpMemory, slot: Slot) -> None:
    """Generate a key, and write fingerprint and date as GnuPG does; PW3 is verified."""
    mine.keys[slot] = PublicKey(client.algorithm(slot), client.generate(slot))
    describe(client, mine, slot)


def describe(client: OpenPgp, mine: OpenPgpMemory, slot: Slot) -> None:
    """Write the fingerprint and the date of the key in a slot."""
    client.put(slot.fingerprint, mine.keys[slot].fingerprint(DATE))
    client.put(slot.date, DATE)


# Whose card it is


def blank(rig: Rig) -> bool:
    """Is there no key on the card, and no data of an owner, as far as it shows without a PIN?"""
    return not _owned(OpenPgp(rig, terminated=True))


def foreign(rig: Rig) -> list[str]:
    """Describe what is on the card and is not ours. Costs no try."""
    client = OpenPgp(rig, terminated=True)
    if client.is_terminated or client.get(LOGIN).startswith(OURS):
        return []
    return _owned(client)


def _owned(client: OpenPgp) -> list[str]:
    if client.is_terminated:
        return []
    keys = sum(bool(client.public(slot)) for slot in Slot)
    found = [f"{keys} keys that are not ours"] if keys else []
    found += [
        title for tag, title in ((LOGIN, "login data"), (URL, "a URL"), (NAME, "a name")) if client.get(tag)
    ]
    return found


def identify(rig: Rig) -> dict[str, str]:
    """Version of the application, and the serial number: maker and number, as gpg shows them."""
    # A terminated card tells nothing until it is activated: SELECT is refused then.
    client = OpenPgp(rig)
    aid = client.aid
    return {"firmware": f"v{aid[6]}.{aid[7]}", "serial": aid[8:14].hex().upper()}
