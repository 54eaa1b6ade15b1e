"""Describe an update container in rows for a person, and make one."""

from __future__ import annotations

import re
from pathlib import Path

from harness.api import CallerError, FirmwareFile, MadeFirmware, Signer, child
from harness_nitrokey3 import containers, signing
from harness_nitrokey3.containers import About
from harness_nitrokey3.images import Recipe, core
from harness_nitrokey3.lpc55 import Sb2
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.twin.init_packet import HARDWARE_VERSION

KEY = "nitrokey3-mini"
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?")


def describe(path: Path, seed: int) -> FirmwareFile:
    """Read a container; its test signatures are checked against the key of `seed`.

    :raises CallerError: it is no container.
    """
    known = containers.about(path, child(seed, "twin", KEY))
    rows = [
        ("version", known.version),
        ("images", ", ".join(known.variants)),
        ("sums", "right"),
        ("signed by", _signer(known)),
    ]
    if known.number is not None:
        rows += [
            ("nrf52 image", f"{known.size} bytes, number {known.number} ({text_of(known.number)})"),
            ("may replace", _replaces(known)),
        ]
    if known.lpc55 is not None:
        rows += _lpc55(known.lpc55, core(known.version.removeprefix("v")))
    return FirmwareFile(path, known.version, known.size, rows)


def make(version: str, signer: Signer, seed: int) -> MadeFirmware:
    """Make a container for twins: a small image that says its version, and no code.

    :raises CallerError: the vendor's number format cannot say this version.
    """
    root = child(seed, "twin", KEY)
    name = {"test": "firmware", "other": "other", "none": ""}[signer]
    plain = version.removeprefix("v")
    if _VERSION.fullmatch(plain) is None or text_of(number_of(plain)) != core(plain):
        raise CallerError(
            f"--version {version}",
            found=version,
            expected="MAJOR.MINOR.PATCH with a patch up to 63, and -rc.1 or the like after it",
        )
    made = containers.make(root, Recipe(plain, signer=name))
    signed_by = {"test": signing.NAME, "other": "a key that nothing trusts", "none": "nobody"}[signer]
    rows = [("version", made.version), ("signed by", signed_by)]
    if signer == "test":
        rows += [
            ("trusted by", f"keyharness twin {KEY} --seed {seed}"),
            ("test key", signing.public_der(signing.private_key(root)).hex()),
        ]
    return MadeFirmware(made.data, rows)


def _lpc55(image: Sb2, version: str) -> list[tuple[str, str]]:
    """Rows for an LPC55 image: what the ROM would do with it, step by step."""
    number = "no number" if image.number is None else f"number {image.number} ({text_of(image.number)})"
    kind = "an official key of the vendor" if image.official else "not an official key"
    faults = list(image.faults)
    if image.number is not None and text_of(image.number) != version:
        faults.append(f"the container says v{version} and the image checks {text_of(image.number)}")
    return [
        ("lpc55 image", f"{image.size} bytes, {number}"),
        ("lpc55 signer", f"{image.signed_by} ({kind})"),
        ("lpc55 order", "; ".join(image.steps)),
        ("lpc55 rules", "; ".join(faults) or "every version is checked before anything is erased"),
    ]


def _signer(known: About) -> str:
    kind = (
        "an official key of the vendor" if known.official else "not an official key: no shipped key takes it"
    )
    return known.signed_by if known.number is None else f"{known.signed_by} ({kind})"


def _replaces(known: About) -> str:
    assert known.number is not None
    if known.signed_by in ("nobody", "an unknown key"):
        return "nothing: no bootloader that is known here trusts it"
    if known.hardware != HARDWARE_VERSION:
        return f"nothing here: it is for hardware {known.hardware}"
    text = text_of(known.number)
    if core(known.version.removeprefix("v")) != text:
        return (
            f"nothing through the vendor's updater: the container says {known.version} and the image {text}"
        )
    return f"every version up to {text}, its candidates and test releases included; nothing above"
