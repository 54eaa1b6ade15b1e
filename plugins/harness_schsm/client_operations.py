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
from harness_cards.signers import of_one_key
from harness_schsm.client import CERTIFICATE, EC_SHA256, KEY, PRKD, ScHsm, schsm
from harness_schsm.cvc import BadCertificate
from harness_schsm.home import P256, HsmMemory, generate, keeps_files_of_its_own, known, objects, plaintext
from harness_schsm.items import (
    ABSENT,
    FLASH,
    NEW_KEY,
    SIGNS,
    attested,
    key_signs,
    public_of_request,
    shown,
    verifies,
)
from harness_schsm.key_operations import LOGIN, describe, logged_in, with_files

EMPTY = b""
OF_THE_KEY = "the request of the key"
_MESSAGES = (plaintext(NEW_KEY), plaintext(NEW_KEY + 1))


def _kept(look: Look) -> bytes:
    return known(look.promise).new_request or known(look.memory).new_request


def made_key(look: Look) -> Value:
    """Does the key sign, under the public key that the host has kept?

    Every run of a real card makes another key, and a run that was cut may have got no answer. Then the key must sign
    under the request that the card has stored; if that is deleted, two signatures must be of one key.
    """
    client = schsm(look)
    if KEY | NEW_KEY not in client.objects():
        return ABSENT
    kept = _kept(look)
    said = (
        key_signs(look, NEW_KEY, public_of_request(kept))
        if kept
        else "a key whose public key nobody has kept"
    )
    if look.exact or said not in ("wrong signature", "a key whose public key nobody has kept"):
        return said
    if (stored := _stored(client, known(look.memory))) is not None:
        return key_signs(look, NEW_KEY, public_of_request(stored))
    signatures = {message: client.sign(NEW_KEY, EC_SHA256, message) for message in _MESSAGES}
    return SIGNS if of_one_key(P256, signatures) else said


def _stored(client: ScHsm, mine: HsmMemory) -> bytes | None:
    """The request that the card has stored, if its signatures verify down to the device."""
    if CERTIFICATE | NEW_KEY not in objects(client, mine):
        return None
    content = client.read(CERTIFICATE | NEW_KEY)
    try:
        attested(client, content)
    except BadCertificate:
        return None
    return content


def made_request(look: Look) -> Value:
    """Is the request that of the key which this run has made, and so of the promised one where runs are repeated?"""
    found, kept = request_file(look), _kept(look)
    if found in (ABSENT, shown(EMPTY)):
        return found
    if kept and found == shown(kept):
        return OF_THE_KEY
    if not look.exact:
        stored = _stored(schsm(look), known(look.memory))
        if stored is not None and key_signs(look, NEW_KEY, public_of_request(stored)) == SIGNS:
            return OF_THE_KEY
    return found


def request_file(look: Look) -> Value:
    client = schsm(look)
    if CERTIFICATE | NEW_KEY not in objects(client, known(look.memory)):
        return ABSENT
    return shown(client.read(CERTIFICATE | NEW_KEY))


MADE_KEY = Item("schsm.made_key", Law.ATOMIC, made_key, "the key that a client made", Severity.S1, FLASH)
MADE_REQUEST = Item(
    "schsm.made_request", Law.ATOMIC, made_request, "the request of the key that a client made", spends=FLASH
)
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
    key, certificate, description = KEY | NEW_KEY, CERTIFICATE | NEW_KEY, PRKD | NEW_KEY

    def values(content: Value, *files: int) -> dict[str, Value]:
        return {MADE_KEY.name: SIGNS, MADE_REQUEST.name: content, "schsm.objects": with_files(before, *files)}

    half = {
        "as the card made it": values(OF_THE_KEY, key, certificate),
        "its request is deleted": values(ABSENT, key),
        "its request is empty": values(shown(EMPTY), key, certificate),
    }
    nothing_yet = {MADE_KEY.name: ABSENT, MADE_REQUEST.name: ABSENT, "schsm.objects": known(before).objects}
    return [
        old(nothing_yet),
        *(World(name, Outcome.RECOVERED, found, complete=_complete(after)) for name, found in half.items()),
        new(values(OF_THE_KEY, key, certificate, description)),
    ]


def _complete(after: Memory) -> Callable[[Rig, Memory], None]:
    def complete(rig: Rig, memory: Memory) -> None:
        """Do the rest; a key whose request is neither with the host nor on the card is made anew."""
        client, mine = logged_in(rig, memory), known(memory)
        kept = known(after).new_request
        if (stored := _stored(client, mine)) is not None:
            kept = stored
        elif not _is_of(client, kept):
            client.delete(KEY | NEW_KEY)
            if CERTIFICATE | NEW_KEY in objects(client, mine):
                client.delete(CERTIFICATE | NEW_KEY)
            kept = generate(client, NEW_KEY, "ec")
        mine.new_request = kept
        _write_files(client, memory)

    return complete


def _is_of(client: ScHsm, request: bytes) -> bool:
    message = _MESSAGES[0]
    return verifies(public_of_request(request), client.sign(NEW_KEY, EC_SHA256, message), message)


OPERATIONS = (
    Operation(
        name="schsm.generate.opensc",
        title="make a key pair in the order of OpenSC's commands",
        arrange=arrange_nothing,
        act=_make,
        worlds=_worlds,
        items=(MADE_KEY, MADE_REQUEST),
        cost=LOGIN,
        missing=keeps_files_of_its_own,
    ),
)
