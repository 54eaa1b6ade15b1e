"""Firmware of the Nitrokey Pro: a raw image that begins with its vector table, without version or signature.

Images that Keyharness makes are for simulated keys. They hold no code, but a header that says their version, and a
check sum at their end, by which the simulated key knows parts of two images. Sources: nitrokey-pro-firmware 981a7e6,
its notes, and build/gcc/stm32.ld.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from harness.api import CallerError, FirmwareFile, MadeFirmware, Signer, Stream, read_limited

BASE, LIMIT = 8 * 1024, 102 * 1024
"""Where an image begins in the flash, and the most bytes that it may have: the bootloader reaches no data."""
RAM, RAM_BYTES = 0x20000000, 20 * 1024
FLASH = 0x08000000
VECTORS = 0x100
SIZE = 12 * 1024
BOOTLOADER_SINCE = 0x000B
"""Version 0.11 brought the bootloader and its password."""
MAGIC = b"KEYHARNESS PRO\0\0"
_HEADER = struct.Struct("<16sHHI")
"""Magic, version (0x000F is 0.15), two bytes of nothing, size of the whole image."""
_VERSION = re.compile(r"v?([0-9]{1,2})\.([0-9]{1,3})")


@dataclass(frozen=True)
class About:
    """What an image tells.

    :ivar version: None: it is none of Keyharness' making. :ivar is_whole: its check sum is right, if it has one.
    """

    version: int | None
    is_whole: bool


def starts(image: bytes) -> bool:
    """Does the bootloader start it: does its vector table have a stack in RAM?"""
    return RAM < int.from_bytes(image[:4].ljust(4, b"\xff"), "little") <= RAM + RAM_BYTES


def about(image: bytes) -> About:
    """Read an image. :param image: with any bytes after its end."""
    if len(image) < VECTORS + _HEADER.size:
        return About(None, True)
    magic, version, _, size = _HEADER.unpack_from(image, VECTORS)
    if magic != MAGIC:
        return About(None, True)
    body, check = image[: size - 4], image[size - 4 : size]
    return About(version, len(check) == 4 and zlib.crc32(body) == int.from_bytes(check, "little"))


def make_image(version: int, size: int = SIZE) -> bytes:
    """An image for simulated keys. :param version: 0x000F is 0.15. :param size: a multiple of four, at least 512."""
    start = FLASH + BASE + VECTORS + 1
    vectors = struct.pack("<II", RAM + RAM_BYTES, start) + start.to_bytes(4, "little") * (VECTORS // 4 - 2)
    head = vectors + _HEADER.pack(MAGIC, version, 0, size)
    filling = Stream(b"nitrokey-pro image", version).bytes(size - len(head) - 4)
    return head + filling + zlib.crc32(head + filling).to_bytes(4, "little")


def number(text: str) -> int | None:
    """The version of a status answer: "0.15" is 0x000F. None: it is no such version."""
    found = _VERSION.fullmatch(text)
    if found is None or int(found[2]) > 0xFF:
        return None
    return int(found[1]) << 8 | int(found[2])


def text(version: int) -> str:
    """0x000F is "0.15"."""
    return f"{version >> 8}.{version & 0xFF}"


def read_image(path: Path) -> bytes:
    """The image in a file.

    :raises CallerError: it has no vector table of this key, or does not fit.
    """
    bin_file = "name the .bin of a release, not the .hex"
    data = read_limited(path, LIMIT, f"a raw image of at most {LIMIT:,} bytes", mend=bin_file)
    if len(data) < VECTORS or not starts(data):
        raise CallerError(
            f"{path}",
            found=f"{len(data)} bytes, which begin with {data[:4].hex()}",
            expected="a vector table, whose first word is a stack in RAM (0x20000004 to 0x20005000)",
            mend="name the .bin of a release of the Nitrokey Pro",
        )
    return data


def describe(path: Path, seed: int) -> FirmwareFile:
    """Describe an image in rows for a person. :raises CallerError: as `read_image`."""
    data = read_image(path)
    found = about(data)
    version = f"v{text(found.version)}" if found.version is not None else "not told by the image"
    rows = [
        ("version", version),
        ("size", f"{len(data)} of {LIMIT} bytes"),
        ("signed by", "nobody: the bootloader asks for the firmware password alone"),
    ]
    if found.version is not None and not found.is_whole:
        rows.append(("check sum", "wrong"))
    return FirmwareFile(path, version, len(data), rows)


def make(version: str, signer: Signer, seed: int) -> MadeFirmware:
    """Make an image for simulated keys; it has no code. :raises CallerError: no such version, or it shall be signed."""
    wanted = number(version)
    if wanted is None:
        raise CallerError(f"--version {version}", found=version, expected="MAJOR.MINOR, e.g. 0.15")
    if signer == "other":
        raise CallerError(
            "--key other",
            found="a signer",
            expected="an image of the Nitrokey Pro, which nobody signs",
            mend="leave --key out",
        )
    rows = [("version", f"v{text(wanted)}"), ("signed by", "nobody")]
    return MadeFirmware(make_image(wanted), rows)
