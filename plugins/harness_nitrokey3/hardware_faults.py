"""Hardware faults besides a cut: a page wears out, a chip starts slowly, a file is lost. Simulated in twins only.

The key may refuse, or answer correctly. Invented data with a status that reports no error are a violation
(docs/flash.md).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from fido2.ctap import CtapError
from fido2.ctap2 import LargeBlobs

from harness.api import (
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Rig,
    Value,
    new,
    old,
    require_glass_box,
)
from harness_fido2 import settings
from harness_fido2.client import Fido, fido, fido_memory
from harness_fido2.items import refusals
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.storage_leak import (
    AS_BEFORE,
    REGISTRATIONS,
    SPACE,
    lacks_list,
    register_in_vain,
    twins_only,
)

LOGINS = 4
LIFE = (0.8, 1.1)
"""Shares of the specified erases between which pages begin to fail."""
INTERNAL, EXTERNAL = "ifs", "efs"
DELAYS_US = (10_000, 30_000, 36_000, 38_000, 40_000, 45_000, 60_000, 100_000, 300_000)
"""How long the external flash takes to answer after power-up: before, while and after the firmware asks it."""
SOUND = "right or refused"
EXTERNAL_FLASH_ERROR = 0x04
"""The init status bit (nitrokey SDK, admin_app.InitStatus). Without an external file system 0 free blocks are told."""
RP = "attested.keyharness.example"
SLICE = 32
"""Bytes of a file that are looked for at once: so long that nothing else reads the same."""


@dataclass
class Mishap:
    """What the host knows of a hardware fault.

    :ivar page: the worn page. :ivar answered: the wrong answers, in words; empty if there was none.
    """

    page: tuple[str, int] = (INTERNAL, 0)
    answered: str = SOUND


def _mishap(memory: Memory) -> Mishap:
    return memory.part("mishap", Mishap)


# A page past its endurance


def _log_in(rig: Rig, memory: Memory) -> None:
    mine = fido_memory(memory)
    assert mine.non_resident is not None
    got = Fido(rig).assertions(mine.non_resident.rp, [mine.non_resident.id])
    mine.counter = max(mine.counter, *(one.auth_data.counter for one in got))


def _find_hottest(rig: Rig, memory: Memory) -> None:
    """Find the page that a login erases most often; the first page if it erases none."""
    glass = require_glass_box(rig)
    state = glass.snapshot()
    worn = glass.record(lambda: _log_in(rig, memory.copy())).wear()
    if worn:
        _mishap(memory).page = max(sorted(worn), key=lambda page: worn[page])
    glass.restore(state)


def _log_in_on_worn_page(rig: Rig, memory: Memory) -> None:
    with require_glass_box(rig).worn_out(*_mishap(memory).page):
        for _ in range(LOGINS):
            # A refusal is what a sound key answers; what it acknowledges has to last.
            with suppress(CtapError):
                _log_in(rig, memory)


def _log_in_near_the_end(rig: Rig, memory: Memory) -> None:
    with require_glass_box(rig).near_the_end(INTERNAL, *LIFE):
        for _ in range(LOGINS // 2):
            # Some pages take no erase any more: a refusal is sound, a wrong answer is not.
            with suppress(CtapError):
                _log_in(rig, memory)


# An external flash that starts slowly


def _power_up_slowly(rig: Rig, memory: Memory) -> None:
    for delay_us in DELAYS_US:
        with require_glass_box(rig).slow(EXTERNAL, delay_us):
            rig.power.on()
            rig.wait_until_up()
            try:
                found = LargeBlobs(Fido(rig).ctap).read_blob_array()
            except CtapError:
                found = settings.BLOBS
            if found != settings.BLOBS:
                _mishap(memory).answered = "an array that nobody wrote"
            status = open_nk3(rig).admin.status()
            if status.efs_blocks == 0 and not (status.init_status or 0) & EXTERNAL_FLASH_ERROR:
                _mishap(memory).answered = "no external file system, under a status that does not say so"
            rig.power.off()


def _answers(look: Look) -> Value:
    return _mishap(look.promise).answered


_ANSWERED = Item(
    "admin.slow_store", Law.KEPT, _answers, "what is answered while the external flash is not there"
)


def _lacks_blobs(rig: Rig) -> str | None:
    return twins_only(rig) or settings.lacks_blobs(rig)


# A lost certificate


def _lose_certificate(rig: Rig, memory: Memory) -> None:
    """As a rewritten page does whose power fails: the blocks are gone, and the file system mounts."""
    glass = require_glass_box(rig)
    _, made = Fido(rig).make_credential(RP, b"before", resident=False, pin=fido_memory(memory).pin)
    certificate = made.att_stmt["x5c"][0]
    rig.power.off()
    state = glass.snapshot()
    for number, page in enumerate(state.chips[INTERNAL].pages):
        state = state.with_page(INTERNAL, number, without(page, certificate))
    glass.restore(state)


def without(page: bytes, content: bytes) -> bytes:
    """Return a page in which each slice of the content reads as erased.

    Every slice is SLICE bytes long, the last one too: a shorter last slice would also match other data.

    :param content: at least SLICE bytes.
    """
    last = len(content) - SLICE
    for at in (*range(0, last, SLICE), last):
        page = page.replace(content[at : at + SLICE], b"\xff" * SLICE)
    return page


def _power_up(rig: Rig, memory: Memory) -> None:
    rig.power.on()
    rig.wait_until_up()


@refusals
def _attests(look: Look) -> Value:
    client = fido(look)
    try:
        _, made = client.make_credential(RP, b"after", resident=False, pin=fido_memory(look.memory).pin)
    except CtapError:
        return SOUND
    attested = client.attested(RP, b"after", made)
    return SOUND if attested.endswith(", valid") else attested


_ATTESTS = Item(
    "admin.lost_certificate",
    Law.KEPT,
    _attests,
    "the attestation of a key whose certificate is lost",
    spends=frozenset({"counter"}),
)


_SAME = [old({}), new({})]

OPERATIONS = (
    Operation(
        name="admin.interrupted_registrations",
        title=f"power up after {REGISTRATIONS} registrations that were cut",
        arrange=register_in_vain,
        act=_power_up,
        worlds=lambda before, after: [world({"admin.free_blocks": AS_BEFORE}) for world in (old, new)],
        items=(SPACE,),
        missing=lacks_list,
        powered=False,
    ),
    Operation(
        name="admin.worn_page",
        title="log in while the most erased page is past its endurance",
        arrange=_find_hottest,
        act=_log_in_on_worn_page,
        worlds=lambda before, after: _SAME,
        missing=twins_only,
    ),
    Operation(
        name="admin.worn_pages",
        title="log in while all pages are at 80 to 110 % of their endurance",
        arrange=lambda rig, memory: None,
        act=_log_in_near_the_end,
        worlds=lambda before, after: _SAME,
        missing=twins_only,
    ),
    Operation(
        name="admin.power_up.slow_store",
        title="power up while the external flash does not answer yet",
        arrange=settings.write_blobs,
        act=_power_up_slowly,
        worlds=lambda before, after: [
            world({"fido2.large_blobs": settings.digest(settings.BLOBS), "admin.slow_store": SOUND})
            for world in (old, new)
        ],
        items=(settings.LARGE_BLOBS, _ANSWERED),
        missing=_lacks_blobs,
        powered=False,
    ),
    Operation(
        name="admin.power_up.lost_certificate",
        title="power up after the attestation certificate was lost",
        arrange=_lose_certificate,
        act=_power_up,
        worlds=lambda before, after: [world({"admin.lost_certificate": SOUND}) for world in (old, new)],
        items=(_ATTESTS,),
        missing=twins_only,
        powered=False,
    ),
)
