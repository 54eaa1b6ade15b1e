"""Records on flash: canonical CBOR with a checksum, so that damage is seen and never believed."""

from __future__ import annotations

import zlib
from typing import Any

from harness.twin.littlefs_store import Store, StoreDamaged
from harness_fido2.twin import cbor


class Damaged(Exception):
    """A record is there and cannot be read."""


def seal(content: dict[int, Any]) -> bytes:
    body = cbor.encode(content)
    return body + zlib.crc32(body).to_bytes(4, "big")


def unseal(data: bytes) -> dict[int, Any]:
    """:raises Damaged: the checksum does not match."""
    body, crc = data[:-4], data[-4:]
    if len(crc) < 4 or zlib.crc32(body).to_bytes(4, "big") != crc:
        raise Damaged
    content = cbor.decode(body)
    if not isinstance(content, dict):
        raise Damaged
    return content


def read(store: Store, path: str) -> dict[int, Any] | None:
    """The record in a file; None if there is no file, or only an empty one.

    littlefs commits an empty file when it creates one, so an empty file is a write that never happened.

    :raises Damaged: it is there and cannot be read.
    """
    try:
        data = store.read(path)
    except StoreDamaged:
        raise Damaged from None
    return unseal(data) if data else None
