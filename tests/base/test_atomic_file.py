"""Files that are replaced in one step."""

from __future__ import annotations

import os
import stat

import pytest

from harness.base.atomic_file import create_file, read_json, replace_file, write_durably
from harness.base.errors import RigError


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    replace_file(path, "first")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_mode_is_exact_whatever_the_umask_is(tmp_path):
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "plain", "")
        replace_file(tmp_path / "shared", "", 0o644)
    finally:
        os.umask(before)
    assert (mode_of(tmp_path / "plain"), mode_of(tmp_path / "shared")) == (0o600, 0o644)


def test_the_old_file_stays_if_the_new_one_cannot_take_its_place(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "kept").write_text("x")
    with pytest.raises(OSError):
        replace_file(tmp_path / "taken", "new")
    assert os.listdir(tmp_path) == ["taken"]
    assert (tmp_path / "taken" / "kept").exists()


def test_the_first_of_two_creates_a_file(tmp_path):
    assert create_file(tmp_path / "run.json", "mine") is True
    assert create_file(tmp_path / "run.json", "yours") is False
    assert (tmp_path / "run.json").read_text() == "mine"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_durable_file_is_private_and_read_back(tmp_path):
    write_durably(tmp_path / "state" / "a.json", {"b": 1})
    assert read_json(tmp_path / "state" / "a.json") == {"b": 1}
    assert mode_of(tmp_path / "state" / "a.json") == 0o600


def test_a_file_that_cannot_be_written_is_the_rigs_fault(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(RigError, match=r"file/a\.json"):
        write_durably(tmp_path / "file" / "a.json", {})
