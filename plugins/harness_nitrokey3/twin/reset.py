"""Boot after a reset: the bootloader reads its settings, and starts the application if it is valid.

The version in flash decides which personality runs.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.api import TwinOptions
from harness_nitrokey3 import images, signing
from harness_nitrokey3.twin import boot, dfu_image, dfu_settings
from harness_nitrokey3.twin.bootloader import STAY, Bootloader
from harness_nitrokey3.twin.dfu_settings import BY_SIGNATURE, VALID_IMAGE, DfuSettings
from harness_nitrokey3.twin.init_packet import Door
from harness_nitrokey3.twin.personality import running

if TYPE_CHECKING:
    from harness.api import Board
    from harness_nitrokey3.twin.card import KeyFirmware

LOADER_US = 15_000


@dataclass(frozen=True)
class Device:
    """Properties of a device that do not change with its firmware.

    :ivar options: the personality that the key left the factory with, and its defects.
    """

    options: TwinOptions
    uuid: bytes
    door: Door


def device(options: TwinOptions, uuid: bytes, seed: bytes) -> Device:
    return Device(options, uuid, Door(signing.trusted(seed), frozenset(options.defects)))


def start(board: Board, what: Device) -> KeyFirmware | Bootloader:
    """Start the bootloader or the application.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: the application stops with a panic.
    """
    board.rail.after_op = None
    board.clock.wait_us(LOADER_US)
    board.rail.check()
    defects = what.door.defects
    settings = dfu_settings.load(
        board.flash["settings"],
        "settings-lost-open" in defects,
        "backup-left-behind" in defects,
        "settings-repaired-both" in defects,
    )
    stay, board.retained = board.retained == STAY, 0
    starts = settings.bank == VALID_IMAGE if "boot-unchecked" in defects else None
    if stay or not (starts or dfu_image.is_valid(board.flash["app"], settings, what.door.keys)):
        return Bootloader(board, settings, what.door, what.uuid.hex())
    version = dfu_image.version(board.flash["app"], settings)
    return boot.start(board, running(what.options, version), what.uuid)


@lru_cache(maxsize=64)
def factory_pages(version: str, seed: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """The pages of the application that a key leaves the factory with, and its settings page."""
    image = images.make(images.Recipe(version), seed)
    size = dfu_image.APPLICATION.page_size
    pages = tuple(image.bin[at : at + size].ljust(size, b"\xff") for at in range(0, len(image.bin), size))
    blank = DfuSettings(image.number, VALID_IMAGE, len(image.bin), zlib.crc32(image.bin))
    key = signing.private_key(seed)
    settings = replace(blank, validation=BY_SIGNATURE, signature=signing.sign(key, image.bin))
    return pages, settings.encode().ljust(size, b"\xff")
