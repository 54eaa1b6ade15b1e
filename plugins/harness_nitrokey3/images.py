"""Images for the nRF52: a signed init packet and the binary, made with a test key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness.api import Stream
from harness_nitrokey3 import signing
from harness_nitrokey3.twin.bootloader import PAGE
from harness_nitrokey3.twin.dfu_image import MARKER, MARKER_AT, number_of
from harness_nitrokey3.twin.init_packet import HARDWARE_VERSION

PAGES = 8
BOOT_CHECKS = ("signature", "wrong signature", "hash", "wrong hash")
"""What an image may carry for the boot: a signature or a SHA-256, of itself or of another image."""


@dataclass(frozen=True)
class Recipe:
    """Properties of an image. A key must refuse an image for each property that differs from the default.

    :ivar version: what the binary says, and the number in the init packet unless `number` is given.
    :ivar signer: name of the key that signs; "firmware" is the one that twins trust, "" leaves it unsigned.
    :ivar validated: the image carries a signature of its own, which is checked at every boot.
    :ivar boot: the kind of that check, and whether it fits: see BOOT_CHECKS.
    :ivar left_out: fields of the init command that are not there at all.
    :ivar debug: the flag that a debug build of the bootloader takes for leave to skip checks.
    :ivar hash_size: bytes of the hash; zeros follow the 32 that it has.
    :ivar signature: stands in the place of the signer's, in a packet that says that it is signed.
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
    boot: str = "signature"
    left_out: tuple[str, ...] = ()
    debug: bool = False
    hash_type: pb.HashType = pb.SHA256
    hash_size: int = 32
    signature_type: pb.SignatureType = pb.ECDSA_P256_SHA256
    signature: bytes | None = None


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
    init.hash.hash_type = recipe.hash_type
    init.hash.hash = hashlib.sha256(binary).digest()[::-1][: recipe.hash_size].ljust(recipe.hash_size, b"\0")
    init.is_debug = recipe.debug
    key = signing.private_key(seed, recipe.signer) if recipe.signer else None
    if key is not None and recipe.validated:
        init.boot_validation.append(_boot_check(recipe, key, binary))
    for name in recipe.left_out:
        init.ClearField(name)
    packet = pb.Packet()
    command = packet.command if key is None else packet.signed_command.command
    command.op_code = pb.INIT
    command.init.CopyFrom(init)
    if key is not None:
        packet.signed_command.signature_type = recipe.signature_type
        signed = signing.sign(key, init.SerializePartialToString(deterministic=True))
        packet.signed_command.signature = signed if recipe.signature is None else recipe.signature
    # A packet without a field that the format requires is serialised all the same.
    return Image(packet.SerializePartialToString(deterministic=True), binary, init.fw_version)


def _boot_check(recipe: Recipe, key: ec.EllipticCurvePrivateKey, binary: bytes) -> pb.BootValidation:
    of = binary if recipe.boot in ("signature", "hash") else binary[::-1]
    if "hash" in recipe.boot:
        return pb.BootValidation(type=pb.VALIDATE_SHA256, bytes_=hashlib.sha256(of).digest()[::-1])
    return pb.BootValidation(type=pb.VALIDATE_ECDSA_P256_SHA256, bytes_=signing.sign(key, of))


def _binary(recipe: Recipe, seed: bytes) -> bytes:
    """Make a binary: random bytes, with the version where the twin reads it."""
    size = recipe.pages * PAGE - recipe.short_by
    body = bytearray(Stream(seed, "binary", recipe.version, recipe.pages).bytes(size))
    body[MARKER_AT:512] = (MARKER + recipe.version.encode() + b"\0").ljust(512 - MARKER_AT, b"\xff")
    return bytes(body)


def core(version: str) -> str:
    """Return a version without its suffix, which the number does not hold: 1.8.3-rc.1 gives 1.8.3."""
    return version.partition("-")[0].partition("+")[0]
