"""The bootloader's settings: what it knows of the application, in a flash page with a backup.

Fields as Nordic's nRF5 secure DFU keeps them (version floor, bank 0, boot validation), each copy under a
checksum. They are replaced one copy after the other, the backup last, so that at every instant at least one
copy is whole: a cut leaves the old settings or the new ones.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from harness.api import Flash, Part, PowerLost

SETTINGS = Part("nrf52840 settings", 4096, 2, 4, 41, 85_000, 10_000)
"""Page 0 is the settings page (0xFF000), page 1 its backup (0xFE000)."""
MAIN, BACKUP = 0, 1

NO_IMAGE, VALID_IMAGE = 0, 1
NO_VALIDATION, BY_CRC, BY_HASH, BY_SIGNATURE = 0, 1, 2, 3

_SHAPE = struct.Struct("<9I64s")
_VERSION = 2
TWO_COPIES = "two whole copies"
CLOSED = 0xFFFFFFFF
"""A version floor that nothing reaches."""


@dataclass(frozen=True)
class DfuSettings:
    """One copy of the settings.

    :ivar app_version: no application below this version is accepted.
    :ivar bank: VALID_IMAGE when the application may be started.
    :ivar size: of the application in bytes. :ivar crc: its CRC-32.
    :ivar validation: how it is checked at boot; `signature` is over the whole image.
    :ivar pending: the version that the next update makes the floor (used by a defect only).
    """

    app_version: int = 0
    bank: int = NO_IMAGE
    size: int = 0
    crc: int = 0
    validation: int = NO_VALIDATION
    signature: bytes = bytes(64)
    pending: int = 0

    def encode(self) -> bytes:
        body = _SHAPE.pack(
            _VERSION,
            self.app_version,
            1,
            0,
            self.size,
            self.crc,
            self.bank,
            self.validation,
            self.pending,
            self.signature,
        )
        return zlib.crc32(body).to_bytes(4, "little") + body


def decode(page: bytes) -> DfuSettings | None:
    """Decode a page; None if it is not a whole copy."""
    crc, body = page[:4], page[4 : 4 + _SHAPE.size]
    if zlib.crc32(body).to_bytes(4, "little") != crc:
        return None
    version, app, _, _, size, image_crc, bank, validation, pending, signature = _SHAPE.unpack(body)
    if version != _VERSION:
        return None
    return DfuSettings(app, bank, size, image_crc, validation, signature, pending)


def load(
    flash: Flash, opens_door: bool = False, leaves_backup: bool = False, repairs_both: bool = False
) -> DfuSettings:
    """Load the settings at boot; a copy that is damaged or differs is written again.

    With both copies unreadable there is no application, and no image is accepted. No power cut leads there.

    :param opens_door: the defect that then begins with version 0.
    :param leaves_backup: the defect that never renews the backup.
    :param repairs_both: the defect that writes both copies anew if one is damaged, erasing both first.
    :raises PowerLost: the power failed meanwhile.
    """
    main, backup = decode(flash.pages[MAIN]), decode(flash.pages[BACKUP])
    if main is None and backup is None:
        return DfuSettings(app_version=0 if opens_door else CLOSED)
    if repairs_both and None in (main, backup):
        found = main or backup
        assert found is not None
        store(flash, found, both_at_once=True)
        return found
    if main is None:
        assert backup is not None
        _write(flash, MAIN, backup)
        return backup
    if backup != main and not leaves_backup:
        _write(flash, BACKUP, main)
    return main


def store(
    flash: Flash, settings: DfuSettings, both_at_once: bool = False, without_backup: bool = False
) -> None:
    """Replace the settings, the backup last.

    :param without_backup: the defect that leaves the backup as it is.
    :param both_at_once: the defect that erases both copies before it writes one.
    :raises PowerLost: the power failed meanwhile.
    """
    if both_at_once:
        for page in (MAIN, BACKUP):
            _done(flash.erase(page))
        for page in (MAIN, BACKUP):
            _done(flash.program(page * flash.part.page_size, settings.encode()))
        return
    _write(flash, MAIN, settings)
    if not without_backup:
        _write(flash, BACKUP, settings)


def copies(pages: Sequence[bytes]) -> str:
    """Describe the copies in the two pages: after each boot both are whole and alike."""
    main, backup = (decode(page) for page in pages)
    if main is None or backup is None:
        return f"{sum(one is not None for one in (main, backup))} whole copies"
    return TWO_COPIES if main == backup else "two copies that differ"


def _write(flash: Flash, page: int, settings: DfuSettings) -> None:
    _done(flash.erase(page))
    _done(flash.program(page * flash.part.page_size, settings.encode()))


def _done(done: bool) -> None:
    if not done:
        raise PowerLost
