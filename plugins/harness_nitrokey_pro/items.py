"""What must hold of a Nitrokey Pro's HID side after every operation (invariants N1 to N9 of docs/invariants.md).

A secret is there if its codes are right, an entry of the safe if it can be read, a password if it is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import wraps

from harness.api import Item, Law, Look, Memory, Outcome, Refused, Value
from harness_nitrokey_pro.client import HIDDEN_SLOT, NitrokeyPro, number, pro
from harness_nitrokey_pro.codes import hotp, totp
from harness_nitrokey_pro.home import (
    DAY,
    HOTP,
    LAST_TOTP,
    SLOT_NUMBERS,
    TOTP,
    ProMemory,
    known,
    takes_firmware_password,
)
from harness_nitrokey_pro.home import identity as shown_identity
from harness_openpgp.home import known as card_known
from harness_openpgp.items import CURRENT, NEITHER, NEW, PW1_TRY, pw1

WORKS, FREE, REFUSED = "works", "free", "refused"
UNUSABLE, PIN_UNKNOWN, NOT_TYPED = "unusable", "PW1 is not known", "PW1 cannot be typed"
NO_TIME, OLDER_TAKEN = "no time is known", "an older time is taken"
STALE, WRONG_CODE = "a code of a time that nobody told", "a code of another secret"
USED_AGAIN = "a code was taken twice"
BEHIND, AHEAD = 5, 12
"""Counters around the known one among which a code is looked for."""
NO_PASSWORD = "there is none"
PIN_MAX = 25
FLASH = frozenset({"flash write"})

Observe = Callable[[Look], Value]


def shown(observe: Observe) -> Observe:
    """A refusal is a value."""

    @wraps(observe)
    def observed(look: Look) -> Value:
        try:
            return observe(look)
        except Refused as refused:
            return refused.value

    return observed


@shown
def identity(look: Look) -> Value:
    return shown_identity(pro(look))


@shown
def config(look: Look) -> Value:
    """What a double press types, and whether codes need the user PIN."""
    found = pro(look).status()
    return tuple(found[name] for name in ("num", "caps", "scroll", "pin_on", "delete"))


@shown
def slots(look: Look) -> Value:
    """Every slot that is used: number, name, configuration, and the interval of a TOTP slot."""
    client = pro(look)
    found = ((place, client.slot(place)) for place in SLOT_NUMBERS)
    return tuple(
        described(place, _octets(slot["name"]), number(slot, "config"), number(slot, "counter"))
        for place, slot in found
        if slot is not None
    )


def _octets(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def described(place: int, name: bytes, config: int, parameter: int) -> str:
    """A slot in the value of `pro.slots`."""
    text = f"{place:02X} {name.decode('latin-1')} {config:02X}"
    return text if place < 0x20 else f"{text} {parameter} s"


def slots_value(mine: ProMemory) -> tuple[str, ...]:
    """The value of `pro.slots` for what was written."""
    return tuple(
        described(place, slot.name, slot.config, slot.parameter) for place, slot in sorted(mine.slots.items())
    )


@shown
def untold(look: Look) -> Value:
    """A TOTP code before anybody told the time in this boot."""
    try:
        pro(look).code(TOTP)
    except Refused:
        return REFUSED
    return STALE


@shown
def time(look: Look) -> Value:
    """Which time the key remembers, by the times that it takes without being forced; the later ones are then told."""
    return look.once("time", lambda: _time(look)[0])


def _time(look: Look) -> tuple[str, int]:
    """What is remembered, and the time that was told."""
    found: tuple[str, int] = look.once("told", lambda: _told(look))
    return found


def _told(look: Look) -> tuple[str, int]:
    client = pro(look)
    first, second = known(look.memory).time, known(look.promise).time
    if first is None or second is None:
        return NO_TIME, 0
    if _takes_time(client, first - DAY):
        return OLDER_TAKEN, first - DAY
    if _takes_time(client, first + DAY):
        return CURRENT, first + DAY
    return (NEW, second + DAY) if _takes_time(client, second + DAY) else (NO_TIME, 0)


def _takes_time(client: NitrokeyPro, time: int) -> bool:
    try:
        client.set_time(time, check=True)
    except Refused:
        return False
    return True


@shown
def totp_codes(look: Look) -> Value:
    """The codes of both TOTP canaries, for the time that was told."""
    _, told = _time(look)
    return tuple(_totp(look, place, told) for place in (TOTP, LAST_TOTP))


def _totp(look: Look, place: int, told: int) -> str:
    try:
        code = _code(look, place)
    except Refused as refused:
        return FREE if refused.status == "03" else refused.value
    for memory, name in ((look.memory, WORKS), (look.promise, NEW)):
        slot = known(memory).slots.get(place)
        if slot is not None and code == totp(slot.secret, told, slot.parameter, slot.digits):
            return name
    return WRONG_CODE


def _code(look: Look, place: int) -> int:
    """A code; where the configuration wants it, after the user PIN."""
    try:
        return pro(look).code(place)
    except Refused as refused:
        pin = _user_pin(look)
        if refused.status != "05" or pin is None:
            raise
    pro(look).log_in_user(pin, b"items")
    return pro(look).code(place, b"items")


@shown
def hotp_secret(look: Look) -> Value:
    """Whose code the HOTP canary gives."""
    return _hotp(look)[0]


@shown
def hotp_counter(look: Look) -> Value:
    """The counter of the code that the HOTP canary gives."""
    return _hotp(look)[1]


def _hotp(look: Look) -> tuple[str, tuple[int, ...]]:
    found: tuple[str, tuple[int, ...]] = look.once("hotp", lambda: _used(look))
    return found


def _used(look: Look) -> tuple[str, tuple[int, ...]]:
    try:
        code = _code(look, HOTP)
    except Refused as refused:
        return FREE if refused.status == "03" else refused.value, ()
    for memory, name in ((look.memory, WORKS), (look.promise, NEW)):
        mine = known(memory)
        slot, counter = mine.slots.get(HOTP), mine.counters.get(HOTP, 0)
        if slot is None:
            continue
        for candidate in range(max(0, counter - BEHIND), counter + AHEAD):
            if hotp(slot.secret, candidate, slot.digits) == code:
                return name, (candidate,)
    return WRONG_CODE, ()


@shown
def verified(look: Look) -> Value:
    """The counters that the hidden slot takes: the last one that it took must be refused, the next one taken."""
    slot, counter = known(look.memory).slots[HIDDEN_SLOT], known(look.memory).counters[HIDDEN_SLOT]
    for candidate in (counter - 1, counter, counter + 1):
        if pro(look).verify(hotp(slot.secret, candidate, slot.digits)) is not None:
            return (candidate,)
    return ()


@shown
def hidden(look: Look) -> Value:
    """Does the hidden slot compare codes?"""
    try:
        found = pro(look).verify(0xFFFFFFFF)
    except Refused as refused:
        return FREE if refused.status == "03" else refused.value
    return WORKS if found is None else "a code of no secret is taken"


def _user_pin(look: Look) -> str | None:
    """The user PIN in force; None if it is not known."""
    found = pw1(look)
    if found not in (CURRENT, NEW):
        return None
    return card_known(look.promise if found == NEW else look.memory).pw1


@shown
def safe(look: Look) -> Value:
    """Every entry of the safe, opened with the user PIN: slot and digest."""
    pin = _user_pin(look)
    if pin is None:
        return PIN_UNKNOWN
    if not typable(pin):
        return NOT_TYPED
    try:
        pro(look).open_safe(pin)
    except Refused as refused:
        return UNUSABLE if refused.status == "0A" else refused.value
    return entries_value(pro(look).entries())


def typable(pin: str) -> bool:
    """Can the HID side carry a PIN? One that a KDF made, it cannot."""
    return 0 < len(pin) <= PIN_MAX and pin.isascii() and pin.isprintable()


def entries_value(entries: dict[int, tuple[bytes, bytes, bytes]]) -> tuple[str, ...]:
    """The value of `pro.safe` for what was written: slot -> name, login, password."""
    return tuple(digest(slot, parts) for slot, parts in sorted(entries.items()))


def digest(slot: int, parts: tuple[bytes, bytes, bytes]) -> str:
    """An entry in the value of `pro.safe`. :param parts: name, login and password."""
    return f"{slot} {hashlib.sha256(b'|'.join(parts)).hexdigest()[:8]}"


def safe_value(mine: ProMemory) -> tuple[str, ...] | str:
    """The value of `pro.safe` where nothing was lost."""
    return entries_value(mine.entries) if mine.has_safe else UNUSABLE


@shown
def firmware_password(look: Look) -> Value:
    """Which firmware password is in force; it is set to itself."""
    if not known(look.memory).has_bootloader:
        return NO_PASSWORD
    for memory, name in ((look.promise, NEW), (look.memory, CURRENT)):
        password = known(memory).firmware_password
        if takes_firmware_password(pro(look), password):
            return CURRENT if password == known(look.memory).firmware_password else name
    return NEITHER


def password_value(mine: ProMemory) -> str:
    """The value of `pro.firmware_password` where it is as before."""
    return CURRENT if mine.has_bootloader else NO_PASSWORD


def _last_used(place: int) -> Callable[[Memory], int]:
    return lambda memory: known(memory).counters.get(place, 0) - 1


def canaries(mine: ProMemory) -> dict[str, Value]:
    """The values of the items of secrets where all canaries are there."""
    return {
        "pro.slots": slots_value(mine),
        "pro.totp": (WORKS, WORKS),
        "pro.hotp": WORKS,
        "pro.hidden": WORKS,
    }


ITEMS = (
    Item("pro.identity", Law.KEPT, identity, "version and serial number"),
    Item("pro.config", Law.KEPT, config, "the configuration", breach=Outcome.LOOSENED),
    Item("pro.slots", Law.KEPT, slots, "the list of slots"),
    Item(
        "pro.untold",
        Law.KEPT,
        untold,
        "the refusal of codes of a time that nobody told",
        sound=lambda memory: REFUSED,
    ),
    Item("pro.time", Law.KEPT, time, "the time that was told last"),
    Item("pro.hidden", Law.KEPT, hidden, "the hidden slot"),
    Item("pro.totp", Law.KEPT, totp_codes, "the set of TOTP secrets", spends=PW1_TRY),
    Item("pro.hotp", Law.KEPT, hotp_secret, "the HOTP secret", spends=FLASH),
    Item(
        "pro.hotp_counter",
        Law.RISING,
        hotp_counter,
        "the HOTP counter",
        spends=FLASH,
        floor=_last_used(HOTP),
    ),
    Item(
        "pro.verified",
        Law.RISING,
        verified,
        "the counter of the hidden slot",
        spends=FLASH,
        floor=_last_used(HIDDEN_SLOT),
    ),
    Item("pro.safe", Law.KEPT, safe, "the set of entries of the password safe", spends=PW1_TRY),
    Item("pro.firmware_password", Law.KEPT, firmware_password, "the firmware password", spends=FLASH),
)
