"""Updates of the firmware, and the worlds that each may leave (invariant N10)."""

from __future__ import annotations

from contextlib import suppress

from harness.api import (
    Cost,
    Item,
    KeyGone,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Refused,
    Rig,
    Value,
    World,
    arrange_nothing,
    glass_box,
    new,
    old,
)
from harness_nitrokey_pro import images
from harness_nitrokey_pro.client import NitrokeyPro, no_bootloader, pro
from harness_nitrokey_pro.home import ProMemory, known, version
from harness_nitrokey_pro.updater import APPLICATION, BOOTLOADER, enter_bootloader, install, update

ONE_UPDATE = {"forced_updates": 1}
WRONG = b"00000000000"


def _runs(look: Look) -> Value:
    """The face that the key shows, and in the application its version."""
    if look.rig.face != APPLICATION:
        return look.rig.face
    return f"application v{version(pro(look).status()['version'])}"


RUNS = Item("pro.runs", Law.ATOMIC, _runs, "what runs", face="")


def next_image(rig: Rig, mine: ProMemory) -> bytes:
    """The image that the caller named, or one for simulated keys with the next version."""
    if rig.firmware_file is not None:
        return images.read_image(rig.firmware_file)
    ours = images.number(mine.identity.partition(" ")[0])
    return images.make_image((ours or 0) + 1)


def _install(rig: Rig, memory: Memory) -> None:
    mine = known(memory)
    image = next_image(rig, mine)
    update(rig, mine.firmware_password, image)
    found = images.about(image).version
    if found is not None:
        mine.identity = f"v{images.text(found)} {mine.identity.partition(' ')[2]}"


def _complete(rig: Rig, memory: Memory) -> None:
    """Install the image again, from the bootloader."""
    with suppress(KeyGone):
        install(rig, next_image(rig, known(memory)))


def _values(mine: ProMemory) -> dict[str, Value]:
    return {"pro.runs": f"application {mine.identity.partition(' ')[0]}", "pro.identity": mine.identity}


def _worlds(before: Memory, after: Memory) -> list[World]:
    return [
        old(_values(known(before))),
        World("bootloader", Outcome.BOOTLOADER, {"pro.runs": BOOTLOADER}, _complete),
        new(_values(known(after))),
    ]


def _refuse(rig: Rig, memory: Memory) -> None:
    """Try to reach the bootloader with a wrong firmware password."""
    with suppress(Refused):
        NitrokeyPro(rig).start_bootloader(WRONG)


def _restarted(rig: Rig, memory: Memory) -> None:
    """Go to the bootloader, and change nothing there."""
    enter_bootloader(rig, known(memory).firmware_password)


def _unchanged(before: Memory, after: Memory) -> list[World]:
    return [old(_values(known(before))), new(_values(known(before)))]


def _no_update(rig: Rig) -> str | None:
    """What is missing: the bootloader is modelled, and an image for a genuine key is not made here."""
    if glass_box(rig) is None:
        return "no rig but a simulated key's reaches the bootloader (DFU)"
    return no_bootloader(rig)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        name="pro.update",
        title="update the firmware",
        arrange=arrange_nothing,
        act=_install,
        worlds=_worlds,
        items=(RUNS,),
        cost=Cost(seconds=30.0, irreversible=ONE_UPDATE),
        missing=_no_update,
    ),
    Operation(
        name="pro.update.refused",
        title="ask for the bootloader with a wrong firmware password",
        arrange=arrange_nothing,
        act=_refuse,
        worlds=lambda before, after: [old(_values(known(before)))],
        items=(RUNS,),
        missing=no_bootloader,
    ),
    Operation(
        name="pro.update.left",
        title="go to the bootloader and leave it by a power cycle",
        arrange=arrange_nothing,
        act=_restarted,
        worlds=_unchanged,
        items=(RUNS,),
        missing=_no_update,
    ),
)
