"""The operations that update the firmware, and the worlds that each may leave (invariants U1 to U8)."""

from __future__ import annotations

from contextlib import suppress

from harness.api import (
    Cost,
    KeyFault,
    KeyGone,
    Law,
    Memory,
    Operation,
    Outcome,
    Rig,
    SlowBoot,
    UpdateRefused,
    UpdaterKilled,
    Value,
    World,
    cut_at,
    glass_box,
    new,
    observe,
    old,
    require_glass_box,
)
from harness.api import images as images_of
from harness_nitrokey3 import bootloader_probe, images, signing
from harness_nitrokey3.admin import identify
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.killed_updater import Breaking
from harness_nitrokey3.twin.bootloader import PAGE
from harness_nitrokey3.twin.dfu_image import number_of
from harness_nitrokey3.update_items import (
    ACCEPTS,
    ALL_FILES,
    COPIES,
    FILES,
    RUNS,
    UpdateMemory,
    container_for,
    deleted,
    kept_files,
    untold,
    update_memory,
)

ONE_UPDATE = {"forced_updates": 1}
BREAKS = (0.1, 0.5, 0.9)
"""How far the updater gets before it is killed, each time anew."""
WRITES_BEFORE, WRITES_PER_PAGE = 8, 6
"""About the number of frames before the image, and with each of its pages (SLIP over a serial port, MTU 2051)."""


def arrange(rig: Rig, memory: Memory) -> None:
    """Note what runs, which key it is, and what is going to be installed."""
    mine = update_memory(memory)
    known = identify(rig)
    mine.ours = known["firmware"].removeprefix("v")
    mine.uuid = int(known["uuid"], 16) if known["uuid"] else None
    mine.brought = untold(rig)
    mine.files = kept_files(rig, mine.ours)
    container = container_for(rig, mine.ours)
    mine.wanted, mine.container = container.version.removeprefix("v"), container.data
    mine.takes = bootloader_probe.SIGNED if glass_box(rig) is None else ""


def install(rig: Rig, memory: Memory) -> None:
    """Run the updater; ignore its time limit for the first boot."""
    from harness_nitrokey3.updater import update

    mine = update_memory(memory)
    with suppress(SlowBoot):
        update(rig, mine.container, uuid=mine.uuid)


def _arrange_half(rig: Rig, memory: Memory) -> None:
    """Arrange an update that was cut half-way: the key is in its bootloader."""
    glass = require_glass_box(rig)
    arrange(rig, memory)
    mine = update_memory(memory)
    state = glass.snapshot()
    items = [item for item in rig.key.items if item.law is not Law.RISING]
    mine.was = {**observe(rig, items, memory, memory).values, FILES.name: ALL_FILES}
    glass.restore(state)
    rig.power.on()
    rig.wait_until_up()
    trace = glass.record(lambda: install(rig, memory))
    # Half of what the bootloader writes; what follows its last boot is the new firmware's.
    ((_, half),) = images_of(trace, [cut_at(trace, f"op{trace.boots[-1] // 2}.before", 0)])
    glass.restore(half)


def _install_with_breaks(rig: Rig, memory: Memory) -> None:
    """Kill the updater several times in the middle of a frame, with the power on; then let it finish.

    Each next one meets the key as the last one left it; only if it cannot go on is the key plugged in again, which
    some half-sent frames need (docs/updates.md).
    """
    real = rig.transports
    pages = -(-len(container_for(rig, update_memory(memory).ours).image.bin) // PAGE)
    for share in BREAKS:
        rig.transports = Breaking(real, WRITES_BEFORE + round(WRITES_PER_PAGE * pages * share), 0.5)
        try:
            # The client goes on where the key says that it is, so one of them may be through before it breaks off.
            return install(rig, memory)
        except UpdaterKilled:
            continue
        except UpdateRefused:
            rig.power.cycle()
        finally:
            rig.transports = real
    try:
        install(rig, memory)
    except UpdateRefused:
        rig.power.cycle()
        install(rig, memory)


def _complete(rig: Rig, memory: Memory) -> None:
    """Install the same container again, from the bootloader."""
    with suppress(UpdateRefused, KeyGone):
        install(rig, memory)


def takes(mine: UpdateMemory, version: str) -> str:
    """Describe which images the bootloader takes; where only foreign ones can be offered, that it takes none."""
    return mine.takes or f"v{version} and later, signed"


def update_values(mine: UpdateMemory, version: str) -> dict[str, Value]:
    """What is seen of a version that runs."""
    return {
        "update.runs": f"application v{version}",
        "admin.version": f"v{version}",
        "update.accepts": takes(mine, images.core(version)),
    }


def _worlds(before: Memory, after: Memory) -> list[World]:
    mine = update_memory(before)
    changed = mine.brought | deleted(before)
    return [
        old(update_values(mine, mine.ours)),
        in_bootloader(mine),
        new({**update_values(mine, mine.wanted), **changed}),
    ]


def in_bootloader(mine: UpdateMemory) -> World:
    """The key waits in its bootloader, and the same container completes the update."""
    values = {"update.runs": "bootloader", "update.accepts": takes(mine, images.core(mine.ours))}
    return World("bootloader", Outcome.BOOTLOADER, values, _complete)


def worlds_from_half(before: Memory, after: Memory) -> list[World]:
    """The bootloader, or the new version with all that was seen before."""
    mine = update_memory(before)
    changed = mine.brought | deleted(before)
    return [in_bootloader(mine), new({**mine.was, **update_values(mine, mine.wanted), **changed})]


def _offer_what_must_be_refused(rig: Rig, memory: Memory) -> None:
    """Send whole images that must be refused: an older one, and foreign-signed ones of this and of a later version."""
    mine = update_memory(memory)
    seed = signing.seed_of(rig)
    ours = images.core(mine.ours)
    bootloader_probe.enter_bootloader(rig)
    recipes = (
        Recipe(bootloader_probe.older(ours)),
        Recipe(ours, signer=bootloader_probe.FOREIGN),
        Recipe(images.core(mine.wanted), signer=bootloader_probe.FOREIGN),
    )
    offered = [images.make(recipe, seed) for recipe in recipes]
    asked_for = container_for(rig, mine.ours).image
    if asked_for.number < number_of(ours):
        offered.append(asked_for)
    if glass_box(rig) is not None:
        taken = bootloader_probe.taken_in_spite(rig, ours, images.core(mine.wanted))
        if taken is not None:
            raise KeyFault(
                "an init packet is offered that must be refused", found=taken, expected="a refusal"
            )
    for image in offered:
        rig.wait_until_up()
        if rig.face != "bootloader":
            # One was installed: what runs tells the rest.
            return
        bootloader_probe.offer(rig, image, whole=True)


def _unchanged(before: Memory, after: Memory) -> list[World]:
    mine = update_memory(before)
    values = update_values(mine, mine.ours)
    return [old(values), new(values)]


def _no_bootloader(rig: Rig) -> str | None:
    """Return what is missing. Whether a real key may be updated, its budget says (`cost.irreversible`)."""
    if rig.evidence_kind.startswith("emulator"):
        return "an emulator has no bootloader"
    return None


def not_an_update(rig: Rig) -> str | None:
    """Say what is missing to update the firmware; None if nothing is."""
    if (why := _no_bootloader(rig)) is not None:
        return why
    if glass_box(rig) is None and rig.firmware_file is None:
        return "a real key takes the vendor's containers only: name one with --firmware"
    ours = identify(rig)["firmware"].removeprefix("v")
    if container_for(rig, ours).image.number < number_of(ours):
        return f"the container is older than v{ours}: update.refused offers it"
    return None


def not_half_an_update(rig: Rig) -> str | None:
    """The same of an operation that begins in the middle of one."""
    if glass_box(rig) is None:
        return "it starts in the middle of an update, on copies of that state"
    return not_an_update(rig)


OPERATIONS = (
    Operation(
        name="update.install",
        title="update the firmware",
        arrange=arrange,
        act=install,
        worlds=_worlds,
        items=(RUNS, COPIES, FILES, ACCEPTS),
        cost=Cost(touches=1, seconds=30.0, irreversible=ONE_UPDATE),
        missing=not_an_update,
    ),
    Operation(
        name="update.install.interrupted",
        title="complete an update that was cut in its middle",
        arrange=_arrange_half,
        act=install,
        worlds=worlds_from_half,
        items=(RUNS, COPIES, FILES, ACCEPTS),
        cost=Cost(touches=1, seconds=30.0, irreversible=ONE_UPDATE),
        missing=not_half_an_update,
    ),
    Operation(
        name="update.install.aborted",
        title="update the firmware with an updater that is killed on the way",
        arrange=arrange,
        act=_install_with_breaks,
        worlds=_worlds,
        items=(RUNS, COPIES, FILES, ACCEPTS),
        cost=Cost(touches=2, seconds=60.0, irreversible=ONE_UPDATE),
        missing=not_an_update,
    ),
    Operation(
        name="update.refused",
        title="offer firmware that must be refused",
        arrange=arrange,
        act=_offer_what_must_be_refused,
        worlds=_unchanged,
        items=(RUNS, COPIES, ACCEPTS),
        cost=Cost(touches=1, seconds=10.0, irreversible=ONE_UPDATE),
        missing=_no_bootloader,
    ),
)
