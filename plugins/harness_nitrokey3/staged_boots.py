"""Boots from a flash that no cut leaves behind: what is wrong there must be seen, and told or mended (U1, U3, U4, U7).

The faults are a wrong bit, and an image that somebody has put there together with a check sum that fits. Simulated in
twins only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.api import (
    BoardState,
    Law,
    Memory,
    Operation,
    Outcome,
    Rig,
    World,
    cut_at,
    new,
    observe,
    old,
    require_glass_box,
)
from harness.api import images as images_of
from harness_nitrokey3 import images
from harness_nitrokey3.twin.dfu_image import number_of
from harness_nitrokey3.twin.dfu_settings import BACKUP, MAIN, SETTINGS, decode
from harness_nitrokey3.update_items import ACCEPTS, COPIES, RUNS, update_memory
from harness_nitrokey3.update_operations import (
    arrange,
    install,
    not_half_an_update,
    takes,
    update_values,
    worlds_from_half,
)

APPLICATION_BIT = 3, 1000
"""Page and byte of the application with a wrong bit: nothing but its check at boot reads there."""
SETTINGS_BYTE = 40
"""The byte of a copy of the settings with a wrong bit."""
COPY_BIT = 0, 300
"""Page and byte with a wrong bit in the copy of all files that a move of the file system makes."""
JOURNAL_SINCE = "1.3.0"
"""From this version on the file system has a journal, and an update moves nothing behind one."""
CLOSED = "nothing"

Stage = Callable[[BoardState], BoardState]


def _flipped(state: BoardState, chip: str, page: int, at: int) -> BoardState:
    content = bytearray(state.chips[chip].pages[page])
    content[at] ^= 1
    return state.with_page(chip, page, bytes(content))


def _arranged(stage: Stage) -> Callable[[Rig, Memory], None]:
    """Note what is seen of the key as it is, then change its flash."""

    def stage_it(rig: Rig, memory: Memory) -> None:
        state = _noted(rig, memory)
        require_glass_box(rig).restore(stage(state))

    return stage_it


def _noted(rig: Rig, memory: Memory) -> BoardState:
    """Note what is seen of the key as it is; the state of the board before anything was asked of it."""
    arrange(rig, memory)
    state = require_glass_box(rig).snapshot()
    items = [item for item in rig.key.items if item.law is not Law.RISING]
    update_memory(memory).was = observe(rig, items, memory, memory).values
    return state


def _wrong_bit(state: BoardState) -> BoardState:
    return _flipped(state, "app", *APPLICATION_BIT)


def _forge(state: BoardState) -> BoardState:
    """An application with a wrong bit, and settings whose check sum fits it. Its signature does not."""
    state = _wrong_bit(state)
    settings = decode(state.chips["settings"].pages[MAIN])
    assert settings is not None
    image = b"".join(state.chips["app"].pages)[: settings.size]
    page = replace(settings, crc=zlib.crc32(image)).encode().ljust(SETTINGS.page_size, b"\xff")
    for number in (MAIN, BACKUP):
        state = state.with_page("settings", number, page)
    return state


def _damage(*copies: int) -> Stage:
    def stage(state: BoardState) -> BoardState:
        for page in copies:
            state = _flipped(state, "settings", page, SETTINGS_BYTE)
        return state

    return stage


def _arrange_damaged_copy(rig: Rig, memory: Memory) -> None:
    """Arrange a first boot that has copied all files and moved none yet; the copy has a wrong bit."""
    glass = require_glass_box(rig)
    glass.restore(_noted(rig, memory))
    rig.power.on()
    rig.wait_until_up()
    trace = glass.record(lambda: install(rig, memory))
    # The head of the copy is written last: with it the copy is valid.
    head = max(
        number
        for number, op in enumerate(trace.ops, 1)
        if op.chip == "spare" and op.kind == "program" and op.page == 0 and op.offset == 0
    )
    ((_, copied),) = images_of(trace, [cut_at(trace, f"op{head}.after", 0)])
    glass.restore(_flipped(copied, "spare", *COPY_BIT))


def _power_up(rig: Rig, memory: Memory) -> None:
    rig.power.on()
    rig.wait_until_up()


def _mended(before: Memory, after: Memory) -> list[World]:
    """The version of before with all that was seen, as if nothing had been wrong."""
    mine = update_memory(before)
    values = {**mine.was, **update_values(mine, mine.ours)}
    return [old(values), new(values)]


def _shut(before: Memory, after: Memory) -> list[World]:
    """The bootloader, which takes nothing any more, or what it took before: never less."""
    mine = update_memory(before)
    return [
        World("bootloader", Outcome.BOOTLOADER, {RUNS.name: "bootloader", ACCEPTS.name: accepted})
        for accepted in (CLOSED, takes(mine, images.core(mine.ours)))
    ]


def _moves_no_files(rig: Rig) -> str | None:
    if (why := not_half_an_update(rig)) is not None:
        return why
    if number_of(rig.info().firmware.removeprefix("v")) >= number_of(JOURNAL_SINCE):
        return f"from v{JOURNAL_SINCE} on an update moves no file system"
    return None


Worlds = Callable[[Memory, Memory], Sequence[World]]


def _boot(
    name: str,
    title: str,
    arranged: Callable[[Rig, Memory], None],
    worlds: Worlds,
    *,
    copies: bool = True,
    missing: Callable[[Rig], str | None] = not_half_an_update,
) -> Operation:
    return Operation(
        name=name,
        title=f"power up with {title}",
        arrange=arranged,
        act=_power_up,
        worlds=worlds,
        items=(RUNS, COPIES, ACCEPTS) if copies else (RUNS, ACCEPTS),
        missing=missing,
        powered=False,
    )


OPERATIONS = (
    _boot(
        "update.damaged_image",
        "a wrong bit in the application",
        _arranged(_wrong_bit),
        worlds_from_half,
    ),
    _boot(
        "update.forged_image",
        "an application that only its check sum fits",
        _arranged(_forge),
        worlds_from_half,
    ),
    _boot(
        "update.damaged_settings",
        "a wrong bit in the bootloader's settings",
        _arranged(_damage(MAIN)),
        _mended,
    ),
    _boot(
        "update.damaged_backup",
        "a wrong bit in the backup of the bootloader's settings",
        _arranged(_damage(BACKUP)),
        _mended,
    ),
    _boot(
        "update.lost_settings",
        "a wrong bit in each copy of the bootloader's settings",
        _arranged(_damage(MAIN, BACKUP)),
        _shut,
        copies=False,
    ),
    _boot(
        "update.damaged_copy",
        "a wrong bit in the copy of all files that a first boot has made",
        _arrange_damaged_copy,
        worlds_from_half,
        missing=_moves_no_files,
    ),
)
