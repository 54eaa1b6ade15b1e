"""Homes of an OpenPGP card besides the fresh one: aged, coloured, and each write after others in the same boot."""

from __future__ import annotations

from collections.abc import Mapping

from harness.api import (
    Item,
    Law,
    Look,
    Memory,
    NamedHome,
    Operation,
    Rig,
    Value,
    pin_for,
)
from harness_cards.aged import CUTS, aged
from harness_cards.operations import may_lose
from harness_cards.values import shown
from harness_openpgp.client import ADMIN, OTHER, PW1, SIGN, OpenPgp, openpgp
from harness_openpgp.home import NAME, URL, as_admin, known, message
from harness_openpgp.items import CURRENT, NEW, NOT_VERIFIED, PW1_TRY, operational, pw1, pw3
from harness_openpgp.put_operations import (
    AES_BIT,
    AES_KEY,
    LANGUAGE,
    PRIVATE_OBJECTS_BIT,
    SEX,
    ciphertext,
)
from harness_openpgp.slots import Slot

PRIVATE = {0x0101: b"of all", 0x0103: b"of the user", 0x0104: b"of the administrator"}
"""Private data objects, less the one that every home has. The second is read after PW1, the third after PW3."""
AUTHORITIES = {0xCA: bytes([0xA1]) * 20, 0xCB: bytes([0xB2]) * 20, 0xCC: bytes([0xC3]) * 20}


def _learn(memory: Memory, counted: Mapping[str, int]) -> None:
    mine = known(memory)
    mine.counter = max(mine.counter, counted.get("signature counter", 0))


# Coloured: everything that can be set is set


def _lay_down(rig: Rig, memory: Memory) -> None:
    mine, client = known(memory), as_admin(rig, memory)
    client.verify(mine.pw1, OTHER)
    offered = client.get(0xC0)[0]
    client.put(LANGUAGE, b"ende")
    client.put(SEX, b"2")
    for tag, content in AUTHORITIES.items():
        client.put(tag, content)
    if offered & PRIVATE_OBJECTS_BIT:
        for tag, content in PRIVATE.items():
            client.put(tag, content)
    if offered & AES_BIT:
        client.put(AES_KEY, bytes(range(32)))
    if client.version >= (3, 0):
        for slot in (Slot.DECIPHER, Slot.SIGN):
            mine.certificates[slot] = f"keyharness certificate of {slot.title}".encode()
            client.put_certificate(slot, mine.certificates[slot])
    if mine.has_touch:
        client.put(Slot.AUTHENTICATE.uif, b"\1\x20")
    client.put(0xC4, b"\1")


@operational
def colours(look: Look) -> Value:
    """What only this home sets: card holder, fingerprints of authorities, private objects, what the AES key makes."""
    client = openpgp(look)
    offered = client.get(0xC0)[0]
    found = [shown(client.get(0x65)), shown(client.get(0xC6))]
    verified = pw1(look) in (CURRENT, NEW), pw3(look) in (CURRENT, NEW)
    if offered & PRIVATE_OBJECTS_BIT:
        readers = {0x0101: True, 0x0103: verified[0], 0x0104: verified[1]}
        found += [shown(client.get(tag)) if read else NOT_VERIFIED for tag, read in readers.items()]
    if offered & AES_BIT:
        found.append(ciphertext(client) if verified[0] else NOT_VERIFIED)
    return tuple(found)


COLOURS = Item("openpgp.colours", Law.KEPT, colours, "the set of all that can be set", spends=PW1_TRY)
_CHANGES_THEM = (
    *("openpgp.terminate", "openpgp.activate", "openpgp.reset"),
    *(
        "openpgp.put_name",
        "openpgp.put_language",
        "openpgp.put_sex",
        "openpgp.put_authority",
        "openpgp.put_aes_key",
    ),
    *("openpgp.put_private_1", "openpgp.put_private_3", "openpgp.put_private_4"),
)
_SETS_IT_ITSELF = (
    "openpgp.ask_for_touch",
    "openpgp.import.touch",
    "openpgp.pw1_mode.",
    "openpgp.put_certificate",
    # With a blocked PW1 nothing of it is seen.
    "openpgp.reset_pw1.code",
    "openpgp.reset_pw1.admin",
)
"""Beginnings of names of what begins with a card on which nothing of this is set."""


def _adapt_coloured(operation: Operation) -> Operation | None:
    if operation.name.startswith(_SETS_IT_ITSELF):
        return None
    # What a reset leaves of the colours, the suite asks (`openpgp/test_what_stays_apart.py`).
    return may_lose(operation, COLOURS) if operation.name in _CHANGES_THEM else operation


# Writes in one boot


def _write_before(rig: Rig, memory: Memory) -> None:
    """Change data and PW1, and sign, in the boot of the operation."""
    client, mine = OpenPgp(rig, terminated=True), known(memory)
    if client.is_terminated or not mine.keys:
        return
    status = client.pin_status()
    client.verify(mine.pw3, ADMIN)
    mine.data |= {URL: b"https://example.org/in-this-boot", NAME: b"Boot<<Same"}
    for tag in (URL, NAME):
        client.put(tag, mine.data[tag])
    if status.pw1 < PW1.full:
        # That a try is missing is what the operation is about.
        return
    changed = pin_for(rig, "in this boot", PW1)
    client.change(mine.pw1, changed)
    mine.pw1 = changed
    if Slot.SIGN in mine.keys and client.public(Slot.SIGN) == mine.keys[Slot.SIGN].content:
        client.verify(mine.pw1, SIGN)
        with rig.touch.pressing():
            client.sign(mine.keys[Slot.SIGN].signed_data(message(Slot.SIGN)))
        mine.counter = max(mine.counter, client.counter())


def _adapt_same_boot(operation: Operation) -> Operation | None:
    # It is about a PW1 that it has set itself.
    return None if operation.name == "openpgp.change_pw1.longer" else operation


HOMES: tuple[NamedHome, ...] = (
    NamedHome(
        name="coloured",
        title="everything is set that can be set",
        lay_down=_lay_down,
        adapt=_adapt_coloured,
        items=(COLOURS,),
        cuts=CUTS,
        turn="other",
    ),
    *aged(_learn),
    NamedHome(
        name="same-boot",
        title="each write after others in the same boot",
        in_boot=_write_before,
        adapt=_adapt_same_boot,
        cuts=CUTS,
        turn="other",
    ),
)
