"""Images for the LPC55: read in the order in which its ROM carries them out, and never sent to the other chip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from nitrokey.trussed._bootloader.lpc55_upload.sbfile.sb2.commands import (
    CmdErase,
    CmdLoad,
    CmdVersionCheck,
    VersionCheckType,
)

from harness.base.errors import CallerError
from harness.bench.firmware_updates import UpdateRefused
from harness_nitrokey3 import containers, images, lpc55, signing
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.updater import update
from support.update import MakeRig

SECURE = CmdVersionCheck(VersionCheckType.SECURE_VERSION, 4194754)
NON_SECURE = CmdVersionCheck(VersionCheckType.NON_SECURE_VERSION, 4194754)
ERASE = CmdErase(0, 0x93000)
LOAD = CmdLoad(0, bytes(4096))


def _sb2(genuine: Path) -> bytes:
    with zipfile.ZipFile(genuine) as archive:
        return archive.read("firmware-nk3xn-lpc55-v1.7.2.sb2")


def test_the_genuine_image_checks_both_versions_before_it_erases(genuine: Path) -> None:
    known = lpc55.read(_sb2(genuine), "genuine")
    assert (known.version, known.number, known.size) == ("1.7.2", 4194754, 511136)
    assert (known.signed_by, known.official) == ("Nitrokey", True)
    assert known.steps == (
        "check secure version 4194754",
        "check non-secure version 4194754",
        "erase 0x0..0x93000",
        "load 511136 bytes at 0x0",
    )
    assert known.faults == ()


@pytest.mark.parametrize(
    ("commands", "fault"),
    [
        ([SECURE, NON_SECURE, ERASE, LOAD], ""),
        ([ERASE, SECURE, NON_SECURE, LOAD], "a version is checked after the flash was changed"),
        ([SECURE, ERASE, NON_SECURE, LOAD], "a version is checked after the flash was changed"),
        ([SECURE, ERASE, LOAD], "the non-secure version is not checked"),
        ([NON_SECURE, ERASE, LOAD], "the secure version is not checked"),
        (
            [SECURE, CmdVersionCheck(VersionCheckType.NON_SECURE_VERSION, 4194753), ERASE, LOAD],
            "the two versions that are checked differ",
        ),
        ([SECURE, NON_SECURE, CmdErase(0, 0x9E000), LOAD], "beyond the firmware"),
    ],
)
def test_the_order_of_the_commands_is_judged(commands: list[object], fault: str) -> None:
    found = "; ".join(lpc55.faults_of(commands))
    assert (fault in found) if fault else not found


@pytest.mark.parametrize("damage", ["cut", "flipped", "nothing"])
def test_what_is_no_image_is_said_to_be_none(genuine: Path, damage: str) -> None:
    data = _sb2(genuine)
    broken = {
        "cut": data[:5000],
        "flipped": data[:300] + bytes((data[300] ^ 1,)) + data[301:],
        "nothing": b"",
    }
    with pytest.raises(CallerError, match="the image for the LPC55"):
        lpc55.read(broken[damage], "broken")


def test_the_command_line_shows_it(cli, genuine: Path) -> None:  # type: ignore[no-untyped-def]
    done = cli("firmware", genuine)
    assert done.returncode == 0
    assert "lpc55 image    511136 bytes, number 4194754 (1.7.2)" in done.stdout
    assert "every version is checked before anything is erased" in done.stdout


def test_a_container_for_the_lpc55_alone_is_told_apart(cli, genuine: Path) -> None:  # type: ignore[no-untyped-def]
    data = containers.pack(
        images.make(Recipe("1.7.2"), bytes(32)), "v1.7.2", variant="lpc55", bare=_sb2(genuine)
    ).data
    (cli.cwd / "lpc55.zip").write_bytes(data)
    done = cli("firmware", "lpc55.zip")
    assert done.returncode == 0, done.stdout
    assert "images         lpc55\n" in done.stdout
    assert "nrf52 image" not in done.stdout


@pytest.mark.parametrize("face", ["application", "bootloader"])
@pytest.mark.parametrize("variant", ["nrf52", "lpc55"])
def test_the_other_chip_is_never_sent_it(make_rig: MakeRig, genuine: Path, variant: str, face: str) -> None:
    """Under its own name there is no image for this chip; under the other's it is none that can be read."""
    from harness_nitrokey3 import bootloader_probe

    rig = make_rig("reference-1.7", version="1.7.1")
    if face == "bootloader":
        bootloader_probe.enter_bootloader(rig)
    start = rig.inside.snapshot()
    good = images.make(Recipe("1.7.2"), signing.seed_of(rig))
    data = containers.pack(good, "v1.7.2", variant=variant, bare=_sb2(genuine)).data
    assert zipfile.is_zipfile(io.BytesIO(data))
    with pytest.raises(UpdateRefused) as refusal:
        update(rig, data)
    assert refusal.value.by == "host"
    assert rig.inside.differing(start, rig.inside.snapshot()) == []
