"""Checksummed records in files: canonical CBOR and a CRC-32, so that damage is detected and never believed."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

from harness.twin import cbor
from harness.twin.littlefs_store import StoreDamaged


class Readable(Protocol):
    """A store, or what stands before several."""

    def read(self, path: str) -> bytes | None: ...


class Damaged(Exception):
    """A record exists and cannot be read."""


def seal(content: dict[int, Any]) -> bytes:
    """Encode a map with integer keys: canonical CBOR, then its CRC-32 as four big-endian bytes."""
    body = cbor.encode(content)
    return body + zlib.crc32(body).to_bytes(4, "big")


def unseal(data: bytes) -> dict[int, Any]:
    """Check and decode what `seal` made.

    :raises Damaged: the checksum does not match, or the content is no map.
    """
    body, crc = data[:-4], data[-4:]
    if len(crc) < 4 or zlib.crc32(body).to_bytes(4, "big") != crc:
        raise Damaged
    content = cbor.decode(body)
    if not isinstance(content, dict):
        raise Damaged
    return content


def read(store: Readable, path: str) -> dict[int, Any] | None:
    """Read the record in a file; None if there is no file, or only an empty one.

    littlefs commits an empty file when it creates one, so an empty file is a write that never happened.

    :raises Damaged: the record exists and cannot be read.
    """
    try:
        data = store.read(path)
    except StoreDamaged:
        raise Damaged from None
    return unseal(data) if data else None
