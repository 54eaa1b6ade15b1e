"""Homes of a Nitrokey Pro besides the fresh one: full, coloured, aged, and each write after others in the same boot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.api import Memory, NamedHome, Operation, Rig
from harness_cards.aged import CUTS, aged
from harness_nitrokey_pro.client import HIDDEN_SLOT, HOTP_SLOTS, NitrokeyPro
from harness_nitrokey_pro.home import (
    CANARIES,
    DAY,
    EIGHT_DIGITS,
    ENTRIES,
    LAST_TOTP,
    SLOT_NUMBERS,
    TIME,
    TOTP,
    OtpSlot,
    as_admin,
    known,
    put_slot,
    secret,
)
from harness_openpgp.home import known as card_known

SAFE_ENTRIES = 16


def _learn(memory: Memory, counted: Mapping[str, int]) -> None:
    mine, card = known(memory), card_known(memory)
    card.counter = max(card.counter, counted.get("signature counter", 0))
    for number in mine.counters:
        mine.counters[number] = counted.get(f"HOTP {number:02X}", mine.counters[number])


def _adapt_aged(operation: Operation) -> Operation | None:
    # The counter of a new secret begins anew, below the one before.
    return None if operation.name == "pro.replace_hotp" else operation


def _adapt_coloured(operation: Operation) -> Operation | None:
    # It writes a slot that is used here.
    return None if operation.name in ("pro.write_hotp", "pro.replace_hotp") else operation


def _fill(rig: Rig, memory: Memory) -> None:
    mine, client = known(memory), as_admin(rig, memory)
    for number in SLOT_NUMBERS:
        if number not in CANARIES:
            content = OtpSlot(b"kh full", secret(f"full {number}"), 30 if number >= 0x20 else number)
            put_slot(client, mine, number, content)
    if not mine.has_safe:
        return
    client.open_safe(card_known(memory).pw1)
    for number in range(SAFE_ENTRIES):
        if number not in ENTRIES:
            mine.entries[number] = (f"entry {number}".encode(), b"login", b"password")
            client.write_entry(number, *mine.entries[number])


# Coloured: nothing is as the maker left it


def _colour(rig: Rig, memory: Memory) -> None:
    """Longest names and secrets, eight digits, counters beyond 32 bits, double presses, a firmware password."""
    mine, client = known(memory), as_admin(rig, memory)
    for place in (*HOTP_SLOTS, HIDDEN_SLOT, TOTP, LAST_TOTP):
        label = f"coloured {place:02X}"
        counted = 2**33 + 17 * place if place < TOTP else 20 + place
        secrets = (secret(label) + secret(f"{label}, rest"))[: 40 - place % 3]
        put_slot(
            client, mine, place, OtpSlot(f"kh coloured  {place:02X}".encode(), secrets, counted, EIGHT_DIGITS)
        )
    num, caps, scroll, pin_on, delete = mine.config = (0, 1, 2, 0, 1)
    client.set_config(num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete)
    client.set_time(TIME + DAY)
    mine.time = TIME + DAY
    if mine.has_bootloader:
        client.change_firmware_password(mine.firmware_password, _LONG_PASSWORD)
        mine.firmware_password = _LONG_PASSWORD
    if mine.has_safe:
        client.open_safe(card_known(memory).pw1)
        for place in (1, SAFE_ENTRIES - 1):
            mine.entries[place] = b"elevenbytes", b"a login of 32 bytes, all of them", b"twenty bytes of pass"
            client.write_entry(place, *mine.entries[place])


_LONG_PASSWORD, _OF_THIS_BOOT = b"twenty bytes of word", b"of this boot"


# Writes in one boot


def _write_before(rig: Rig, memory: Memory) -> None:
    """Write a slot, the configuration, an entry of the safe and the firmware password in the boot of the operation."""
    mine, client = known(memory), NitrokeyPro(rig)
    # That tries are missing is what some operations are about; entering a PIN would bring them back.
    if client.tries() != (3, 3) or LAST_TOTP not in mine.slots:
        return
    client.log_in_admin(card_known(memory).pw3, _OF_THIS_BOOT)
    written = replace(mine.slots[LAST_TOTP], name=b"kh in this boot")
    client.write_slot(
        LAST_TOTP, written.name, b"", written.parameter, config=written.config, temporary=_OF_THIS_BOOT
    )
    mine.slots[LAST_TOTP] = written
    num, caps, scroll, pin_on, delete = mine.config = (mine.config[0], 3, *mine.config[2:])
    client.set_config(
        num=num, caps=caps, scroll=scroll, pin_on=pin_on, delete=delete, temporary=_OF_THIS_BOOT
    )
    if mine.has_safe:
        client.open_safe(card_known(memory).pw1)
        mine.entries[3] = b"this boot", b"login", b"password"
        client.write_entry(3, *mine.entries[3])
        client.lock()
    if mine.has_bootloader:
        client.change_firmware_password(mine.firmware_password, _OF_THIS_BOOT)
        mine.firmware_password = _OF_THIS_BOOT


HOMES: tuple[NamedHome, ...] = (
    NamedHome(
        name="full",
        title="every slot and every entry of the safe is used",
        lay_down=_fill,
        cuts=CUTS,
        turn="other",
    ),
    NamedHome(
        name="coloured",
        title="every setting is another one than the maker's, every name and secret the longest",
        lay_down=_colour,
        adapt=_adapt_coloured,
        cuts=CUTS,
        turn="other",
    ),
    *aged(_learn, _adapt_aged),
    NamedHome(
        name="same-boot",
        title="each write after others in the same boot",
        in_boot=_write_before,
        cuts=CUTS,
        turn="other",
    ),
)
