"""Containers: made, read again, and what the command line says of them."""

from __future__ import annotations

import io
import tomllib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nitrokey.trussed._bootloader import Variant

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness_nitrokey3 import containers, images, signing
from harness_nitrokey3.containers import Container
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.twin import dfu_image

SEED = child(1, "twin", "nitrokey3-mini")
"""What `keyharness run --seed 1` makes the twin of."""


def _file(folder: Path, made: Container) -> Path:
    path = folder / f"firmware-nk3-{made.version}.zip"
    path.write_bytes(made.data)
    return path


def test_what_is_made_is_what_the_sdk_reads() -> None:
    made = containers.make(SEED, Recipe("1.8.4-rc.1"))
    read = containers.parse(made.data, "made")
    assert str(read.version) == "v1.8.4-rc.1"
    assert list(read.images) == [Variant.NRF52]


def test_the_same_recipe_gives_the_same_bytes() -> None:
    first = containers.make(SEED, Recipe("1.8.4"))
    containers.pack.cache_clear()
    images.make.cache_clear()
    assert containers.make(SEED, Recipe("1.8.4")).data == first.data
    assert containers.make(SEED[::-1], Recipe("1.8.4")).data != first.data


def test_a_signature_verifies_under_its_own_key_only() -> None:
    ours, other = (signing.private_key(SEED, name) for name in ("firmware", "other"))
    signature = signing.sign(ours, b"message")
    keys = tuple(map(signing.public_der, (other, ours)))
    assert dfu_image.verify(keys, signature, b"message")
    assert not dfu_image.verify(keys[:1], signature, b"message")
    assert not dfu_image.verify(keys, signature, b"massage")
    assert not dfu_image.verify(keys, signature[::-1], b"message")
    assert not dfu_image.verify(keys, signature[:-1], b"message")


@given(
    st.permutations(("firmware", "other", "third")),
    st.integers(0, 2),
    st.binary(max_size=2),
    st.integers(-1, 63),
)
def test_a_verdict_that_is_kept_is_the_one_that_was_found(names, count, message, damaged) -> None:
    keys = tuple(signing.public_der(signing.private_key(SEED, name)) for name in names[:count])
    signature = bytearray(signing.sign(signing.private_key(SEED, "firmware"), message))
    if damaged >= 0:
        signature[damaged] ^= 1
    wanted = damaged < 0 and "firmware" in names[:count]
    for kept in (dfu_image.verify, dfu_image._verifies.__wrapped__, dfu_image.verify):
        assert kept(keys, bytes(signature), message) is wanted


@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({"sums": "wrong"}, "Invalid checksum"),
        ({"sums": "missing"}, "Missing checksum"),
        ({"device": "Nitrokey Passkey"}, "Expected firmware container"),
        ({"device": "Toaster"}, "Unknown model"),
        ({"variant": "z80"}, "Unknown variant"),
    ],
)
def test_a_container_that_is_wrong_says_what(how: dict[str, str], found: str) -> None:
    made = containers.pack(images.make(Recipe("1.9.0"), SEED), "v1.9.0", **how)
    with pytest.raises(CallerError) as error:
        containers.parse(made.data, "made")
    assert found in str(error.value.found)


def test_a_container_without_an_image_for_this_chip_is_refused(tmp_path: Path) -> None:
    made = containers.pack(images.make(Recipe("1.9.0"), SEED), "v1.9.0", variant="lpc55")
    with pytest.raises(CallerError, match="firmware-nk3"):
        containers.read(_file(tmp_path, made))


@pytest.mark.parametrize(
    ("recipe", "manifest", "lines"),
    [
        (Recipe("1.9.0"), None, ["Keyharness test key", "every version up to 1.9.0"]),
        (Recipe("1.9.0", signer="somebody"), None, ["an unknown key", "nothing: no bootloader"]),
        (Recipe("1.9.0", signer=""), None, ["nobody", "nothing: no bootloader"]),
        (Recipe("1.9.0", hardware=51), None, ["nothing here: it is for hardware 51"]),
        (Recipe("1.8.64"), None, ["the container says v1.8.64 and the image 1.9.0"]),
        (Recipe("1.9.0"), "v1.9.1", ["the container says v1.9.1 and the image 1.9.0"]),
    ],
)
def test_the_command_line_says_what_a_container_is(cli, tmp_path, recipe, manifest, lines) -> None:  # type: ignore[no-untyped-def]
    path = _file(tmp_path, containers.make(SEED, recipe, manifest_version=manifest))
    done = cli("firmware", path)
    assert done.returncode == 0, done.stderr
    for line in lines:
        assert line in done.stdout
    assert "not an official key" in done.stdout


def test_what_is_no_container_is_said_and_the_others_are_still_shown(cli, tmp_path) -> None:  # type: ignore[no-untyped-def]
    good = _file(tmp_path, containers.make(SEED, Recipe("1.9.0")))
    bad = tmp_path / "notes.txt"
    bad.write_text("no zip")
    done = cli("firmware", bad, tmp_path / "absent.zip", good)
    assert done.returncode == 4
    assert "an update container" in done.stdout
    assert "every version up to 1.9.0" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_is_a_matrix_of_its_versions(cli, tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "firmware"
    folder.mkdir()
    for version in ("1.8.3", "1.8.4"):
        _file(folder, containers.make(SEED, Recipe(version)))
    done = cli("run", "-v", "--seed", 1, "--firmware", folder, "--cuts", 24)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    (bench,) = (tmp_path / "reports" / "benches").glob("*.toml")
    rigs = tomllib.loads(bench.read_text())["rig"]
    assert sorted((rig["twin"]["version"], Path(rig["firmware"]).name) for rig in rigs) == [
        ("1.8.3", "firmware-nk3-v1.8.3.zip"),
        ("1.8.3", "firmware-nk3-v1.8.4.zip"),
        ("1.8.4", "firmware-nk3-v1.8.3.zip"),
        ("1.8.4", "firmware-nk3-v1.8.4.zip"),
    ]
    assert "the container is older than v1.8.4: update.refused offers it" in done.stdout
    assert " 0 violations in " in done.stdout


def test_one_pair_is_chosen_by_its_versions(cli, tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "firmware"
    folder.mkdir()
    for version in ("1.8.4", "1.9.0"):
        _file(folder, containers.make(SEED, Recipe(version)))
    asked = ("run", "--seed", 1, "--firmware", folder, "--from", "1.7.2", "--to", "v1.9.0", "--plan")
    done = cli(*asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nk3-mini.1.7.2-to-1.9.0" in done.stdout
    assert "1.8.4" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "1.8.3"], "--firmware"),
        (["--firmware", "absent.zip"], "absent.zip"),
        (["--firmware", "."], "no *.zip"),
        (["--firmware", "good.zip", "--to", "9.9.9"], "a version in good.zip"),
    ],
)
def test_wrong_options_are_explained(cli, arguments: list[str], says: str) -> None:  # type: ignore[no-untyped-def]
    (cli.cwd / "sub").mkdir()
    if "good.zip" in arguments:
        (cli.cwd / "good.zip").write_bytes(containers.make(SEED, Recipe("1.9.0")).data)
    done = cli("run", *arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bench_names_operations_and_firmware_that_exist(cli) -> None:  # type: ignore[no-untyped-def]
    head = '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
    for line, says in (
        ('operations = ["update.instal"]', "update.install"),
        ('firmware = "absent.zip"', "an update container"),
    ):
        (cli.cwd / "bench.toml").write_text(head + line + "\n")
        done = cli("run", "endurance", "--bench", "bench.toml")
        assert done.returncode == 4, done.stdout + done.stderr
        assert says in done.stderr


def bomb(size, count=1):
    """A zip file that unpacks to `count` files of `size` bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            with archive.open(str(number), "w", force_zip64=True) as file:
                for _ in range(size >> 20):
                    file.write(bytes(1 << 20))
    return made.getvalue()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("size", "count"), [(65 << 20, 1), (0, 101)])
def test_a_zip_that_unpacks_to_more_than_a_container_is_not_unpacked(tmp_path, nested, size, count):
    data = bomb(size, count)
    path = tmp_path / "firmware-nk3-v1.8.3.zip"
    if nested:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("firmware-nk3am-nrf52-v1.8.3.zip", data)
    else:
        path.write_bytes(data)
    with pytest.raises(CallerError, match=f"{count} files|{size:,} bytes"):
        containers.about(path, b"seed")


def test_a_container_without_end():
    with pytest.raises(CallerError, match="a device, pipe or socket"):
        containers.read(Path("/dev/zero"))
