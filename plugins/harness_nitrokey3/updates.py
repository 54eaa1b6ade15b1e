"""The firmware update as a thing that writes, and the worlds that it may leave (facts/keys.md U1..U8)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from harness.key import (
    ANY,
    Application,
    Cost,
    Item,
    Law,
    Look,
    Memory,
    Operation,
    Outcome,
    Value,
    World,
    new,
    old,
)
from harness.rig import KeyGone, Rig
from harness_fido2.client import Fido
from harness_nitrokey3 import containers, door, images, signing
from harness_nitrokey3.admin import identify
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.update import Refusal, update

STEPS = ("1.8.3", "1.9.0")
"""The versions that a key is updated to: the next one of these, so that first boots have something to do."""


DELETED: dict[str, Value] = {
    "fido2.pin_set": False,
    "fido2.pin": "none",
    "fido2.pin_retries": ANY,
    "fido2.resident_credentials": (),
    "fido2.non_resident_credential": "absent",
    "fido2.u2f_handle": ANY,
    "fido2.sign_count": ANY,
}
"""What is to be seen where an update deletes the user's data; what the factory put there stays."""


@dataclass
class UpdateMemory:
    """What the host knows of an update.

    :ivar ours: the version before it. :ivar wanted: and after it, both without "v".
    :ivar uuid: of the key that is updated, and no other.
    :ivar brought: items that the version before does not tell, and what they may be after it.
    """

    ours: str = ""
    wanted: str = ""
    uuid: int | None = None
    container: bytes = b""
    brought: dict[str, Value] = field(default_factory=dict)


def update_memory(memory: Memory) -> UpdateMemory:
    return memory.part("update", UpdateMemory)


def next_version(ours: str) -> str:
    """The version that a key with `ours` is updated to if nobody says otherwise."""
    number = number_of(ours)
    higher = [step for step in STEPS if number_of(step) > number]
    return higher[0] if higher else text_of(number + 1)


def container_for(rig: Rig, ours: str) -> Container:
    """What is installed: the container that was asked for, or one of ours."""
    if rig.firmware_file is not None:
        return containers.read(rig.firmware_file)
    return containers.make(signing.seed_of(rig), Recipe(next_version(ours)))


def _arrange(rig: Rig, memory: Memory) -> None:
    mine = update_memory(memory)
    known = identify(rig)
    mine.ours = known["firmware"].removeprefix("v")
    mine.uuid = int(known["uuid"], 16) if known["uuid"] else None
    mine.brought = _untold(rig)
    container = container_for(rig, mine.ours)
    mine.wanted, mine.container = container.version.removeprefix("v"), container.data


def _untold(rig: Rig) -> dict[str, Value]:
    """What a version that brings a feature with it may bring it in; one that has it keeps its state."""
    device = open_nk3(rig)
    untold: dict[str, Value] = {}
    if Fido(rig).info.options.get("alwaysUv") is None:
        untold["fido2.always_uv"] = ANY
    if device.uuid() is None:
        untold["admin.uuid"] = ANY
    if device.admin.status().init_status is None:
        untold |= {"admin.status": "ok", "admin.status_after_replug": "ok"}
    return untold


def deletes(ours: str) -> bool:
    """Does an update from this version delete the user's data? (The vendor's manual: 1.0.0 and below.)"""
    return number_of(ours) <= number_of("1.0.0")


def _install(rig: Rig, memory: Memory) -> None:
    mine = update_memory(memory)
    update(rig, mine.container, uuid=mine.uuid)


def _complete(rig: Rig, memory: Memory) -> None:
    """Run the same container again from the bootloader; what that leads to is looked at afterwards."""
    with suppress(Refusal, KeyGone):
        _install(rig, memory)


def _values(version: str, door_open_from: str) -> dict[str, Value]:
    return {
        "update.runs": f"application v{version}",
        "admin.version": f"v{version}",
        "update.accepts": f"v{door_open_from} and later, signed",
    }


def _worlds(before: Memory, after: Memory) -> list[World]:
    mine = update_memory(before)
    changed = mine.brought | (DELETED if deletes(mine.ours) else {})
    from_on, wanted_on = (images.core(version) for version in (mine.ours, mine.wanted))
    return [
        old(_values(mine.ours, from_on)),
        World(
            "bootloader",
            Outcome.BOOTLOADER,
            {"update.runs": "bootloader", "update.accepts": f"v{from_on} and later, signed"},
            _complete,
        ),
        new({**_values(mine.wanted, wanted_on), **changed}),
    ]


def _runs(look: Look) -> Value:
    """Which face the key shows, and in the application which version says so."""
    if look.rig.face != "application":
        return look.rig.face
    return f"application {open_nk3(look.rig).admin.version()}"


def _accepts(look: Look) -> Value:
    mine = update_memory(look.memory)
    return door.accepts(look.rig, images.core(mine.ours), images.core(mine.wanted))


RUNS = Item("update.runs", Law.ATOMIC, _runs, "what runs", face="")
ACCEPTS = Item(
    "update.accepts",
    Law.KEPT,
    _accepts,
    "what the bootloader takes",
    spends=frozenset({"firmware"}),
    after_replug=True,
    face="",
    breach=Outcome.LOOSENED,
)


def _offer_what_must_be_refused(rig: Rig, memory: Memory) -> None:
    """An older image of ours, and somebody else's of this version and of a later one, whole as they come."""
    mine = update_memory(memory)
    seed = signing.seed_of(rig)
    ours = images.core(mine.ours)
    door.enter_bootloader(rig)
    recipes = (
        Recipe(door.older(ours)),
        Recipe(ours, signer=door.FOREIGN),
        Recipe(images.core(mine.wanted), signer=door.FOREIGN),
    )
    offered = [images.make(recipe, seed) for recipe in recipes]
    asked_for = container_for(rig, mine.ours).image
    if asked_for.number < number_of(ours):
        offered.append(asked_for)
    for image in offered:
        rig.wait_until_up()
        if rig.face != "bootloader":
            # One was installed: what runs tells the rest.
            return
        door.offer(rig, image, whole=True)


def _unchanged(before: Memory, after: Memory) -> list[World]:
    mine = update_memory(before)
    values = _values(mine.ours, images.core(mine.ours))
    return [old(values), new(values)]


def _not_granted(rig: Rig) -> str | None:
    if rig.glass is None:
        return "an update cannot be taken back: it has to be granted, which this rig's bench cannot yet say"
    return None


def _not_an_update(rig: Rig) -> str | None:
    if (why := _not_granted(rig)) is not None:
        return why
    ours = identify(rig)["firmware"].removeprefix("v")
    if container_for(rig, ours).image.number < number_of(ours):
        return f"the container is older than v{ours}: update.refused offers it"
    return None


def _nothing(rig: Rig, memory: Memory) -> None:
    """Updates have no canaries of their own: those of the applications are what must survive."""


OPERATIONS = (
    Operation(
        name="update.install",
        title="update the firmware",
        arrange=_arrange,
        act=_install,
        worlds=_worlds,
        items=(RUNS, ACCEPTS),
        cost=Cost(touches=1, seconds=30.0),
        missing=_not_an_update,
    ),
    Operation(
        name="update.refused",
        title="offer firmware that must be refused",
        arrange=_arrange,
        act=_offer_what_must_be_refused,
        worlds=_unchanged,
        items=(RUNS, ACCEPTS),
        cost=Cost(touches=1, seconds=10.0),
        missing=_not_granted,
    ),
)

UPDATE = Application("update", "Firmware update", _nothing, OPERATIONS, ())
