"""authenticatorLargeBlobs (CTAP 2.1, section 6.10), on the external flash.

The array is one file: the epoch it was written in, and the array. It is collected in RAM and written in one
commit once its hash is right, so a cut leaves the old one or the new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.api import StoreDamaged, StoreFull
from harness_fido2.twin import crypto
from harness_fido2.twin.context import Context, Members, Result
from harness_fido2.twin.features import EXTERNAL, MESSAGE_MAX
from harness_fido2.twin.parameters import optional
from harness_fido2.twin.pinproto import Permission
from harness_fido2.twin.status import Status, StatusError

PATH = "large-blobs"
EMPTY = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")
"""The initial array: an empty list and the start of its SHA-256 (section 6.10)."""
FRAGMENT_MAX = MESSAGE_MAX - 64
LENGTH_MIN = 17
_HASH_SIZE = 16


@dataclass
class Pending:
    """An array that is being received. Any other command drops it."""

    length: int
    data: bytes = b""


def large_blobs(app: Context, members: Members) -> Result:
    """:raises StatusError: what section 6.10 says."""
    if not app.features.large_blobs:
        raise StatusError(Status.INVALID_COMMAND)
    get, offset, length, version = (optional(members, key, int) for key in (0x01, 0x03, 0x04, 0x06))
    fragment, parameter = (optional(members, key, bytes) for key in (0x02, 0x05))
    if offset is None or (get is None) == (fragment is None):
        raise StatusError(Status.INVALID_PARAMETER)
    if fragment is not None:
        _set(app, fragment, offset, length, version, parameter)
        return None
    assert get is not None
    if length is not None or parameter is not None or version is not None:
        raise StatusError(Status.INVALID_PARAMETER)
    if get > FRAGMENT_MAX:
        raise StatusError(Status.INVALID_LENGTH)
    array = read(app)
    if offset > len(array):
        raise StatusError(Status.INVALID_PARAMETER)
    return {0x01: array[offset : offset + get]}
    yield


def read(app: Context) -> bytes:
    """Read the stored array; the initial one if none of this epoch is stored.

    :raises StatusError: INTEGRITY_FAILURE, it cannot be read, which is not the same as an empty array.
    """
    try:
        data = app.platform.store(EXTERNAL).read(PATH) or b""
    except StoreDamaged:
        if "external-store-made-anew" in app.platform.defects:
            return EMPTY
        raise StatusError(Status.INTEGRITY_FAILURE) from None
    epoch = app.persistent.state.epoch
    return data[len(epoch) :] if data.startswith(epoch) else EMPTY


def sweep(app: Context) -> None:
    """Remove an array of another epoch."""
    try:
        data = app.platform.store(EXTERNAL).read(PATH)
    except StoreDamaged:
        data = b""
    if data is not None and not data.startswith(app.persistent.state.epoch):
        try:
            app.platform.store(EXTERNAL).remove(PATH)
        except StoreDamaged:
            # It belongs to an epoch that is over, so it is not there for anybody; the next sweep removes it.
            return


def _set(
    app: Context,
    fragment: bytes,
    offset: int,
    length: int | None,
    version: int | None,
    parameter: bytes | None,
) -> None:
    if len(fragment) > FRAGMENT_MAX:
        raise StatusError(Status.INVALID_LENGTH)
    if offset == 0:
        if length is None:
            raise StatusError(Status.INVALID_PARAMETER)
        if length > app.features.large_blobs:
            raise StatusError(Status.LARGE_BLOB_STORAGE_FULL)
        if length < LENGTH_MIN:
            raise StatusError(Status.INVALID_PARAMETER)
        pending = Pending(length)
    else:
        if length is not None:
            raise StatusError(Status.INVALID_PARAMETER)
        if not isinstance(app.pending, Pending) or offset != len(app.pending.data):
            raise StatusError(Status.INVALID_SEQ)
        pending = app.pending
    _authorise(app, fragment, offset, version, parameter)
    if offset + len(fragment) > pending.length:
        raise StatusError(Status.INVALID_PARAMETER)
    pending.data += fragment
    app.pending = pending
    if len(pending.data) < pending.length:
        return
    app.pending = None
    if crypto.sha256(pending.data[:-_HASH_SIZE])[:_HASH_SIZE] != pending.data[-_HASH_SIZE:]:
        raise StatusError(Status.INTEGRITY_FAILURE)
    store = app.platform.store(EXTERNAL)
    write = store.write_in_place if "blobs-in-place" in app.platform.defects else store.write
    try:
        write(PATH, app.persistent.state.epoch + pending.data)
    except StoreFull:
        raise StatusError(Status.LARGE_BLOB_STORAGE_FULL) from None


def _authorise(
    app: Context, fragment: bytes, offset: int, version: int | None, parameter: bytes | None
) -> None:
    """Step 5e: where the user can be verified, the token must allow it."""
    state = app.persistent.state
    if state.pin_hash is None and not state.always_uv:
        return
    if parameter is None:
        raise StatusError(Status.PUAT_REQUIRED)
    if version is None:
        raise StatusError(Status.MISSING_PARAMETER)
    message = b"\xff" * 32 + b"\x0c\x00" + offset.to_bytes(4, "little") + crypto.sha256(fragment)
    app.authorised(version, message, parameter, Permission.LARGE_BLOB_WRITE)
