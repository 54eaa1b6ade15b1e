"""Commands that a sound card refuses: whatever is cut in them, nothing may have changed."""

from __future__ import annotations

from contextlib import suppress

from harness.api import Cost, Memory, Operation, Refused, Rig, Value, World, new, old, pin_for
from harness_schsm.client import SO_PIN, USER_PIN, ScHsm
from harness_schsm.dkek import KCV_SIZE
from harness_schsm.home import generate, initialize, known
from harness_schsm.items import ABSENT, NEW_KEY, NEW_KEY_ITEM
from harness_schsm.key_operations import delete_made, logged_in
from harness_schsm.pin_operations import block_user_pin, blocked

NO_OPTIONS = 0x0000


def _forbid_reset(rig: Rig, memory: Memory) -> None:
    """Arrange a card whose options forbid that the SO-PIN unblocks; its user PIN is blocked."""
    initialize(ScHsm(rig), known(memory), shares=1, options=NO_OPTIONS)
    block_user_pin(rig, memory)


def _reset(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        ScHsm(rig).reset_retry(known(memory).so_pin, pin_for(rig, "reset", USER_PIN))


def _stays_blocked(before: Memory, after: Memory) -> list[World]:
    values = {**blocked(before), "schsm.so_tries": SO_PIN.full}
    return [old(values), new(values)]


def _wrap_under_another(rig: Rig, memory: Memory) -> None:
    """Arrange a wrapped key that is no longer on the card, with the check value of another DKEK."""
    client, mine = logged_in(rig, memory), known(memory)
    mine.new_request = generate(client, NEW_KEY, "ec")
    blob = client.wrap(NEW_KEY)
    mine.blob = bytes(byte ^ 0xFF for byte in blob[:KCV_SIZE]) + blob[KCV_SIZE:]
    delete_made(client, mine)


def _unwrap(rig: Rig, memory: Memory) -> None:
    with suppress(Refused):
        logged_in(rig, memory).unwrap(NEW_KEY, known(memory).blob)


def _not_taken(before: Memory, after: Memory) -> list[World]:
    values: dict[str, Value] = {NEW_KEY_ITEM.name: ABSENT, "schsm.objects": known(before).objects}
    return [old(values), new(values)]


OPERATIONS = (
    Operation(
        name="schsm.reset_retry.forbidden",
        title="try to unblock the user PIN of a card whose options forbid it",
        arrange=_forbid_reset,
        act=_reset,
        worlds=_stays_blocked,
        cost=Cost(pins={USER_PIN: USER_PIN.full, SO_PIN: 1}),
    ),
    Operation(
        name="schsm.unwrap.foreign",
        title="try to bring in a key with the check value of another DKEK",
        arrange=_wrap_under_another,
        act=_unwrap,
        worlds=_not_taken,
        items=(NEW_KEY_ITEM,),
        cost=Cost(pins={USER_PIN: 1}),
    ),
)
