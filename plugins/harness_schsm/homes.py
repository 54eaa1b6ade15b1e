"""Homes of a SmartCard-HSM besides the fresh one: aged, coloured, and each write after others in the same boot."""

from __future__ import annotations

from harness.api import (
    Item,
    KeyFault,
    Law,
    Look,
    Memory,
    NamedHome,
    Operation,
    Refused,
    Rig,
    Value,
    pin_for,
)
from harness_cards.aged import CUTS, aged
from harness_cards.operations import may_lose
from harness_cards.tlv import tlv
from harness_cards.values import shown
from harness_schsm.client import DATA, EC_SHA256, PROTECTED, USER, USER_PIN, ScHsm, schsm
from harness_schsm.description import OURS
from harness_schsm.home import CANARY_DATA, P256, generate, known, listed
from harness_schsm.items import NOT_LOGGED_IN, TRY, key_signs, pin_in_force, public_of_request

NUMBER = 11
LABEL = 0x2F03
FILES = {
    LABEL: tlv(0x30, tlv(0x02, b"\0"), tlv(0x80, b"keyharness label")),
    PROTECTED | NUMBER: b"keyharness: read behind the PIN only",
}
RESTRICTED = tlv(0x91, bytes([EC_SHA256])) + tlv(0x90, (0x1002).to_bytes(4, "big"))
"""A key of one algorithm that may be used 4,098 times."""
_WITHOUT_HASH = 0x70


def _lay_down(rig: Rig, memory: Memory) -> None:
    client, mine = ScHsm(rig), known(memory)
    client.verify(mine.pin)
    mine.restricted_request = generate(client, NUMBER, "ec", curve=P256, more=RESTRICTED)
    for fid, content in FILES.items():
        client.update(fid, content)
    mine.objects = listed(client, mine)
    if _signs_without_hash(client):
        raise KeyFault(
            f"key {NUMBER}, made for one algorithm alone, signs by another one",
            found=f"a signature by {_WITHOUT_HASH:02X}",
            expected=f"a refusal: its list names {EC_SHA256:02X} alone",
        )


def _signs_without_hash(client: ScHsm) -> bool:
    try:
        client.sign(NUMBER, _WITHOUT_HASH, bytes(32))
    except Refused:
        return False
    return True


def colours(look: Look) -> Value:
    """What only this home has: the label, a file behind the PIN, and what a key of one algorithm may do."""
    client = schsm(look)
    logged_in = pin_in_force(look) in ("current", "new")
    found = [_content(client, fid) for fid in FILES if logged_in or fid != PROTECTED | NUMBER]
    if not logged_in:
        return (*found, NOT_LOGGED_IN)
    request = known(look.memory).restricted_request
    found.append(key_signs(look, NUMBER, public_of_request(request)))
    more = _signs_without_hash(client)
    return (*found, "may do what it was not made for" if more else "may do nothing else")


def _content(client: ScHsm, fid: int) -> str:
    try:
        return shown(client.read(fid))
    except Refused as refused:
        return str(refused.value)


COLOURS = Item("schsm.colours", Law.KEPT, colours, "the set of files and restrictions", spends=TRY)
_NOT_SEEN = ("schsm.verify.block", "schsm.verify.blocked", "schsm.reset_retry", "schsm.transport_pin")
"""With a PIN that is blocked, or has to be changed first, little of it is seen."""
_EMPTIES = ("schsm.initialize", "schsm.firmware_update")


def _adapt_coloured(operation: Operation) -> Operation | None:
    if operation.name in _NOT_SEEN:
        return None
    return may_lose(operation, COLOURS) if operation.name.startswith(_EMPTIES) else operation


# Writes in one boot


def _write_before(rig: Rig, memory: Memory) -> None:
    """Change the PIN and the data object, in the boot of the operation; nobody is logged in afterwards."""
    client, mine = ScHsm(rig), known(memory)
    if client.state(USER) != 0x63C0 | USER_PIN.full or not mine.content:
        # That a try is missing, or that there is no PIN, is what the operation is about.
        return
    changed = pin_for(rig, "in this boot", USER_PIN)
    client.change(mine.pin, changed)
    mine.pin = changed
    client.verify(mine.pin)
    mine.content = f"{OURS}in this boot ".encode() * 6
    client.update(DATA | CANARY_DATA, mine.content)
    client.select()


def _adapt_same_boot(operation: Operation) -> Operation | None:
    # An operation that begins without power has a boot of its own.
    return operation if operation.powered else None


HOMES: tuple[NamedHome, ...] = (
    NamedHome(
        name="coloured",
        title="a label, a file behind the PIN, and a key that is restricted in every way",
        lay_down=_lay_down,
        adapt=_adapt_coloured,
        items=(COLOURS,),
        cuts=CUTS,
        turn="other",
    ),
    *aged(lambda memory, counted: None),
    NamedHome(
        name="same-boot",
        title="each write after others in the same boot",
        in_boot=_write_before,
        adapt=_adapt_same_boot,
        cuts=CUTS,
        turn="other",
    ),
)
