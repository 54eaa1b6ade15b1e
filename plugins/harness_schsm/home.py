"""What the host remembers of a SmartCard-HSM, and the home state: PINs, a DKEK, three keys and a data object.

All that we make has a label that begins with "keyharness "; so another run, and the check for data that are not ours,
know it again without the PIN.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from harness.api import CallerError, Memory, Refused, Rig, candidates, pin_for
from harness_cards.curves import BY_NAME, Curve
from harness_schsm import description
from harness_schsm.client import (
    AES_ENCRYPT,
    CERTIFICATE,
    DATA,
    DATA_INFO,
    KEY,
    OF_THE_DEVICE,
    PRKD,
    PROTECTED,
    SO,
    SO_PIN,
    USER_PIN,
    ScHsm,
)
from harness_schsm.description import OURS

CANARY_EC, CANARY_RSA, CANARY_AES, CANARY_DATA = 1, 2, 3, 1
RSA_BITS = 2048
P256 = BY_NAME["secp256r1"]
NEVER_INITIALISED, BLOCKED = 0x6A88, 0x6983
_DESCRIPTIONS = {KEY >> 8: PRKD, CERTIFICATE >> 8: PRKD, PROTECTED >> 8: DATA_INFO, DATA >> 8: DATA_INFO}
"""First byte of an object's file -> that of the file with its label."""


@dataclass
class HsmMemory:
    """What the host knows of the card.

    :ivar pin: the user PIN in force, as `so_pin` the SO-PIN.
    :ivar so_tries: tries of the SO-PIN that the card has: nothing but INITIALIZE gives one back (H2).
    :ivar requests: key number -> the authenticated request of each asymmetric canary; its public key is in it.
    :ivar ciphertext: what the AES canary makes of `plaintext(3)`; empty if there is none.
    :ivar shares: the DKEK shares that were imported. :ivar due: those that are still to be imported.
    :ivar content: of the canary data object. :ivar objects: the numbers of all files.
    :ivar lists_requests: whether ENUMERATE shows the request that GENERATE stores. An open implementation does not show
        it, and stores a description of its own with each key.
    :ivar new_request: of the key that the operation under test made. :ivar blob: the same key, wrapped.
    :ivar new_content: of the file that the operation under test writes.
    :ivar replaced_request: of the key that the operation under test replaces.
    :ivar restricted_request: of the key of one algorithm that the coloured home has.
    :ivar certificates: EF 2F02 before the operation under test, where it may change it.
    """

    pin: str = ""
    so_pin: str = ""
    so_tries: int = SO_PIN.full
    requests: dict[int, bytes] = field(default_factory=dict)
    ciphertext: bytes = b""
    shares: tuple[bytes, ...] = ()
    due: tuple[bytes, ...] = ()
    content: bytes = b""
    objects: tuple[str, ...] = ()
    lists_requests: bool = True
    new_request: bytes = b""
    blob: bytes = b""
    new_content: bytes = b""
    replaced_request: bytes = b""
    certificates: bytes = b""
    restricted_request: bytes = b""


def known(memory: Memory) -> HsmMemory:
    return memory.part("schsm", HsmMemory)


def plaintext(key_id: int) -> bytes:
    """The message that a canary signs, or encrypts; 32 bytes."""
    return hashlib.sha256(f"{OURS}{key_id}".encode()).digest()


def share(number: int) -> bytes:
    """A DKEK share of the home state. What it protects is ours."""
    return hashlib.sha256(f"{OURS}share {number}".encode()).digest()


def objects(client: ScHsm, mine: HsmMemory) -> list[int]:
    """The numbers of all files, in ascending order; requests that the card does not list are looked for."""
    found = client.objects()
    if mine.lists_requests:
        return found
    requests = {CERTIFICATE | fid & 0xFF for fid in found if fid >> 8 == KEY >> 8 and fid != KEY}
    return sorted({*found, *(fid for fid in requests if client.has(fid))})


def keeps_files_of_its_own(rig: Rig) -> str | None:
    """Why what OpenSC writes around a key says nothing of this card, as it stores such files itself; None if not."""
    found = ScHsm(rig).objects()
    if KEY | CANARY_EC in found and CERTIFICATE | CANARY_EC not in found:
        return "this card stores a request and a description of its own with every key, and does not list the request"
    return None


def listed(client: ScHsm, mine: HsmMemory) -> tuple[str, ...]:
    """The same, as hex digits."""
    return tuple(f"{fid:04X}" for fid in objects(client, mine))


def prepare(rig: Rig, memory: Memory) -> None:
    """Bring a card to the home state; what an earlier run left of ours is removed.

    :raises CallerError: the card is initialised, and no PIN is known for it.
    """
    mine = known(memory)
    client = ScHsm(rig)
    if client.state(SO) == NEVER_INITIALISED:
        mine.pin, mine.so_pin = pin_for(rig, "first", USER_PIN), pin_for(rig, "first", SO_PIN)
        initialize(client, mine, shares=1)
    else:
        # Of a card that this run has brought home before, it is what an operation has left.
        if not mine.pin and (found := foreign(rig)):
            raise CallerError(
                f'rig "{rig.name}": the SmartCard-HSM is not empty',
                found=", ".join(found),
                expected="an empty card: what others put on a card is never removed",
                mend="take another card, or initialise this one yourself if nobody needs what is on it",
            )
        in_force, mine.pin = _pin_in_force(rig, client), pin_for(rig, "first", USER_PIN)
        if in_force != mine.pin:
            client.change(in_force, mine.pin)
            client.verify(mine.pin)
        mine.so_pin = _first_so_pin(rig, client)
        mine.so_tries = _so_tries(client)
        _complete_dkek(client)
        for fid in client.objects():
            if fid not in OF_THE_DEVICE:
                client.delete(fid)
    _lay_down(client, mine)


def initialize(client: ScHsm, mine: HsmMemory, *, shares: int, options: int = 0x0001) -> None:
    """INITIALIZE with the PINs of the memory, import every DKEK share, and log in unless a transport PIN is set."""
    client.initialize(mine.so_pin, mine.pin, shares=shares, options=options)
    forget(mine)
    mine.shares = tuple(share(number) for number in range(shares))
    for one in mine.shares:
        client.import_share(one)
    if not options & 0x02:
        client.verify(mine.pin)
    mine.objects = listed(client, mine)


def forget(mine: HsmMemory) -> None:
    """Forget what was on the card: it was initialised."""
    mine.so_tries = SO_PIN.full
    mine.requests.clear()
    mine.ciphertext = mine.content = b""
    mine.shares = mine.due = ()


def _first_so_pin(rig: Rig, client: ScHsm) -> str:
    """Put the first SO-PIN back where an operation has put another one in its place; "" if none is known."""
    may_be = candidates(rig, SO_PIN)
    if not may_be:
        return ""
    first = pin_for(rig, "first", SO_PIN)
    for pin in may_be if may_be[0] != first else ():
        try:
            client.change_so(pin, first)
        except Refused:
            continue
        break
    return first


def _complete_dkek(client: ScHsm) -> None:
    """Import the shares that an INITIALIZE has left to be imported."""
    try:
        found = client.dkek()
    except Refused:
        return
    for number in range(found.total - found.outstanding, found.total):
        client.import_share(share(number))


def _so_tries(client: ScHsm) -> int:
    status = client.state(SO)
    if status & 0xFFF0 == 0x63C0:
        return status & 0x0F
    return 0 if status == BLOCKED else SO_PIN.full


def _pin_in_force(rig: Rig, client: ScHsm) -> str:
    for pin in candidates(rig, USER_PIN):
        try:
            client.verify(pin)
        except Refused:
            continue
        return pin
    raise CallerError(
        f'rig "{rig.name}": the SmartCard-HSM is initialised',
        found="none of the known PINs is its user PIN",
        expected="a card that never was initialised, or the PIN of this one",
        mend="give its PINs as docs/safety.md says",
    )


def _lay_down(client: ScHsm, mine: HsmMemory) -> None:
    """Make the canaries; the user is logged in."""
    for key_id, kind, bits in ((CANARY_EC, "ec", P256.bits), (CANARY_RSA, "rsa", RSA_BITS)):
        made = generate(client, key_id, kind)
        mine.requests[key_id] = made
        client.update(PRKD | key_id, description.private_key(kind, f"{OURS}canary {key_id}", key_id, bits))
    client.generate_aes(CANARY_AES)
    client.update(PRKD | CANARY_AES, description.private_key("aes", f"{OURS}canary 3", CANARY_AES, 256))
    mine.ciphertext = client.aes(CANARY_AES, AES_ENCRYPT, plaintext(CANARY_AES))
    mine.content = f"{OURS}data ".encode() * 8
    client.update(DATA_INFO | CANARY_DATA, description.data(f"{OURS}data"))
    client.update(DATA | CANARY_DATA, mine.content)
    mine.lists_requests = True
    mine.objects = listed(client, mine)
    if f"{CERTIFICATE | CANARY_EC:04X}" not in mine.objects:
        mine.lists_requests = False
        mine.objects = listed(client, mine)


def generate(client: ScHsm, key_id: int, kind: str, *, curve: Curve = P256, more: bytes = b"") -> bytes:
    """Generate an EC key, or an RSA key of 2048 bits; returns the authenticated request."""
    if kind == "rsa":
        return client.generate_rsa(key_id, RSA_BITS, more=more)
    return client.generate_ec(key_id, curve, more=more)


# Whose card it is


def blank(rig: Rig) -> bool:
    """Is nothing on the card but the device's own key, as far as it shows without a PIN?"""
    client = ScHsm(rig)
    return client.state(SO) == NEVER_INITIALISED or set(client.objects()) <= OF_THE_DEVICE


def foreign(rig: Rig) -> list[str]:
    """Describe what is on the card and has no label of ours. Costs no try."""
    client = ScHsm(rig)
    if client.state(SO) == NEVER_INITIALISED:
        return []
    found = client.objects()
    others = [
        fid
        for fid in found
        if fid not in OF_THE_DEVICE and fid >> 8 in _DESCRIPTIONS and not _is_ours(client, fid, found)
    ]
    keys = sum(fid >> 8 == KEY >> 8 for fid in others)
    said = [f"{keys} keys that are not ours"] if keys else []
    return said + ([f"{len(others) - keys} files that are not ours"] if len(others) > keys else [])


def _is_ours(client: ScHsm, fid: int, found: list[int]) -> bool:
    label_fid = _DESCRIPTIONS[fid >> 8] | fid & 0xFF
    if label_fid not in found:
        return False
    label = description.label_of(client.read(label_fid))
    return label is not None and label.startswith(OURS)


def identify(rig: Rig) -> dict[str, str]:
    """Version of the applet, and the serial number: the name of the device without its last five digits.

    A card whose EF 2F02 is missing or empty has got no certificate yet, and so no serial number.
    """
    client = ScHsm(rig)
    found = {"firmware": f"v{client.info.version}"}
    return {**found, "serial": client.device().chr[:-5]} if client.has_certificates() else found
