"""What OpenSC writes over what is there: a certificate in blocks, and a key that `sc-hsm-tool --force` replaces.

Recorded from OpenSC 0.23 through a virtual reader. A file is replaced so: DELETE, UPDATE that creates it empty, UPDATE
in blocks of 255 bytes. `--unwrap-key --force` deletes the key first, before the card has shown that it opens the blob:
a cut there has lost the key on the card, and the file with the blob is all that is left of it. The card is not to
blame, and every state must be one of these; from each the same command leads on.
"""

from __future__ import annotations

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
    new,
    old,
)
from harness_schsm.client import CERTIFICATE, KEY, PRKD, ScHsm, schsm
from harness_schsm.client_operations import EMPTY, REQUEST
from harness_schsm.description import OURS, private_key
from harness_schsm.home import P256, generate, keeps_files_of_its_own, known
from harness_schsm.items import ABSENT, FLASH, NEW_KEY, SIGNS, key_signs, public_of_request, shown
from harness_schsm.key_operations import LOGIN, describe, logged_in, with_files

BLOCK = 255
"""Bytes of data in an UPDATE of OpenSC through a reader that takes short commands."""
RESTORED, REPLACED = "the restored key", "the key of before"
_CERTIFICATE = b"\x30\x82\x02\x54" + f"{OURS}certificate ".encode() * 24
_FILES = (KEY | NEW_KEY, CERTIFICATE | NEW_KEY, PRKD | NEW_KEY)
_DESCRIPTION = private_key("ec", f"{OURS}new", NEW_KEY, P256.bits)


def _which_key(look: Look) -> Value:
    """Under which public key that the host knows does the key sign?"""
    if KEY | NEW_KEY not in schsm(look).objects():
        return ABSENT
    mine = known(look.memory)
    for name, request in ((RESTORED, mine.new_request), (REPLACED, mine.replaced_request)):
        if request and key_signs(look, NEW_KEY, public_of_request(request)) == SIGNS:
            return name
    return "a key whose public key nobody has kept"


def _description(look: Look) -> Value:
    client = schsm(look)
    return shown(client.read(PRKD | NEW_KEY)) if PRKD | NEW_KEY in client.objects() else ABSENT


REPLACED_KEY = Item(
    "schsm.replaced_key", Law.ATOMIC, _which_key, "the key that a client replaces", Severity.S1, FLASH
)
DESCRIPTION = Item("schsm.description", Law.ATOMIC, _description, "the description that a client wrote")


def _replace(client: ScHsm, fid: int, content: bytes) -> None:
    """Replace a file in the order of OpenSC's commands."""
    if fid in client.objects():
        client.delete(fid)
    client.update(fid, EMPTY)
    client.update(fid, content, block=BLOCK)


def _stages(content: bytes) -> dict[str, Value]:
    """What a cut leaves of a file that is replaced: a word for it, and what shows."""
    whole = range(BLOCK, len(content), BLOCK)
    blocks = {f"its first {size} bytes": shown(content[:size]) for size in whole}
    return {"it is deleted": ABSENT, "it is empty": shown(EMPTY), **blocks}


# A certificate


def _make_key(rig: Rig, memory: Memory) -> None:
    client, mine = logged_in(rig, memory), known(memory)
    mine.new_request = generate(client, NEW_KEY, "ec")
    describe(client, "ec")


def _write_certificate(rig: Rig, memory: Memory) -> None:
    _replace(logged_in(rig, memory), CERTIFICATE | NEW_KEY, _CERTIFICATE)


def _certificate_worlds(before: Memory, after: Memory) -> list[World]:
    def values(content: Value) -> dict[str, Value]:
        files = [fid for fid in _FILES if content != ABSENT or fid != CERTIFICATE | NEW_KEY]
        return {
            REPLACED_KEY.name: RESTORED,
            REQUEST.name: content,
            "schsm.objects": with_files(before, *files),
        }

    return [
        old(values(shown(known(before).new_request))),
        *(
            World(f"the certificate: {name}", Outcome.RECOVERED, values(found), complete=_write_certificate)
            for name, found in _stages(_CERTIFICATE).items()
        ),
        new(values(shown(_CERTIFICATE))),
    ]


# A forced restore


def _backed_up_and_replaced(rig: Rig, memory: Memory) -> None:
    """Arrange a blob of one key, and another key with its number on the card."""
    client, mine = logged_in(rig, memory), known(memory)
    mine.new_request = generate(client, NEW_KEY, "ec")
    mine.blob = client.wrap(NEW_KEY)
    for fid in _FILES[:2]:
        client.delete(fid)
    mine.replaced_request = generate(client, NEW_KEY, "ec")
    describe(client, "ec")


def _restore(rig: Rig, memory: Memory) -> None:
    client, mine = logged_in(rig, memory), known(memory)
    if KEY | NEW_KEY in client.objects():
        client.delete(KEY | NEW_KEY)
    client.command("UNWRAP KEY", 0x74, NEW_KEY, 0x93, mine.blob, cla=0x80)
    _replace(client, PRKD | NEW_KEY, _DESCRIPTION)
    _replace(client, CERTIFICATE | NEW_KEY, mine.new_request)


def _restore_worlds(before: Memory, after: Memory) -> list[World]:
    mine = known(before)
    theirs, ours, described = shown(mine.replaced_request), shown(mine.new_request), shown(_DESCRIPTION)

    def values(key: Value, request: Value, description: Value) -> dict[str, Value]:
        shows = zip(_FILES, (key, request, description))
        files = [fid for fid, value in shows if value != ABSENT]
        return {
            REPLACED_KEY.name: key,
            REQUEST.name: request,
            DESCRIPTION.name: description,
            "schsm.objects": with_files(before, *files),
        }

    half = {
        "the key is deleted": values(ABSENT, theirs, described),
        "the key is there, with the files of before": values(RESTORED, theirs, described),
        **{
            f"the description: {name}": values(RESTORED, theirs, found)
            for name, found in _stages(_DESCRIPTION).items()
        },
        **{
            f"the request: {name}": values(RESTORED, found, described)
            for name, found in _stages(mine.new_request).items()
        },
    }
    return [
        old(values(REPLACED, theirs, described)),
        *(World(name, Outcome.RECOVERED, found, complete=_restore) for name, found in half.items()),
        new(values(RESTORED, ours, described)),
    ]


OPERATIONS = (
    Operation(
        name="schsm.certificate.opensc",
        title="write a certificate in the order of OpenSC's commands",
        arrange=_make_key,
        act=_write_certificate,
        worlds=_certificate_worlds,
        items=(REPLACED_KEY, REQUEST),
        cost=LOGIN,
    ),
    Operation(
        name="schsm.unwrap.forced",
        title="replace a key by a wrapped one, as sc-hsm-tool --force does",
        arrange=_backed_up_and_replaced,
        act=_restore,
        worlds=_restore_worlds,
        items=(REPLACED_KEY, REQUEST, DESCRIPTION),
        cost=LOGIN,
        missing=keeps_files_of_its_own,
    ),
)
