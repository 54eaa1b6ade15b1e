"""Move the data of an older firmware, at the first boot of a newer one.

Two moves, each to be cut at any instant and done again (invariant U7):

    the layer     up to 1.2.2 the file system had no journal pages in front of it; everything is copied to a
                  spare area of the external flash, and from there into a new file system behind the journal
    the layout    up to 1.8.1 resident credentials lay elsewhere; they are renamed, and then that is noted
                  (layout 0 is 1.0.0's, of which nothing is kept but what the factory put there)

The moves as read in nitrokey-3-firmware b9ec0bdc: boards/src/nk3am/migrations/ftl_journal and
apps/src/migrations.rs. Unlike that, a sound firmware looks for a copy that is whole before it mounts anything,
and goes on from there.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from harness.api import Damaged, Flash, Part, PowerLost, Store, StoreDamaged, StoreFull, cbor, records
from harness_fido2.twin import attestation, persistent_state
from harness_fido2.twin.features import INTERNAL

if TYPE_CHECKING:
    from harness.api import Platform

SPARE = Part("gd25q16 spare", 4096, 32, 256, 500, 45_000, 100_000)
"""The 128 KiB of the external flash that its file system leaves alone."""
MIGRATION_ERROR = 0x08
"""The init status bit (nitrokey SDK, admin_app.InitStatus)."""
LAYOUT_PATH = "admin/layout"
CREDENTIALS = {1: "fido/dat", 2: "fido/rk"}
"""Where resident credentials lie, by layout."""
OLD_LAYER = "unjournaled"

_HEAD = struct.Struct("<4sII")
_MAGIC = b"KHBK"
_PROGRAM = 256


def credentials_at(layout: int) -> str:
    return CREDENTIALS[max(1, layout)]


# The layout


def layout_of(store: Store) -> int:
    """:raises Damaged: it cannot be read."""
    noted = records.read(store, LAYOUT_PATH)
    return int(noted[1]) if noted else 1


def note_layout(store: Store, layout: int) -> None:
    """Write down a layout. Without a note the layout is 1."""
    if layout != 1:
        store.write(LAYOUT_PATH, records.seal({1: layout}))


def move_files(platform: Platform, wanted: int) -> bool:
    """Move the files to the layout of the firmware that boots. Returns False if that failed."""
    store = platform.store(INTERNAL)
    try:
        try:
            _move(platform, store, wanted)
        except StoreFull:
            # After renames by the dozen littlefs may find no free block where there are many, until it is mounted anew.
            store.mount()
            _move(platform, store, wanted)
    except (Damaged, StoreDamaged, StoreFull):
        return False
    return True


def _move(platform: Platform, store: Store, wanted: int) -> None:
    """Go on with the move from wherever it stands."""
    found = layout_of(store)
    if found >= wanted:
        return
    marked_first = "migration-not-idempotent" in platform.defects
    if marked_first:
        note_layout(store, wanted)
    if found == 0:
        _forget(platform)
    _rename(store, credentials_at(found), credentials_at(wanted))
    if "certificate-moved" in platform.defects:
        _move_certificate(store)
    if not marked_first:
        store.write(LAYOUT_PATH, records.seal({1: wanted}))


def _rename(store: Store, old: str, new: str) -> None:
    if old == new:
        return
    store.make_directory(new)
    for name in store.names(old):
        store.rename(f"{old}/{name}", f"{new}/{name}")


def _move_certificate(store: Store) -> None:
    """Move the certificate as a defect does: delete the old file, then write the new one."""
    certificate = store.read(attestation.CERTIFICATE_PATH)
    if certificate:
        store.remove(attestation.CERTIFICATE_PATH)
        store.write(attestation.CERTIFICATE_PATH, certificate)


def _forget(platform: Platform) -> None:
    """Delete the user's data, as an update from 1.0.0 does. Can be repeated after a cut at any point."""
    for path in CREDENTIALS.values():
        for name in platform.store(INTERNAL).names(path):
            platform.store(INTERNAL).remove(f"{path}/{name}")
    persistent_state.initialise(platform)


# The layer


def has_copy(spare: Flash) -> bool:
    """Tell whether a whole copy of all files exists."""
    return _copied(spare) is not None


def copy_files(store: Store, spare: Flash) -> None:
    """Copy every file to the spare area. The head, which makes the copy valid, is written last."""
    body = cbor.encode([[path, data] for path, data in _walk(store, "")])
    size = spare.part.page_size
    if _HEAD.size + len(body) > spare.part.size:
        raise StoreFull
    for page in range(-(-(_PROGRAM + len(body)) // size)):
        _done(spare.erase(page))
    for at in range(0, len(body), _PROGRAM):
        _done(spare.program(_PROGRAM + at, body[at : at + _PROGRAM]))
    _done(spare.program(0, _HEAD.pack(_MAGIC, len(body), zlib.crc32(body))))


def restore_files(store: Store, spare: Flash) -> None:
    """Make a new file system from the copy, and mount it."""
    body = _copied(spare)
    assert body is not None
    store.format()
    store.mount()
    for path, data in cbor.decode(body):
        if data is None:
            store.make_directory(path)
        else:
            store.write(path, data)


def drop_copy(spare: Flash) -> None:
    """Erase the head, so that the copy is not valid any more."""
    _done(spare.erase(0))


def _copied(spare: Flash) -> bytes | None:
    magic, size, crc = _HEAD.unpack_from(spare.pages[0])
    if magic != _MAGIC or size > spare.part.size - _PROGRAM:
        return None
    body = spare.read(_PROGRAM, size)
    return body if zlib.crc32(body) == crc else None


def _walk(store: Store, path: str) -> list[tuple[str, bytes | None]]:
    """Every directory (without content) and file below a path, directories before what is in them."""
    found: list[tuple[str, bytes | None]] = []
    for name in store.names(path or "/"):
        here = f"{path}/{name}" if path else name
        try:
            found.append((here, store.read(here)))
        except StoreDamaged:
            # littlefs does not open a directory as a file; what is neither raises again in there.
            found.append((here, None))
            found += _walk(store, here)
    return found


def _done(done: bool) -> None:
    if not done:
        raise PowerLost
