"""What the host knows of an update, and the items that show what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.api import ANY, Item, Law, Look, Memory, Outcome, Rig, Value, glass_box
from harness_fido2.client import Fido, fido_memory
from harness_nitrokey3 import bootloader_probe, containers, images, signing
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.sdk import open_nk3
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.twin.dfu_settings import TWO_COPIES, copies

NOT_TOLD = "not told"
"""The value of what shows inside a twin alone, on every other rig."""
STEPS = ("1.8.3", "1.9.0")
"""The versions that a key is updated to: the next one of these, so that first boots have something to do."""


DELETED: dict[str, Value] = {
    "fido2.pin_set": False,
    "fido2.pin": "none",
    "fido2.pin_retries": ANY,
    "fido2.resident_credentials": (),
    "fido2.hmac_secret": (),
    "fido2.cred_protect": "absent",
    "fido2.fillers": ANY,
    "fido2.non_resident_credential": "absent",
    "fido2.u2f_handle": ANY,
    "fido2.sign_count": ANY,
}
"""What is to be seen where an update deletes the user's data; what the factory put there stays."""


@dataclass
class UpdateMemory:
    """What the host knows of an update.

    :ivar ours: the version before the update. :ivar wanted: the version after it. Both without "v".
    :ivar uuid: UUID of the key that is updated; no other key is.
    :ivar brought: items that the version before does not tell, and what they may be after it.
    """

    ours: str = ""
    wanted: str = ""
    uuid: int | None = None
    container: bytes = b""
    brought: dict[str, Value] = field(default_factory=dict)
    was: dict[str, Value] = field(default_factory=dict)
    """What was seen before the update, where the operation begins in the middle of one."""
    files: frozenset[str] = frozenset()
    """Digests of the files that the update has to keep, counted inside a twin."""
    takes: str = ""
    """What a sound bootloader takes, as it can be asked on this rig: see `_takes`."""


def update_memory(memory: Memory) -> UpdateMemory:
    return memory.part("update", UpdateMemory)


def next_version(ours: str) -> str:
    """Return the version that a key with `ours` is updated to by default."""
    number = number_of(ours)
    higher = [step for step in STEPS if number_of(step) > number]
    return higher[0] if higher else text_of(number + 1)


def container_for(rig: Rig, ours: str) -> Container:
    """Return the container to install: the one that the caller named, or a test container."""
    if rig.firmware_file is not None:
        return containers.read(rig.firmware_file)
    return containers.make(signing.seed_of(rig), Recipe(next_version(ours)))


def untold(rig: Rig) -> dict[str, Value]:
    """Values that a new feature may have after the update that brings it. A feature that was there keeps its state."""
    device = open_nk3(rig)
    untold: dict[str, Value] = {}
    if Fido(rig).info.options.get("alwaysUv") is None:
        untold["fido2.always_uv"] = ANY
    if device.uuid() is None:
        untold["admin.uuid"] = ANY
    if device.admin.status().init_status is None:
        untold |= {"admin.status": "ok", "admin.status_after_replug": "ok"}
    return untold


REWRITTEN = ("fido/sec/state", "admin/layout")
"""Files that a key writes anew while it is used, or while it is updated."""


def kept_files(rig: Rig, ours: str) -> frozenset[str]:
    """Return the digests of all files that an update from this version keeps; none where nobody can see them."""
    glass = glass_box(rig)
    if glass is None or deletes(ours):
        return frozenset()
    return frozenset(digest for path, digest in glass.files().items() if not path.endswith(REWRITTEN))


def deleted(memory: Memory) -> dict[str, Value]:
    """Return what is to be seen after an update, where it deletes the user's data; empty where it keeps them."""
    if not deletes(update_memory(memory).ours):
        return {}
    # Only an aged home has the accounts of the order, and asks for it.
    return {**DELETED, "fido2.order": ()} if fido_memory(memory).accounts else DELETED


def deletes(ours: str) -> bool:
    """Tell whether an update from this version deletes the user's data. (The vendor's manual: 1.0.0 and below.)"""
    return number_of(ours) <= number_of("1.0.0")


def _runs(look: Look) -> Value:
    """The face that the key shows, and in the application its version."""
    if look.rig.face != "application":
        return look.rig.face
    return f"application {open_nk3(look.rig).admin.version()}"


def _accepts(look: Look) -> Value:
    mine = update_memory(look.memory)
    ours, wanted = images.core(mine.ours), images.core(mine.wanted)
    if glass_box(look.rig) is None:
        # Nothing that might be taken is offered to a key that cannot be copied.
        return bootloader_probe.foreign(look.rig, ours, wanted) or bootloader_probe.SIGNED
    return bootloader_probe.accepts(look.rig, ours, wanted)


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


def _inside(value: str) -> Callable[[Memory], Value]:
    """The value of an item that is seen inside a twin alone. A key without an inside is asked for no more."""
    return lambda memory: NOT_TOLD if update_memory(memory).takes else value


def _copies(look: Look) -> Value:
    glass = glass_box(look.rig)
    return copies(glass.snapshot().chips["settings"].pages) if glass else NOT_TOLD


COPIES = Item(
    "update.settings_copies",
    Law.KEPT,
    _copies,
    "the bootloader's settings, after a boot,",
    face="",
    sound=_inside(TWO_COPIES),
)


def _files(look: Look) -> Value:
    """Whether each file of before is still there, whole, under whatever name."""
    glass, had = glass_box(look.rig), update_memory(look.memory).files
    if glass is None:
        return NOT_TOLD
    gone = len(had - set(glass.files().values()))
    return f"{gone} of {len(had)} files are gone or changed" if gone else ALL_FILES


ALL_FILES = "all there"
FILES = Item(
    "update.files",
    Law.KEPT,
    _files,
    "the files of before the update",
    sound=_inside(ALL_FILES),
    owner_changes=True,
)
