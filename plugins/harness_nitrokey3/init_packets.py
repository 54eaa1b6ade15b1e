"""Init packets that a bootloader must refuse: each field left out, wrong, or with a flag that must not help (U3, U4).

Nordic nRF5 SDK 17, nrf_dfu_validation.c: what is required of an application's init command. Debug builds of that
bootloader take the debug flag for leave to skip the checks of version and hardware; a release build ignores it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness_nitrokey3 import signing
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.twin.init_packet import HARDWARE_VERSION


@dataclass(frozen=True)
class WrongPacket:
    """One wrong init packet.

    :ivar change: makes it from a good recipe; the second parameter is the number of an older version.
    """

    id: str
    change: Callable[[Recipe, int], Recipe]
    why: str


def _without(field: str, why: str) -> WrongPacket:
    return WrongPacket(f"without-{field}", lambda good, older: replace(good, left_out=(field,)), why)


def _signature(name: str, signature: bytes, why: str) -> WrongPacket:
    return WrongPacket(f"signature-{name}", lambda good, older: replace(good, signature=signature), why)


def _hardware(number: int) -> WrongPacket:
    return WrongPacket(
        f"hardware-{number}",
        lambda good, older: replace(good, hardware=number),
        "an image for other hardware",
    )


def _hash_of(size: int) -> WrongPacket:
    return WrongPacket(
        f"hash-of-{size}-bytes",
        lambda good, older: replace(good, hash_size=size),
        "a SHA-256 has 32 bytes; to compare a part of one lets other images in",
    )


def _kind(name: str, kind: pb.FwType) -> WrongPacket:
    return WrongPacket(
        f"kind-{name}", lambda good, older: replace(good, kind=kind), "it replaces something else"
    )


def _below(number: int, bits: int) -> int:
    """The highest number whose upper part is lower (major << 22 | minor << 6 | patch); the same where there is none."""
    upper = number >> bits
    return (upper << bits) - 1 if upper else number


WRONG_PACKETS: tuple[WrongPacket, ...] = (
    _without("fw_version", "without a version it cannot be known to be as high"),
    _without("hw_version", "without a hardware version it may be for another key"),
    _without("sd_req", "it does not say that it needs no SoftDevice"),
    _without("type", "it does not say that it is an application"),
    _without("app_size", "it has no size"),
    _without("hash", "nothing ties the image to the signed packet"),
    WrongPacket(
        "older", lambda good, older: replace(good, number=older), "its number is below the version that runs"
    ),
    WrongPacket(
        "older-minor",
        lambda good, older: replace(good, number=_below(older, 6)),
        "its patch number is higher, and its minor one lower",
    ),
    WrongPacket(
        "older-major",
        lambda good, older: replace(good, number=_below(older, 22)),
        "its minor number is higher, and its major one lower",
    ),
    WrongPacket(
        "debug-older",
        lambda good, older: replace(good, number=older, debug=True),
        "the debug flag is no leave to go back",
    ),
    WrongPacket(
        "debug-other-hardware",
        lambda good, older: replace(good, hardware=53, debug=True),
        "the debug flag is no leave for other hardware",
    ),
    WrongPacket(
        "debug-unsigned",
        lambda good, older: replace(good, signer="", debug=True),
        "the debug flag is no signature",
    ),
    *(_hardware(number) for number in (0, HARDWARE_VERSION - 1, HARDWARE_VERSION + 1)),
    WrongPacket(
        "softdevice-wanted",
        lambda good, older: replace(good, softdevice=0x100),
        "it needs a SoftDevice that the key does not have",
    ),
    _kind("softdevice", pb.SOFTDEVICE),
    _kind("bootloader", pb.BOOTLOADER),
    _kind("softdevice-and-bootloader", pb.SOFTDEVICE_BOOTLOADER),
    _kind("external-application", pb.EXTERNAL_APPLICATION),
    WrongPacket("hash-of-no-kind", lambda good, older: replace(good, hash_type=pb.NO_HASH), "it has no hash"),
    WrongPacket("hash-crc", lambda good, older: replace(good, hash_type=pb.CRC), "a CRC is no hash"),
    WrongPacket(
        "hash-sha512", lambda good, older: replace(good, hash_type=pb.SHA512), "its hash is of another kind"
    ),
    *(_hash_of(size) for size in (0, 16, 31, 33)),
    WrongPacket(
        "signature-ed25519",
        lambda good, older: replace(good, signature_type=pb.ED25519),
        "its signature is of a kind that the bootloader does not know",
    ),
    # Two numbers of 0 fit every message and key where they are not refused first (CVE-2022-21449 is of the kind).
    _signature("zero", bytes(64), "a signature of zeros is nobody's"),
    _signature("order", 2 * signing.ORDER.to_bytes(32, "little"), "two numbers that are 0 modulo the order"),
    _signature("empty", b"", "it has no signature"),
    _signature("half", b"\x5a" * 32, "half a signature is none"),
)
