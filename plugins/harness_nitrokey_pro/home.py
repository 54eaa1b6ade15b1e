"""What the host remembers of a Nitrokey Pro, and its home state: slots, counters, time, and entries of the safe.

The names of our slots begin with "kh ": so another run knows them again, and slots of others are never removed.
PINs are those of the OpenPGP card, which is prepared first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from harness.api import CallerError, KeyFault, Memory, Refused, Rig
from harness_nitrokey_pro.client import HIDDEN_SLOT, HOTP_SLOTS, TOTP_SLOTS, NitrokeyPro, number
from harness_nitrokey_pro.codes import hotp
from harness_nitrokey_pro.images import BOOTLOADER_SINCE, text
from harness_openpgp.home import known as card_known

OURS = b"kh "
SLOT_NUMBERS = (*HOTP_SLOTS, HIDDEN_SLOT, *TOTP_SLOTS)
HOTP, OTHER_HOTP, TOTP, LAST_TOTP = 0x10, 0x11, 0x20, 0x2E
TIME = 1_790_000_000
"""A time in 2026, in Unix seconds: what the home state tells the key."""
DAY = 86_400
DEFAULT_FIRMWARE_PASSWORD, OTHER_FIRMWARE_PASSWORD = b"12345678", b"keyharness other"
FACTORY_CONFIG = (255, 255, 255, 0, 0)
EIGHT_DIGITS = 0x01


@dataclass(frozen=True)
class OtpSlot:
    """A slot as the host wrote it. :ivar parameter: the first counter of HOTP, the interval of TOTP in seconds."""

    name: bytes
    secret: bytes
    parameter: int
    config: int = 0

    @property
    def digits(self) -> int:
        return 8 if self.config & EIGHT_DIGITS else 6


@dataclass
class ProMemory:
    """What the host knows of the HID side.

    :ivar counters: HOTP slot -> the counter of its next code. :ivar entries: safe: slot -> name, login, password.
    :ivar has_safe: the chip of the card has an AES key, and the safe can be opened.
    :ivar config: num, caps, scroll, codes need the user PIN, the temporary password is used once.
    :ivar time: what the key was told last. :ivar identity: version and serial number.
    :ivar has_bootloader: it has a bootloader, and a firmware password.
    """

    slots: dict[int, OtpSlot] = field(default_factory=dict)
    counters: dict[int, int] = field(default_factory=dict)
    entries: dict[int, tuple[bytes, bytes, bytes]] = field(default_factory=dict)
    has_safe: bool = False
    config: tuple[int, ...] = FACTORY_CONFIG
    time: int | None = None
    firmware_password: bytes = DEFAULT_FIRMWARE_PASSWORD
    identity: str = ""
    has_bootloader: bool = True


def known(memory: Memory) -> ProMemory:
    return memory.part("pro", ProMemory)


def secret(label: str) -> bytes:
    """A secret of 20 bytes for a test slot."""
    return hashlib.sha1(OURS + label.encode()).digest()


CANARIES = {
    HOTP: OtpSlot(b"kh hotp", secret("hotp"), 7),
    HIDDEN_SLOT: OtpSlot(b"kh verified", secret("verified"), 3, EIGHT_DIGITS),
    TOTP: OtpSlot(b"kh totp", secret("totp"), 30),
    LAST_TOTP: OtpSlot(b"kh last", secret("last") + secret("last two"), 60, EIGHT_DIGITS),
}
"""The longest secret has 40 bytes; the last slot lies on the second page."""
ENTRIES = {
    0: (b"first", b"owner@example.org", b"a password"),
    7: (b"elevenbytes", b"a login of 32 bytes, all of them", b"twenty bytes of pass"),
    15: (b"last", b"", b"another"),
}
CONFIG = (0, 255, 255, 0, 0)


def put_slot(client: NitrokeyPro, mine: ProMemory, place: int, slot: OtpSlot) -> None:
    """Write a slot; the admin is logged in."""
    client.write_slot(place, slot.name, slot.secret, slot.parameter, config=slot.config)
    mine.slots[place] = slot
    if place < 0x20:
        mine.counters[place] = slot.parameter


def as_admin(rig: Rig, memory: Memory) -> NitrokeyPro:
    """A client for which the admin PIN was entered."""
    client = NitrokeyPro(rig)
    client.log_in_admin(card_known(memory).pw3)
    return client


def use_hotp(rig: Rig, memory: Memory) -> None:
    """Let the key make the next code of the canary.

    :raises KeyFault: it is not the code of the secret and the counter that were written.
    """
    mine = known(memory)
    slot, counter = mine.slots[HOTP], mine.counters[HOTP]
    found, right = NitrokeyPro(rig).code(HOTP), hotp(slot.secret, counter, slot.digits)
    if found != right:
        raise KeyFault(
            f"HOTP code number {counter}",
            found=f"{found:0{slot.digits}d}",
            expected=f"{right:0{slot.digits}d}, by the secret that was written",
        )
    mine.counters[HOTP] = counter + 1


def prepare(rig: Rig, memory: Memory) -> None:
    """Bring the HID side to the home state; the card is prepared already.

    :raises CallerError: there are slots of somebody.
    """
    if found := foreign(rig):
        raise CallerError(
            f'rig "{rig.name}": the Nitrokey Pro is not empty',
            found=", ".join(found),
            expected="no slots but ours: what others put on a key is never removed",
            mend="take another key, or erase the slots yourself if nobody needs them",
        )
    mine, pins = known(memory), card_known(memory)
    client = as_admin(rig, memory)
    mine.identity = identity(client)
    for place in SLOT_NUMBERS:
        if place not in CANARIES and client.slot(place) is not None:
            client.erase_slot(place)
    mine.slots, mine.counters = {}, {}
    for place, slot in CANARIES.items():
        put_slot(client, mine, place, slot)
    num, caps, scroll, pin_on, delete = mine.config = CONFIG
    client.set_config(num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete)
    mine.entries = {}
    mine.has_safe = makes_safe(client, pins.pw1, pins.pw3)
    if mine.has_safe:
        for place, (name, login, password) in ENTRIES.items():
            client.write_entry(place, name, login, password)
        mine.entries = dict(ENTRIES)
    client.set_time(TIME)
    mine.time = TIME
    mine.firmware_password = DEFAULT_FIRMWARE_PASSWORD
    mine.has_bootloader = number(client.status(), "version") >= BOOTLOADER_SINCE
    if mine.has_bootloader and not takes_firmware_password(client, DEFAULT_FIRMWARE_PASSWORD):
        client.change_firmware_password(OTHER_FIRMWARE_PASSWORD, DEFAULT_FIRMWARE_PASSWORD)


def makes_safe(client: NitrokeyPro, user: str, admin: str) -> bool:
    """Make a new, empty safe. False: the chip of the card has no AES key, so there is none.

    :raises KeyFault: it has one, and the safe cannot be made or opened.
    """
    try:
        client.new_safe(admin)
        client.open_safe(user)
    except Refused as refused:
        if client.has_aes(user):
            raise KeyFault(
                "the password safe of a card with an AES key",
                found=refused.value,
                expected="a new safe, which the user PIN opens",
            ) from None
        return False
    return True


def takes_firmware_password(client: NitrokeyPro, password: bytes) -> bool:
    """Is it the firmware password? It is set to itself, which writes."""
    try:
        client.change_firmware_password(password, password)
    except Refused:
        return False
    return True


def identity(client: NitrokeyPro) -> str:
    """Firmware version and serial number of the card, as one value."""
    found = client.status()
    return f"v{version(found['version'])} {number(found, 'serial'):08X}"


def version(shown: int | bytes) -> str:
    """The version of a status answer: 0x000F is 0.15."""
    assert isinstance(shown, int)
    return text(shown)


# Whose key it is


def foreign(rig: Rig) -> list[str]:
    """Describe slots that are not ours. Costs nothing."""
    client = NitrokeyPro(rig)
    found = []
    for slot_number in SLOT_NUMBERS:
        slot = client.slot(slot_number)
        name = slot["name"] if slot is not None else OURS
        if not isinstance(name, bytes) or not name.startswith(OURS):
            found.append(f"slot {slot_number:02X}, which is not ours")
    return found


def blank(rig: Rig) -> bool:
    """Is every slot free? What the safe holds, nobody sees without the user PIN."""
    client = NitrokeyPro(rig)
    return all(client.slot(place) is None for place in SLOT_NUMBERS)


def unseen(rig: Rig) -> str | None:
    """What the key may hold and does not show."""
    return "entries of the password safe, which only the user PIN shows"


def identify(rig: Rig) -> dict[str, str]:
    """Version of the firmware, and the serial number of the card. Costs nothing."""
    found = NitrokeyPro(rig).status()
    return {"firmware": f"v{version(found['version'])}", "serial": f"{number(found, 'serial'):08X}"}
