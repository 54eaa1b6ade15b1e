"""`keyharness firmware make`: containers for twins, that no shipped key takes."""

from __future__ import annotations

import io

import pytest

from harness.base.errors import CallerError
from harness.base.seeds import child
from harness.cli.firmware_commands import completed
from harness.commands.update_matrix import describe, make, show
from harness_nitrokey3 import containers


def made(path, version="1.9.0", signer="test", seed=1, key="nitrokey3-mini") -> str:
    out = io.StringIO()
    assert show([make(version, signer, key, seed, path)], out) == 0
    return out.getvalue()


def shown(path, seed=1) -> str:
    out = io.StringIO()
    assert show(describe([path], "nitrokey3-mini", seed), out) == 0
    return out.getvalue()


def test_a_container_is_what_a_twin_of_the_same_seed_trusts(tmp_path):
    told = made(tmp_path / "a.zip", "v1.9.1-rc.2", seed=7)
    assert "v1.9.1-rc.2" in told
    assert "keyharness twin nitrokey3-mini --seed 7" in told
    key = told.split("\n  test key")[1].strip()
    assert bytes.fromhex(containers.test_key(child(7, "twin", "nitrokey3-mini")).der) == bytes.fromhex(key)
    assert "every version up to 1.9.1" in shown(tmp_path / "a.zip", seed=7)
    assert "an unknown key" in shown(tmp_path / "a.zip", seed=1), "each seed has a key of its own"
    made(tmp_path / "b.zip", "1.9.1-rc.2", seed=7)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize("signer, said", [("other", "an unknown key"), ("none", "nobody")])
def test_what_a_twin_refuses_can_be_made_too(tmp_path, signer, said):
    told = made(tmp_path / "x.zip", signer=signer)
    assert "\n  test key" not in told
    assert f"signed by      {said} " in shown(tmp_path / "x.zip")


@pytest.mark.parametrize("version", ["1.9", "1.9.64", "one", "1.9.0.1", "-1.9.0", ""])
def test_a_version_that_the_format_cannot_say_is_refused(tmp_path, version):
    with pytest.raises(CallerError, match="--version"):
        made(tmp_path / "x.zip", version)
    assert not list(tmp_path.iterdir())


def test_no_file_is_replaced_and_no_key_without_containers_is_served(tmp_path):
    made(tmp_path / "x.zip")
    before = (tmp_path / "x.zip").read_bytes()
    with pytest.raises(CallerError, match=r"x\.zip"):
        made(tmp_path / "x.zip", "1.8.3")
    assert (tmp_path / "x.zip").read_bytes() == before
    with pytest.raises(CallerError, match=r"No such file"):
        made(tmp_path / "no" / "such" / "x.zip")
    with pytest.raises(CallerError, match="fido2"):
        made(tmp_path / "y.zip", key="fido2")


def test_files_need_no_word_before_them():
    assert completed(["firmware", "a.zip", "--seed", "2"]) == ["firmware", "show", "a.zip", "--seed", "2"]
    assert completed(["firmware", "--key", "k", "a.zip"]) == ["firmware", "show", "--key", "k", "a.zip"]
    for words in (["firmware"], ["firmware", "--help"], ["firmware", "make", "x"], ["list", "a.zip"]):
        assert completed(words) == words
