"""The simulated bootloader of the Nitrokey Pro: images, updates by its client, versions, recovery."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import CallerError, KeyFault, Refused
from harness.bench.registry import discover
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey_pro import images
from harness_nitrokey_pro.client import NitrokeyPro
from harness_nitrokey_pro.rescue import rescue
from harness_nitrokey_pro.updater import BOOTLOADER, enter_bootloader, install, update
from support.pro import NAME

PASSWORD = b"12345678"
BLOCK = 1024


def powered(*defects: str, version: str | None = None, personality: str = "reference") -> TwinRig:
    plugins = discover()
    options = TwinOptions(personality=personality, defects=defects, version=version)
    rig = TwinRig("pro-1", plugins.keys[NAME], plugins.twins[NAME], options, 1, expendable=True)
    rig.power.on()
    return rig


def version(rig: TwinRig) -> object:
    return NitrokeyPro(rig).status()["version"]


@given(st.integers(0, 0xFFFF), st.integers(80, 2000).map(lambda words: 4 * words), st.binary(max_size=40))
def test_an_image_tells_its_version_also_before_the_rest_of_the_flash(number, size, rest):
    image = images.make_image(number, size)
    assert (len(image), images.starts(image)) == (size, True)
    assert images.about(image + rest) == images.About(number, True)


@given(st.data())
def test_one_wrong_byte_behind_the_header_shows(data):
    image = bytearray(images.make_image(0x000F, 1024))
    at = data.draw(st.integers(images.VECTORS + 24, 1023))
    image[at] ^= data.draw(st.integers(1, 255))
    assert not images.about(bytes(image)).is_whole


@pytest.mark.parametrize(("said", "number"), [("0.15", 15), ("v0.10", 10), ("1.2", 0x0102)])
def test_a_version_is_a_number(said, number):
    assert images.number(said) == number
    assert images.text(number) == said.removeprefix("v")


@pytest.mark.parametrize("said", ["", "15", "0.15.1", "0.256", "a.b", "-1.2"])
def test_what_is_no_version_is_none(said):
    assert images.number(said) is None


def test_the_version_of_the_factory_is_chosen_and_before_0_11_there_is_no_bootloader():
    old = NitrokeyPro(powered(version="0.10"))
    assert old.status()["version"] == 10
    with pytest.raises(Refused, match="09"):
        old.start_bootloader(PASSWORD)
    assert version(powered(version="0.11")) == 11
    with pytest.raises(CallerError, match="firmware version"):
        powered(version="latest")


def test_an_update_needs_the_password_once_and_the_key_runs_what_was_installed():
    rig = powered()
    update(rig, PASSWORD, images.make_image(0x0010))
    assert version(rig) == 0x0010
    update(rig, PASSWORD, images.make_image(0x000D))
    rig.power.cycle()
    assert version(rig) == 0x000D


def test_an_image_of_the_vendor_is_taken_for_the_latest():
    """What it does, only its code knows."""
    rig = powered()
    vendor = images.make_image(0)[: images.VECTORS] + bytes(range(256)) * 40
    update(rig, PASSWORD, vendor)
    assert version(rig) == 0x000F
    rig.power.cycle()
    assert version(rig) == 0x000F


def half_updated(rig: TwinRig) -> None:
    """Cut an update after half of its blocks."""
    from harness_nitrokey_pro.updater import download
    from harness_transports.dfu import dfu

    image = images.make_image(0x0010)
    enter_bootloader(rig, PASSWORD)
    handle = dfu(rig)
    for block in range(len(image) // BLOCK // 2):
        download(rig, handle, block, image[BLOCK * block :][:BLOCK])
    rig.power.cycle()


def test_after_a_cut_update_the_sound_key_waits_in_its_bootloader_for_the_whole_image():
    rig = powered()
    half_updated(rig)
    assert rig.face == BOOTLOADER
    install(rig, images.make_image(0x0010))
    assert version(rig) == 0x0010


def test_after_a_cut_update_the_original_starts_parts_of_two_firmwares():
    rig = powered(personality="v0.15")
    half_updated(rig)
    assert rig.board.panicked


def test_the_rescue_installs_the_image_that_the_bench_names(tmp_path):
    rig = powered()
    half_updated(rig)
    with pytest.raises(CallerError, match="firmware"):
        rescue(rig)
    rig.firmware_file = tmp_path / "firmware.bin"
    rig.firmware_file.write_bytes(images.make_image(0x000E))
    rescue(rig)
    assert version(rig) == 0x000E


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b":020000040800F2\r\n" * 40, "begin with 3a303230"),
        (bytes(images.LIMIT + 1), "more than 104,448 bytes"),
    ],
    ids=["empty", "hex", "long"],
)
def test_a_file_that_is_no_image_is_the_callers_mistake(tmp_path, content, said):
    path = tmp_path / "firmware.bin"
    path.write_bytes(content)
    with pytest.raises(CallerError) as caught:
        images.read_image(path)
    assert said in str(caught.value)
    assert ".bin" in str(caught.value)


def test_an_image_that_does_not_fit_writes_nothing_into_the_data():
    rig = powered()
    before = rig.board.flash["mcu"].pages[110:]
    enter_bootloader(rig, PASSWORD)
    with pytest.raises(KeyFault, match="refuses the image"):
        install(rig, images.make_image(0x0010, images.LIMIT + BLOCK))
    assert rig.board.flash["mcu"].pages[110:] == before


def test_an_image_is_made_and_described_on_the_command_line(cli):
    made = cli("firmware", "make", "--for", NAME, "--version", "0.16", "new.bin")
    assert made.returncode == 0, made.stdout + made.stderr
    described = cli("firmware", "show", "--key", NAME, "new.bin")
    assert all(said in described.stdout for said in ("v0.16", "nobody"))
    refused = cli("firmware", "make", "--for", NAME, "--version", "1.9.0", "other.bin")
    assert (refused.returncode, "MAJOR.MINOR" in refused.stderr) == (4, True)
    assert (
        cli("firmware", "make", "--for", NAME, "--version", "0.1", "--key", "other", "o.bin").returncode == 4
    )
