"""The portal's firmware update, cut: the old device with all it holds, or a new one as it was shipped (H8)."""

from __future__ import annotations

from harness.api import (
    ANY,
    Cost,
    Item,
    KeyFault,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Rig,
    Severity,
    Value,
    World,
    new,
    old,
    pin_for,
)
from harness_schsm import cvc
from harness_schsm.client import SO, SO_PIN, USER_PIN, ScHsm
from harness_schsm.cvc import BadCertificate
from harness_schsm.home import known, listed
from harness_schsm.items import ABSENT, NOT_INITIALISED, NOT_LOGGED_IN, canaries, shown
from harness_schsm.key_operations import logged_in
from harness_schsm.portal import FORCED_MAX, Helper, Portal, not_offered, seen
from harness_schsm.roots import root_for

SAME, ANOTHER = "the same", "another, with a chain of its own"


def identity(look: Look) -> Value:
    """Is it the device of before? Another one must have a chain that verifies."""
    client = ScHsm(look.rig)
    if (found := client.certificates()) == known(look.memory).certificates:
        return SAME
    try:
        root = root_for(look.rig)
        if root is not None:
            cvc.require_chain(found, root)
        return ANOTHER if client.device().chr != _device(look.memory) else "new certificates for the old name"
    except BadCertificate as error:
        return f"another, with a chain that does not verify: {error}"


def _device(memory: Memory) -> str:
    return cvc.decode(known(memory).certificates).chr


def forced_left(look: Look) -> Value:
    return FORCED_MAX - seen(ScHsm(look.rig)).forced


IDENTITY = Item("schsm.identity", Law.KEPT, identity, "the identity of the device")
FORCED_LEFT = Item(
    "schsm.forced_left", Law.FALLING, forced_left, "the number of forced updates that are left", Severity.S1
)
_BLOCKED_COST = Cost(pins={USER_PIN: 1, SO_PIN: SO_PIN.full}, irreversible={"forced_updates": 1})


def block_so_pin(rig: Rig) -> None:
    """Spend every try of the SO-PIN.

    :raises KeyFault: wrong SO-PINs do not use up its tries.
    """
    client, wrong = ScHsm(rig), bytes.fromhex(pin_for(rig, "wrong", SO_PIN))
    for _ in range(SO_PIN.full + 1):
        if client.state(SO) & 0xFFF0 != 0x63C0:
            return
        client.exchange(0x20, 0, SO, wrong)
    raise KeyFault(
        "wrong SO-PINs do not use up the tries",
        found=f"{client.state(SO):04X} after {SO_PIN.full + 1} wrong ones",
        expected="6983: blocked",
    )


def _remember(rig: Rig, memory: Memory) -> None:
    known(memory).certificates = ScHsm(rig).certificates()


def _block(rig: Rig, memory: Memory) -> None:
    """Arrange a card with keys whose SO-PIN is blocked."""
    _remember(rig, memory)
    block_so_pin(rig)


def _empty(rig: Rig, memory: Memory) -> None:
    """Arrange a card without keys, whose PINs are in order."""
    _remember(rig, memory)
    client, mine = logged_in(rig, memory), known(memory)
    for fid in client.objects():
        if fid & 0xFF and fid >> 8 == 0xCC:
            client.delete(fid)
    mine.objects = listed(client, mine)


def _current(rig: Rig, memory: Memory) -> None:
    client = ScHsm(rig)
    Portal(seen(client).version).update(client, Helper.WORKING)


def _newer(rig: Rig, memory: Memory) -> None:
    client = ScHsm(rig)
    major, minor = seen(client).version
    Portal((major, minor + 1)).update(client, Helper.WORKING)


def _as_shipped(before: Memory, forced: int) -> World:
    """The device as it was shipped, with another identity."""
    return new(
        {
            "schsm.device": ANY,
            IDENTITY.name: ANOTHER,
            FORCED_LEFT.name: FORCED_MAX - forced,
            "schsm.state": NOT_INITIALISED,
            "schsm.objects": NOT_INITIALISED,
            "schsm.user_pin": NOT_INITIALISED,
            "schsm.user_tries": NOT_INITIALISED,
            "schsm.so_tries": NOT_INITIALISED,
            "schsm.dkek": "none: 6D00",
            "schsm.keys": canaries(before, NOT_LOGGED_IN),
            "schsm.data": ABSENT,
        }
    )


def _operation(name: str, title: str, *, forced: int) -> Operation:
    def worlds(before: Memory, after: Memory) -> list[World]:
        instead = "" if forced else ABSENT
        kept = {IDENTITY.name: SAME, FORCED_LEFT.name: FORCED_MAX, "schsm.data": shown(known(before).content)}
        return [old({**kept, "schsm.keys": canaries(before, instead)}), _as_shipped(before, forced)]

    return Operation(
        name=name,
        title=title,
        arrange=_block if forced else _empty,
        act=_current if forced else _newer,
        worlds=worlds,
        items=(IDENTITY, FORCED_LEFT),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=_BLOCKED_COST if forced else Cost(pins={USER_PIN: 1}),
        missing=not_offered,
    )


OPERATIONS = (
    _operation("schsm.firmware_update", "update the firmware of a card without keys", forced=0),
    _operation(
        "schsm.firmware_update.forced", "update the firmware of a card whose SO-PIN is blocked", forced=1
    ),
)
