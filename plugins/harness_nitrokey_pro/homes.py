"""Homes of a Nitrokey Pro besides the fresh one: aged, and full: every slot and every entry of the safe is used."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import Memory, NamedHome, Operation, Rig
from harness_cards.aged import CUTS, aged
from harness_nitrokey_pro.home import (
    CANARIES,
    ENTRIES,
    SLOT_NUMBERS,
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


HOMES: tuple[NamedHome, ...] = (
    NamedHome(
        name="full",
        title="every slot and every entry of the safe is used",
        lay_down=_fill,
        cuts=CUTS,
        turn="other",
    ),
    *aged(_learn, _adapt_aged),
)
