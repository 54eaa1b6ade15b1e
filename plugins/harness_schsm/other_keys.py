"""Operations on keys that are not plain key pairs: a symmetric one, and one that is used up."""

from __future__ import annotations

from harness.api import (
    ANY,
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Refused,
    Rig,
    Severity,
    Value,
    World,
    arrange_nothing,
    new,
    old,
)
from harness_cards.tlv import tlv
from harness_schsm.client import AES_ENCRYPT, CERTIFICATE, EC_SHA256, KEY, schsm
from harness_schsm.home import generate, known, plaintext
from harness_schsm.items import ABSENT, ENCRYPTS, NEW_KEY, NOT_LOGGED_IN, SIGNS, TRY, is_ready
from harness_schsm.key_operations import LOGIN, logged_in, with_files

USED_UP = ("6984", "6A84")
IS_USED_UP = "used up"
AES_DECRYPT = 0x11
Worlds = list[World]


def _objects(memory: Memory, *fids: int) -> Value:
    """The list of files with these; what a card of another kind stores with a key by itself is not known."""
    return with_files(memory, *fids) if known(memory).lists_requests else ANY


# A symmetric key


def _encrypts(look: Look) -> Value:
    """Does the new AES key decrypt what it encrypts?"""
    if not is_ready(look):
        return NOT_LOGGED_IN
    client, text = schsm(look), plaintext(NEW_KEY)
    try:
        found = client.aes(NEW_KEY, AES_DECRYPT, client.aes(NEW_KEY, AES_ENCRYPT, text))
    except Refused as refused:
        return ABSENT if refused.status == "6A82" else refused.value
    return ENCRYPTS if found == text else "it does not decrypt what it encrypts"


NEW_AES = Item("schsm.new_aes", Law.ATOMIC, _encrypts, "the new AES key", Severity.S1, TRY)


def _generate_aes(rig: Rig, memory: Memory) -> None:
    logged_in(rig, memory).generate_aes(NEW_KEY)


def _aes_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old({NEW_AES.name: ABSENT, "schsm.objects": known(before).objects}),
        new({NEW_AES.name: ENCRYPTS, "schsm.objects": _objects(before, KEY | NEW_KEY)}),
    ]


# A key that is used up


def _signs(look: Look) -> Value:
    """Does the key sign, that was made for one use and has had it?"""
    if not is_ready(look):
        return NOT_LOGGED_IN
    try:
        schsm(look).sign(NEW_KEY, EC_SHA256, plaintext(NEW_KEY))
    except Refused as refused:
        if refused.status == "6A82":
            return ABSENT
        return IS_USED_UP if refused.status in USED_UP else refused.value
    return SIGNS


SPENT_KEY = Item("schsm.spent_key", Law.ATOMIC, _signs, "the key that is used up", Severity.S1, TRY)


def _make_spent(rig: Rig, memory: Memory) -> None:
    """Arrange a key for one use, which is taken."""
    client = logged_in(rig, memory)
    generate(client, NEW_KEY, "ec", more=tlv(0x90, (1).to_bytes(4, "big")))
    client.sign(NEW_KEY, EC_SHA256, plaintext(NEW_KEY))


def _delete_spent(rig: Rig, memory: Memory) -> None:
    logged_in(rig, memory).delete(KEY | NEW_KEY)


def _spent_worlds(before: Memory, after: Memory) -> Worlds:
    return [
        old(
            {
                SPENT_KEY.name: IS_USED_UP,
                "schsm.objects": _objects(before, KEY | NEW_KEY, CERTIFICATE | NEW_KEY),
            }
        ),
        new({SPENT_KEY.name: ABSENT, "schsm.objects": _objects(before, CERTIFICATE | NEW_KEY)}),
    ]


OPERATIONS = (
    Operation(
        name="schsm.generate.aes",
        title="generate an AES key",
        arrange=arrange_nothing,
        act=_generate_aes,
        worlds=_aes_worlds,
        items=(NEW_AES,),
        cost=LOGIN,
    ),
    Operation(
        name="schsm.delete.spent",
        title="delete a key that is used up",
        arrange=_make_spent,
        act=_delete_spent,
        worlds=_spent_worlds,
        items=(SPENT_KEY,),
        acknowledged_old=Outcome.ROLLED_BACK,
        cost=LOGIN,
    ),
)
