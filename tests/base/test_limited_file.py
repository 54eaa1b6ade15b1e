"""A file that a caller names is read if it is a regular one of bounded size."""

from __future__ import annotations

import os
import re

import pytest

from harness.base.errors import CallerError
from harness.base.limited_file import TEXT_LIMIT, read_limited, read_limited_text


def refused(path, found):
    with pytest.raises(CallerError) as error:
        read_limited_text(path, "a bench file")
    assert re.search(found, str(error.value.found))
    assert error.value.expected == "a bench file"


def test_up_to_the_limit_and_no_further(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert read_limited(path, 10, "a file") == b"x" * 10
    with pytest.raises(CallerError, match="more than 9 bytes"):
        read_limited(path, 9, "a file")


def test_a_device_without_end():
    refused("/dev/zero", "a device, pipe or socket")


def test_a_pipe_that_nobody_writes(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a device, pipe or socket")


def test_a_folder(tmp_path):
    refused(tmp_path, "a folder")


def test_no_file(tmp_path):
    refused(tmp_path / "absent", "No such file")


def test_text_that_is_none(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"good\nbad \xff")
    refused(path, "byte 0xff in line 2")


def test_a_long_text(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(TEXT_LIMIT + 1)
    refused(path, "more than")
