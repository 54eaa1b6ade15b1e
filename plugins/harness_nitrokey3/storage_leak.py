"""Registrations that are cut must leave no space behind that nothing gives back. Simulated in twins only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fido2.ctap import CtapError

from harness.api import Item, KeyFault, Law, Look, Memory, Rig, Severity, Value, glass_box, interrupt
from harness_fido2 import management
from harness_fido2.client import Fido, fido_memory, lacks, refusal
from harness_nitrokey3.sdk import open_nk3

LEAK_RP, FILLER_RP = "leak.keyharness.example", "filler.keyharness.example"
AS_BEFORE = "as before"
REGISTRATIONS, SLACK = 32, 3
"""Registrations that are cut before a leak is measured; blocks that one credential and the file system's metadata may
take."""
TOLD_MAX, FILLERS_MAX, ROOM_LEFT = 250, 40, 2
"""The status tells 255 free blocks at most, so the store is filled until fewer are free, or few credentials fit."""


@dataclass
class Leak:
    """What the host knows of the space on a key.

    :ivar free: number of blocks that were free before registrations were cut.
    """

    free: int = 0


def twins_only(rig: Rig) -> str | None:
    return None if glass_box(rig) else "it is staged inside a simulated key"


def _client(rig: Rig, memory: Memory) -> tuple[Fido, str]:
    pin = fido_memory(memory).pin
    assert pin is not None
    return Fido(rig), pin


def _register(rig: Rig, memory: Memory, rp: str = LEAK_RP, user: bytes = b"somebody") -> None:
    client, pin = _client(rig, memory)
    _, response = client.make_credential(rp, user, resident=True, pin=pin)
    fido_memory(memory).counter = response.auth_data.counter


def _forget(rig: Rig, memory: Memory) -> None:
    """Delete all credentials of LEAK_RP; the key may list none."""
    client, pin = _client(rig, memory)
    manager = client.management(pin)
    field = manager.RESULT
    try:
        there = list(manager.enumerate_creds(hashlib.sha256(LEAK_RP.encode()).digest()))
    except CtapError as error:
        if error.code != CtapError.ERR.NO_CREDENTIALS:
            raise
        return
    for one in there:
        manager.delete_cred(one[field.CREDENTIAL_ID])


def _free(rig: Rig) -> int:
    """Free blocks of the internal file system: a byte, so that more than 255 are told as 255."""
    free = open_nk3(rig).admin.status().ifs_blocks
    assert free is not None
    return int(free)


def _room(rig: Rig, memory: Memory) -> int:
    """How many more resident credentials fit."""
    client, pin = _client(rig, memory)
    return management.remaining(client.management(pin))


def register_in_vain(rig: Rig, memory: Memory) -> None:
    """Registrations that are cut, each somewhat later than the one before; whatever landed is deleted."""
    for number in range(FILLERS_MAX):
        if _free(rig) < TOLD_MAX or _room(rig, memory) <= ROOM_LEFT:
            break
        _register(rig, memory, FILLER_RP, b"filler %d" % number)
    register_and_forget(rig, memory)
    memory.part("leak", Leak).free = _free(rig)
    for number in range(REGISTRATIONS):
        interrupt(
            rig,
            lambda: _register(rig, memory.copy()),
            at=(number + 0.5) / REGISTRATIONS,
            recovering=False,
        )
        rig.power.on()
        rig.wait_until_up()
        try:
            _register(rig, memory)
        except CtapError as error:
            raise KeyFault(
                f"the key does not come through a registration that is cut (number {number + 1})",
                found=refusal(error),
                expected="the same registration again",
            ) from error
    _forget(rig, memory)


def register_and_forget(rig: Rig, memory: Memory) -> None:
    _register(rig, memory)
    _forget(rig, memory)


def _space(look: Look) -> Value:
    lost = look.memory.part("leak", Leak).free - _free(look.rig)
    return AS_BEFORE if lost <= SLACK else f"{lost} blocks fewer are free"


SPACE = Item(
    "admin.free_blocks", Law.KEPT, _space, "the space that is free after all", Severity.S2, after_replug=True
)


def lacks_list(rig: Rig) -> str | None:
    if (why := twins_only(rig) or lacks(rig, "rk", "clientPin", "credMgmt")) is not None:
        return why
    if open_nk3(rig).admin.status().ifs_blocks is None:
        return "its status does not tell how many blocks are free"
    return None
