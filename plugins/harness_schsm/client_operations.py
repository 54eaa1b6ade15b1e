"""What a real client writes by many commands, in its own order: recorded once, and walked exhaustively.

OpenSC 0.23 makes a key pair so (its source, and seen through a virtual reader): GENERATE, with which the card stores
the request; DELETE of the request; UPDATE that creates it anew, empty; UPDATE with the request of the answer; UPDATE
with the description. In between the request is on the host alone: a cut there leaves a key of which nobody knows the
public key, unless the host has kept the answer. The card is not to blame, and every state must be one of these.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.api import (
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Rig,
    Severity,
    Value,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_schsm.client import CERTIFICATE, KEY, PRKD, ScHsm, schsm
from harness_schsm.home import generate, keeps_files_of_its_own, known, objects
from harness_schsm.items import ABSENT, FLASH, NEW_KEY, SIGNS, key_signs, public_of_request, shown
from harness_schsm.key_operations import LOGIN, describe, logged_in, with_files

EMPTY = b""


def made_key(look: Look) -> Value:
    """Does the key sign, under the public key that the host has kept?"""
    if KEY | NEW_KEY not in schsm(look).objects():
        return ABSENT
    kept = known(look.promise).new_request or known(look.memory).new_request
    return (
        key_signs(look, NEW_KEY, public_of_request(kept))
        if kept
        else "a key whose public key nobody has kept"
    )


def request_file(look: Look) -> Value:
    client = schsm(look)
    if CERTIFICATE | NEW_KEY not in objects(client, known(look.memory)):
        return ABSENT
    return shown(client.read(CERTIFICATE | NEW_KEY))


MADE_KEY = Item("schsm.made_key", Law.ATOMIC, made_key, "the key that a client made", Severity.S1, FLASH)
REQUEST = Item("schsm.request", Law.ATOMIC, request_file, "the request that a client wrote")


def _write_files(client: ScHsm, memory: Memory) -> None:
    client.update(CERTIFICATE | NEW_KEY, EMPTY)
    client.update(CERTIFICATE | NEW_KEY, known(memory).new_request)
    describe(client, "ec")


def _make(rig: Rig, memory: Memory) -> None:
    client = logged_in(rig, memory)
    known(memory).new_request = generate(client, NEW_KEY, "ec")
    client.delete(CERTIFICATE | NEW_KEY)
    _write_files(client, memory)


def _worlds(before: Memory, after: Memory) -> list[World]:
    request = shown(known(after).new_request)
    key, certificate, description = KEY | NEW_KEY, CERTIFICATE | NEW_KEY, PRKD | NEW_KEY

    def values(content: Value, *files: int) -> dict[str, Value]:
        return {MADE_KEY.name: SIGNS, REQUEST.name: content, "schsm.objects": with_files(before, *files)}

    half = {
        "as the card made it": values(request, key, certificate),
        "its request is deleted": values(ABSENT, key),
        "its request is empty": values(shown(EMPTY), key, certificate),
    }
    nothing_yet = {MADE_KEY.name: ABSENT, REQUEST.name: ABSENT, "schsm.objects": known(before).objects}
    return [
        old(nothing_yet),
        *(World(name, Outcome.RECOVERED, found, complete=_complete(after)) for name, found in half.items()),
        new(values(request, key, certificate, description)),
    ]


def _complete(after: Memory) -> Callable[[Rig, Memory], None]:
    def complete(rig: Rig, memory: Memory) -> None:
        """Do the rest, as who has kept the answer of GENERATE can."""
        known(memory).new_request = known(after).new_request
        _write_files(logged_in(rig, memory), memory)

    return complete


OPERATIONS = (
    Operation(
        name="schsm.generate.opensc",
        title="make a key pair in the order of OpenSC's commands",
        arrange=arrange_nothing,
        act=_make,
        worlds=_worlds,
        items=(MADE_KEY, REQUEST),
        cost=LOGIN,
        missing=keeps_files_of_its_own,
    ),
)
