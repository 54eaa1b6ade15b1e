"""Read and check update containers with the vendor's SDK, and make containers that a test key signs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nitrokey.trussed._bootloader import FirmwareContainer, Model, Variant
from nitrokey.trussed._bootloader.nrf52 import Image as SdkImage
from nitrokey.trussed._bootloader.nrf52 import SignatureKey

from harness.api import CallerError, read_limited
from harness_nitrokey3 import images, lpc55, signing
from harness_nitrokey3.images import Image, Recipe
from harness_nitrokey3.lpc55 import Sb2
from harness_nitrokey3.twin import dfu_image

DEVICE = "Nitrokey 3"
NRF52 = "firmware-nk3am-nrf52-{version}.zip"
CONTAINER_LIMIT = 16 << 20
"""Bytes of the largest container that is read: those of 2025 have 1.3 MB."""
UNPACKED_LIMIT = 64 << 20
FILES_LIMIT = 100
EXPECTED = "an update container of a Nitrokey 3 (a zip with manifest.json and sha256sums)"
MEND = "use the firmware-nk3-v*.zip of a release as it was downloaded"
_DATE = (2020, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Container:
    """An update container.

    :ivar version: as its manifest says it, e.g. "v1.8.3".
    :ivar data: the file. :ivar image: its image for the nRF52.
    """

    version: str
    data: bytes
    image: Image


@dataclass(frozen=True)
class About:
    """The content of a container.

    :ivar variants: the chips it has images for.
    :ivar signed_by: "nobody", a name, or "an unknown key".
    :ivar number: the version in the nRF52 init packet; None without such an image.
    """

    version: str
    variants: tuple[str, ...]
    signed_by: str
    official: bool
    number: int | None
    size: int
    hardware: int | None
    lpc55: Sb2 | None = None


def test_key(seed: bytes) -> SignatureKey:
    """Return the test key of a seed for the SDK, which then treats its images as official."""
    return SignatureKey(signing.NAME, True, signing.public_der(signing.private_key(seed)).hex())


def make(seed: bytes, recipe: Recipe, *, manifest_version: str | None = None) -> Container:
    """Make a container with one nRF52 image.

    :param manifest_version: version in the manifest, if it differs from the image.
    """
    return pack(images.make(recipe, seed), manifest_version or f"v{recipe.version}")


@lru_cache(maxsize=256)
def pack(
    image: Image,
    version: str,
    *,
    variant: str = "nrf52",
    device: str = DEVICE,
    sums: str = "right",
    sdk: str = "",
    bare: bytes = b"",
) -> Container:
    """Put an image into a container.

    :param sdk: the oldest version of the client that may install it, if one is named.
    :param bare: bytes in the place of the image.
    :param sums: "right", "wrong" (of another image) or "missing" (of the image).
    """
    name = NRF52.format(version=version)
    stem = name.removesuffix(".zip")
    inner = {"application": {"bin_file": f"{stem}.bin", "dat_file": f"{stem}.dat"}}
    inside = _zip(
        {
            f"{stem}.dat": image.dat,
            "manifest.json": json.dumps({"manifest": inner}).encode(),
            f"{stem}.bin": image.bin,
        }
    )
    if bare:
        inside = bare
    named = {"device": device, "version": version, "images": {variant: name}} | ({"sdk": sdk} if sdk else {})
    manifest = json.dumps(named).encode()
    lines = {"manifest.json": manifest, name: inside if sums != "wrong" else inside + b"\0"}
    if sums == "missing":
        del lines[name]
    listed = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in lines.items())
    whole = {"manifest.json": manifest, name: inside, "sha256sums": listed.encode()}
    return Container(version, _zip(whole), image)


def _zip(content: Mapping[str, bytes]) -> bytes:
    """Make a zip file without the time of day, so that it is the same bytes each time."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return made.getvalue()


def parse(data: bytes, where: str) -> FirmwareContainer:
    """Read a container with the SDK, and check its sums.

    :raises CallerError: it is no container, or its sums are wrong.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as outer:
            _check_sizes(outer, where)
            for one in outer.infolist():
                inside = io.BytesIO(outer.read(one))
                if zipfile.is_zipfile(inside):
                    with zipfile.ZipFile(inside) as inner:
                        _check_sizes(inner, where)
        return FirmwareContainer.parse(io.BytesIO(data), Model.NK3)
    except CallerError:
        raise
    except Exception as error:
        # The SDK does not wrap the errors of its parsers: bad zip, missing key, bad JSON, wrong sum.
        raise CallerError(where, found=_reason(error), expected=EXPECTED, mend=MEND) from None


def _check_sizes(archive: zipfile.ZipFile, where: str) -> None:
    """See that a zip file unpacks to no more than a container can hold: a few kilobytes may become gigabytes.

    zipfile never gives more bytes of a file than the directory of the archive says.

    :raises CallerError: it unpacks to more.
    """
    files = archive.infolist()
    size = sum(one.file_size for one in files)
    if len(files) > FILES_LIMIT or size > UNPACKED_LIMIT:
        raise CallerError(
            where,
            found=f"a zip with {len(files):,} files of {size:,} bytes together",
            expected=f"{EXPECTED}, at most {FILES_LIMIT} files of {UNPACKED_LIMIT:,} bytes",
            mend=MEND,
        )


def read(path: Path) -> Container:
    """Read a container with an image for the nRF52.

    :raises CallerError: unreadable, no container, or without such an image.
    """
    data = read_limited(path, CONTAINER_LIMIT, "an update container", mend=MEND)
    known = parse(data, str(path))
    if Variant.NRF52 not in known.images:
        raise CallerError(
            str(path),
            found=f"images for {', '.join(variant.value for variant in known.images) or 'nothing'}",
            expected="an image for the nRF52",
        )
    image = _sdk_image(known.images[Variant.NRF52], (), str(path))
    number = image.init_packet.init_command.fw_version
    return Container(str(known.version), data, Image(image.firmware_dat, image.firmware_bin, number))


def about(path: Path, seed: bytes) -> About:
    """Read a container and tell what it is.

    :raises CallerError: it is no container.
    """
    from nitrokey.nk3 import _NK3_DATA

    data = read_limited(path, CONTAINER_LIMIT, "an update container", mend=MEND)
    known = parse(data, str(path))
    variants = tuple(sorted(variant.value for variant in known.images))
    sb2 = lpc55.read(known.images[Variant.LPC55], str(path)) if Variant.LPC55 in known.images else None
    if Variant.NRF52 not in known.images:
        assert sb2 is not None
        return About(
            str(known.version), variants, sb2.signed_by, sb2.official, None, len(data), None, lpc55=sb2
        )
    # The SDK treats every packet as signed, so the signature is checked here.
    image = _sdk_image(known.images[Variant.NRF52], (), str(path))
    init, packet = image.init_packet.init_command, image.init_packet.packet
    message = init.SerializeToString(deterministic=True)
    keys = (*_NK3_DATA.nrf52_signature_keys, test_key(seed))
    key = next(
        (
            key
            for key in keys
            if dfu_image.verify((bytes.fromhex(key.der),), packet.signed_command.signature, message)
        ),
        None,
    )
    if not packet.HasField("signed_command"):
        signer = "nobody"
    else:
        signer = key.name if key else "an unknown key"
    official = key is not None and key.is_official and key.name != signing.NAME
    return About(
        str(known.version),
        variants,
        signer,
        official,
        init.fw_version,
        init.app_size,
        init.hw_version,
        lpc55=sb2,
    )


def _sdk_image(data: bytes, keys: tuple[SignatureKey, ...], where: str) -> SdkImage:
    try:
        return SdkImage.parse(data, keys)
    except Exception as error:
        raise CallerError(
            f"{where}: the image for the nRF52",
            found=_reason(error),
            expected="an init packet and a binary with the hash that it names",
        ) from None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
