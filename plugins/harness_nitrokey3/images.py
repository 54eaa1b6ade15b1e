"""Images for the nRF52: a signed init packet and the binary, made with a test key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness.api import Stream
from harness_nitrokey3 import signing
from harness_nitrokey3.twin.bootloader import PAGE
from harness_nitrokey3.twin.dfu_image import MARKER, MARKER_AT, number_of
from harness_nitrokey3.twin.init_packet import HARDWARE_VERSION

PAGES = 8


@dataclass(frozen=True)
class Recipe:
    """Properties of an image. A key must refuse an image for each property that differs from the default.

    :ivar version: what the binary says, and the number in the init packet unless `number` is given.
    :ivar signer: name of the key that signs; "firmware" is the one that twins trust, "" leaves it unsigned.
    :ivar validated: the image carries a signature of its own, which is checked at every boot.
    """

    version: str
    pages: int = PAGES
    number: int | None = None
    signer: str = "firmware"
    hardware: int = HARDWARE_VERSION
    softdevice: int = 0
    kind: pb.FwType = pb.APPLICATION
    validated: bool = True
    short_by: int = 100


@dataclass(frozen=True)
class Image:
    """An init packet (`dat`) and a binary (`bin`)."""

    dat: bytes
    bin: bytes
    number: int


@lru_cache(maxsize=512)
def make(recipe: Recipe, seed: bytes) -> Image:
    """Make an image. The same recipe and seed give the same bytes."""
    binary = _binary(recipe, seed)
    init = pb.InitCommand()
    init.fw_version = number_of(recipe.version) & 0xFFFFFFFF if recipe.number is None else recipe.number
    init.hw_version = recipe.hardware
    init.sd_req.append(recipe.softdevice)
    init.type = recipe.kind
    init.sd_size = init.bl_size = 0
    init.app_size = len(binary)
    init.hash.hash_type = pb.SHA256
    init.hash.hash = hashlib.sha256(binary).digest()[::-1]
    init.is_debug = False
    key = signing.private_key(seed, recipe.signer) if recipe.signer else None
    if key is not None and recipe.validated:
        init.boot_validation.append(
            pb.BootValidation(type=pb.VALIDATE_ECDSA_P256_SHA256, bytes_=signing.sign(key, binary))
        )
    packet = pb.Packet()
    command = packet.command if key is None else packet.signed_command.command
    command.op_code = pb.INIT
    command.init.CopyFrom(init)
    if key is not None:
        packet.signed_command.signature_type = pb.ECDSA_P256_SHA256
        packet.signed_command.signature = signing.sign(key, init.SerializeToString(deterministic=True))
    return Image(packet.SerializeToString(deterministic=True), binary, init.fw_version)


def _binary(recipe: Recipe, seed: bytes) -> bytes:
    """Make a binary: random bytes, with the version where the twin reads it."""
    size = recipe.pages * PAGE - recipe.short_by
    body = bytearray(Stream(seed, "binary", recipe.version, recipe.pages).bytes(size))
    body[MARKER_AT:512] = (MARKER + recipe.version.encode() + b"\0").ljust(512 - MARKER_AT, b"\xff")
    return bytes(body)


def core(version: str) -> str:
    """Return a version without its suffix, which the number does not hold: 1.8.3-rc.1 gives 1.8.3."""
    return version.partition("-")[0].partition("+")[0]
