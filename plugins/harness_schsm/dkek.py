"""Device key encryption keys (DKEK): shares, check values, and the blobs in which keys travel between devices.

    DKEK        the exclusive-or of all shares
    KCV         SHA-256(DKEK), the first 8 bytes
    blob        KCV, a byte for the kind, four fields (2-byte length, value): algorithm, allowed algorithms, access
                conditions, key OID; then AES-256-CBC under SHA-256(DKEK, 00000001) of 8 random bytes, a number of 2
                bytes and the key's fields, padded with 80 00..; then AES-CMAC under SHA-256(DKEK, 00000002) over all

Source: OpenSC 14c80b0 (sc-hsm-tool.c) and pico-hsm 8838047.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import reduce

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

SHARE_SIZE, KCV_SIZE, MAC_SIZE = 32, 8, 16
RSA, RSA_CRT, EC, AES = 5, 6, 12, 15
OIDS = {
    RSA: bytes.fromhex("04007F00070202020102"),
    RSA_CRT: bytes.fromhex("04007F00070202020102"),
    EC: bytes.fromhex("04007F00070202020203"),
    AES: bytes.fromhex("6086480165030401"),
}


class BadBlob(ValueError):
    """A blob that is damaged, or was made under another DKEK."""


def combined(*shares: bytes) -> bytes:
    """Return the DKEK that shares of 32 bytes make."""
    whole = reduce(lambda left, right: left ^ right, (int.from_bytes(share, "big") for share in shares), 0)
    return whole.to_bytes(SHARE_SIZE, "big")


def check_value(dkek: bytes) -> bytes:
    """Return the KCV of a DKEK."""
    return hashlib.sha256(dkek).digest()[:KCV_SIZE]


def _derived(dkek: bytes, number: int) -> bytes:
    return hashlib.sha256(dkek + number.to_bytes(4, "big")).digest()


def _mac(dkek: bytes, message: bytes) -> bytes:
    mac = CMAC(algorithms.AES(_derived(dkek, 2)))
    mac.update(message)
    return mac.finalize()


def _cipher(dkek: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(_derived(dkek, 1)), modes.CBC(bytes(16)))


def _field(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _read_fields(data: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Read a number of fields; return them and the rest.

    :raises BadBlob: they are cut off.
    """
    found = []
    for _ in range(count):
        size = int.from_bytes(data[:2], "big")
        if len(data) < 2 + size:
            raise BadBlob("a field is cut off")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found, data


@dataclass(frozen=True)
class Contents:
    """What a blob holds.

    :ivar size: bits of the key; of an AES key, bytes.
    :ivar parts: RSA: d, n, e; RSA with CRT: dp, dq, p, 1/q, q, n, e; EC: a, b, prime, order, G, d, Q; AES: the key.
    :ivar algorithms: allowed algorithms; empty is all.
    """

    kind: int
    size: int
    parts: tuple[bytes, ...]
    algorithms: bytes = b""


def wrapped(dkek: bytes, contents: Contents, random: bytes) -> bytes:
    """Make a blob.

    :param random: 8 bytes.
    """
    head = check_value(dkek) + bytes([contents.kind])
    head += b"".join(map(_field, (OIDS[contents.kind], contents.algorithms, b"", b"")))
    inner = random + contents.size.to_bytes(2, "big")
    inner += contents.parts[0] if contents.kind == AES else b"".join(map(_field, contents.parts))
    inner += b"\x80"
    inner += bytes(-len(inner) % 16)
    worker = _cipher(dkek).encryptor()
    body = head + worker.update(inner) + worker.finalize()
    return body + _mac(dkek, body)


def unwrapped(dkek: bytes, blob: bytes, *, checked: bool = True) -> Contents:
    """Open a blob.

    :param checked: False takes it whatever its check value and its checksum are; only defects do.
    :raises BadBlob: it is damaged, or made under another DKEK.
    """
    if checked and blob[:KCV_SIZE] != check_value(dkek):
        raise BadBlob("made under another DKEK")
    body, mac = blob[:-MAC_SIZE], blob[-MAC_SIZE:]
    if checked and not hmac.compare_digest(_mac(dkek, body), mac):
        raise BadBlob("its checksum does not fit")
    kind = body[KCV_SIZE]
    (_, allowed, _, _), cipher = _read_fields(body[KCV_SIZE + 1 :], 4)
    if kind not in OIDS or len(cipher) % 16 or not cipher:
        raise BadBlob(f"kind {kind}")
    worker = _cipher(dkek).decryptor()
    inner = worker.update(cipher) + worker.finalize()
    # The fields say how long they are; what follows is padding, or nothing where none was needed.
    size, rest = int.from_bytes(inner[8:10], "big"), inner[10:]
    if kind == AES:
        return Contents(kind, size, (rest[:size],), allowed)
    parts, _ = _read_fields(rest, {RSA: 3, RSA_CRT: 7, EC: 7}[kind])
    return Contents(kind, size, tuple(parts), allowed)
