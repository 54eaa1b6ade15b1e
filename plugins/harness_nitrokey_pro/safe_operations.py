"""Operations on the password safe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from harness.api import Cost, Memory, Operation, Refused, Rig, World, arrange_nothing, new, old, pin_for
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.home import known, use_hotp
from harness_nitrokey_pro.items import entries_value
from harness_nitrokey_pro.otp_operations import use_up
from harness_openpgp.client import PW1, PW3
from harness_openpgp.home import known as card_known

Worlds = list[World]
FREE_ENTRY, USED_ENTRY = 3, 7
NEW_ENTRY = (b"new", b"new login", b"new password")
OTHER_ENTRY = (b"other", b"other login", b"other password")
_PW1 = Cost(pins={PW1: 1}, erases=1)


def lacks_safe(rig: Rig) -> str | None:
    """What a key lacks for a safe: a chip of the card that has an AES key. Costs the right user PIN."""
    client = NitrokeyPro(rig)
    try:
        client.open_safe(pin_for(rig, "first", PW1))
    except Refused as refused:
        if refused.status == "0A":
            return "a password safe: its card has no AES key"
        raise
    return None


def _opened(rig: Rig, memory: Memory) -> NitrokeyPro:
    client = NitrokeyPro(rig)
    client.open_safe(card_known(memory).pw1)
    return client


def write_entry(
    rig: Rig, memory: Memory, slot: int = FREE_ENTRY, entry: tuple[bytes, bytes, bytes] = NEW_ENTRY
) -> None:
    """Open the safe and write an entry."""
    _opened(rig, memory).write_entry(slot, *entry)
    known(memory).entries[slot] = entry


def _overwrite_entry(rig: Rig, memory: Memory) -> None:
    write_entry(rig, memory, USED_ENTRY, OTHER_ENTRY)


def _erase_entry(rig: Rig, memory: Memory) -> None:
    _opened(rig, memory).erase_entry(USED_ENTRY)
    del known(memory).entries[USED_ENTRY]


def _mix_entries(rig: Rig, memory: Memory) -> None:
    """Two programs at a time: one announces an entry, the other one sends the second report of another."""
    client = _opened(rig, memory)
    client.ask("safe_put", slot=FREE_ENTRY, name=b"one", password=b"one")
    with suppress(Refused):
        client.ask("safe_store", slot=USED_ENTRY, login=b"two")


def _use_and_store(rig: Rig, memory: Memory) -> None:
    """A code, then an entry, as an owner does who logs in and notes a new password."""
    use_hotp(rig, memory)
    write_entry(rig, memory)


def _new_safe(rig: Rig, memory: Memory) -> None:
    NitrokeyPro(rig).new_safe(card_known(memory).pw3)
    known(memory).entries = {}


def entry_worlds(before: Memory, after: Memory) -> Worlds:
    """All entries of before, or all of after."""
    return [
        old({"pro.safe": entries_value(known(before).entries)}),
        new({"pro.safe": entries_value(known(after).entries)}),
    ]


def _written(
    name: str,
    title: str,
    act: Callable[[Rig, Memory], None],
    cost: Cost = _PW1,
    arrange: Callable[[Rig, Memory], None] = arrange_nothing,
) -> Operation:
    return Operation(
        name=name, title=title, arrange=arrange, act=act, worlds=entry_worlds, cost=cost, missing=lacks_safe
    )


OPERATIONS = (
    _written("pro.safe.write", "write an entry of the safe", write_entry),
    _written("pro.safe.overwrite", "replace an entry of the safe", _overwrite_entry),
    _written("pro.safe.erase", "erase an entry of the safe", _erase_entry),
    Operation(
        name="pro.safe.mixed",
        title="send the second report of an entry after the first one of another",
        arrange=arrange_nothing,
        act=_mix_entries,
        worlds=lambda before, after: [old({"pro.safe": entries_value(known(before).entries)})],
        cost=_PW1,
        missing=lacks_safe,
    ),
    _written(
        "pro.new_safe",
        "make a new key of the safe, which empties it",
        _new_safe,
        Cost(pins={PW3: 1, PW1: 1}, erases=1),
    ),
    _written(
        "pro.hotp.roll_and_store",
        "make the code for which a counter page has no room, then write an entry of the safe",
        _use_and_store,
        Cost(pins={PW1: 1, PW3: 1}, seconds=120, erases=2),
        arrange=use_up,
    ),
)
