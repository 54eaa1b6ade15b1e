"""The application in flash: where it lies, whether it may be started, and which version it is."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from harness.api import Flash, Part
from harness_nitrokey3.twin.dfu_settings import BY_CRC, BY_HASH, BY_SIGNATURE, VALID_IMAGE, DfuSettings

APPLICATION = Part("nrf52840 application", 4096, 0xD7, 4, 41, 85_000, 10_000)
"""0x1000 .. 0xD8000 (nitrokey-3-firmware b9ec0bdc), so page 0 of the chip is the page at 0x1000."""
MARKER = b"keyharness firmware \0"
"""In our images the version stands behind it, as text that ends with a zero byte."""
MARKER_AT = 256


def verify(keys: Sequence[bytes], signature: bytes, message: bytes) -> bool:
    """Tell whether one of these public keys (DER) verifies an ECDSA P-256 signature in little-endian halves."""
    return _verifies(tuple(keys), signature, message)


# A campaign offers the same few images and init packets to thousands of states of a bootloader.
@lru_cache(maxsize=32)
def _verifies(keys: tuple[bytes, ...], signature: bytes, message: bytes) -> bool:
    if len(signature) != 64:
        return False
    r, s = (int.from_bytes(signature[at : at + 32], "little") for at in (0, 32))
    der = encode_dss_signature(r, s)
    for key in keys:
        try:
            _public(key).verify(der, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


@lru_cache(maxsize=16)
def _public(der: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(der)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def content(flash: Flash, size: int) -> bytes:
    """The first `size` bytes of the application's region."""
    pages = -(-size // flash.part.page_size)
    return b"".join(flash.pages[:pages])[:size]


def is_valid(flash: Flash, settings: DfuSettings, keys: tuple[bytes, ...]) -> bool:
    """Tell whether the application may be started. Checked at every boot."""
    if settings.bank != VALID_IMAGE or not 0 < settings.size <= flash.part.size:
        return False
    pages = tuple(flash.pages[: -(-settings.size // flash.part.page_size)])
    return _checked(pages, settings.size, settings.crc, settings.validation, settings.signature, keys)


# A campaign boots the same image thousands of times. The pages of equal images are the same objects, whose
# hashes Python keeps, so that asking again costs microseconds.
@lru_cache(maxsize=64)
def _checked(
    pages: tuple[bytes, ...], size: int, crc: int, validation: int, signature: bytes, keys: tuple[bytes, ...]
) -> bool:
    image = b"".join(pages)[:size]
    if zlib.crc32(image) != crc:
        return False
    return passes(validation, signature, image, keys)


def passes(validation: int, proof: bytes, image: bytes, keys: Sequence[bytes]) -> bool:
    """Tell whether an image passes the check that came with it. A check of an unknown kind passes nothing.

    :param proof: 64 bytes: a signature, or a SHA-256 in little-endian order and zeros.
    """
    if validation == BY_SIGNATURE:
        return verify(keys, proof, image)
    if validation == BY_HASH:
        return proof[:32] == hashlib.sha256(image).digest()[::-1]
    return validation == BY_CRC


def version(flash: Flash, settings: DfuSettings) -> str:
    """Return the version of a valid application: the text in the image, or the number that came with it."""
    found = marked(flash.pages[0])
    return found if found is not None else text_of(settings.pending or settings.app_version)


def marked(start: bytes) -> str | None:
    """The version in an image of ours, from its first 512 bytes; None in any other."""
    if start[MARKER_AT : MARKER_AT + len(MARKER)] != MARKER:
        return None
    text, end, _ = start[MARKER_AT + len(MARKER) : 512].partition(b"\0")
    return text.decode("ascii", "replace") if end else None


def number_of(text: str) -> int:
    """Encode a version as the firmware does: major << 22 | minor << 6 | patch, without any suffix.

    Nothing is masked: a patch above 63 runs into the minor number, a minor above 65535 into the major one.
    """
    major, minor, patch = (int(part) for part in text.partition("-")[0].partition("+")[0].split("."))
    return (major << 22) + (minor << 6) + patch


def text_of(number: int) -> str:
    """Decode a number into a version."""
    return f"{number >> 22}.{number >> 6 & 0xFFFF}.{number & 63}"
