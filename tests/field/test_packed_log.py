"""Packed logs are read as if they were not, with limits, and what was not read is said."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
import zipfile
from itertools import chain

import pytest

from harness.bench.registry import discover
from harness.field import packed_log
from harness.field.knowledge import load
from harness.field.reading import read
from support.limits import HUNG_S

KNOWN = load(discover().field_files)
ERROR = "[{0:12.6f}] usb 1-4: device descriptor read/64, error -71\n"
LINES = 3000
TEXT = "".join(map(ERROR.format, range(LINES))).encode()


def what(found):
    return found.lines, [(entry.line, entry.text) for entry in found.entries], found.notes


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lambda text: gzip.compress(text[:5000]) + gzip.compress(text[5000:])],
    ids=["gzip", "bzip2", "gzip in two parts"],
)
def test_a_packed_log_says_what_it_says_unpacked(tmp_path, pack):
    plain, packed = tmp_path / "a.log", tmp_path / "a.log.1"
    plain.write_bytes(TEXT)
    packed.write_bytes(pack(TEXT))
    assert what(read([packed], KNOWN)) == what(read([plain], KNOWN))
    assert what(read([plain], KNOWN))[2] == []


def test_a_packed_log_from_a_windows_editor(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(TEXT.decode().encode("utf-16")))
    assert read([tmp_path / "a.gz"], KNOWN).understood == LINES


def test_it_may_come_from_a_pipe(tmp_path):
    fifo = tmp_path / "a.gz"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(gzip.compress(TEXT),), daemon=True)
    writer.start()
    assert read([fifo], KNOWN).understood == LINES
    writer.join(HUNG_S)
    assert not writer.is_alive()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("harm", ["truncated", "changed"])
def test_of_a_damaged_one_what_came_before_is_read(tmp_path, pack, harm):
    # Three blocks of a bzip2 file: it is read a block at a time.
    text = b"".join(ERROR.format(number).encode() for number in range(40_000))
    body = bytearray(pack(text))
    if harm == "truncated":
        del body[len(body) * 2 // 3 :]
    else:
        middle = len(body) * 2 // 3
        body[middle : middle + 64] = bytes(range(64))
    (tmp_path / "a.log").write_bytes(body)
    found = read([tmp_path / "a.log"], KNOWN)
    assert 0 < found.lines < 40_000 or harm == "changed"
    assert found.understood + found.skipped > 1000
    (note,) = found.notes
    assert note.startswith("a.log is damaged (")


def test_what_unpacks_to_very_much_is_read_up_to_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(packed_log, "UNPACKED_MAX", 1 << 20)
    zeros = chain(TEXT.splitlines(keepends=True)[:16], (bytes(1 << 16) for _ in range(1000)))
    with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=1) as file:
        file.writelines(zeros)
    found = read([tmp_path / "bomb.gz"], KNOWN)
    assert found.understood == 16
    assert found.notes == ["bomb.gz unpacks to more than 1,048,576 bytes: the rest was not read"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.zip", "a.zip is a zip archive: unpack it"), ("a.xz", "a.xz is packed by xz: unpack it")],
)
def test_what_is_packed_otherwise_is_named(cli, name, said):
    path = cli.cwd / name
    if name == "a.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.log", TEXT)
    else:
        path.write_bytes(lzma.compress(TEXT))
    done = cli.inside("field", name)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout
    assert "Unexplained" in done.stdout
