"""Replace files in one step; write small JSON files that are on the disk when the call returns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.base.errors import RigError


def replace_file(path: Path, data: str | bytes, mode: int | None = None, *, durable: bool = False) -> None:
    """Replace a file in one step: a reader sees the old content or the new one, also after a kill.

    The folder is made if it does not exist.

    :param data: text is written as UTF-8; what is no text there (a byte of a file's name) as its escape.
    :param mode: permissions of the new file; what the umask leaves of 0666 if None.
    :param durable: return when the content is on the disk; else a power failure of the host may lose it.
    :raises OSError: the file cannot be written; the old one is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, data, mode, sync=durable)
    if durable:
        sync_folder(path.parent)


def make_private(folder: Path) -> None:
    """Make a folder, and each missing folder above it, for its owner alone; one that exists stays as it is.

    `Path.mkdir(mode, parents=True)` would make the folders above with the mode that the umask leaves.
    """
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def create_file(path: Path, data: str | bytes, mode: int | None = None) -> bool:
    """Create a file with its whole content in one step; False if it exists already, and stays as it is.

    Of two processes that do this at the same time one creates the file.

    :raises OSError: the file cannot be written.
    """
    beside = _beside(path)
    try:
        _write(beside, data, mode, sync=True)
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    return True


def write_durably(
    path: Path, body: Mapping[str, Any], mode: int = 0o600, *, old_will_do: bool = False
) -> None:
    """Replace a JSON file: a reader finds the old content or the new one, even if the host loses power.

    :param old_will_do: after a power failure the old content is good enough: then the folder is not synced,
        which takes as long again as the file.
    :raises RigError: the file cannot be written.
    """
    try:
        make_private(path.parent)
        _replace(path, json.dumps(body, sort_keys=True) + "\n", mode, sync=True)
        if not old_will_do:
            sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None


def append_durably(path: Path, row: Mapping[str, Any], mode: int = 0o600) -> None:
    """Add a line to a JSON-lines file.

    :raises RigError: the line cannot be written; readers skip a line that was half written.
    """
    try:
        make_private(path.parent)
        new = not path.exists()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            data = (b"\n" if torn else b"") + json.dumps(row, sort_keys=True).encode() + b"\n"
            if file.write(data) != len(data):
                raise OSError(28, "No space left on device")
            os.fsync(fd)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from None


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object from a file; None if there is no file, or no whole object in it."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the whole rows of a JSON-lines file; skip what a kill left half written."""
    return parsed_lines(path.read_bytes()) if path.exists() else []


def parsed_lines(body: bytes) -> list[dict[str, Any]]:
    """As `read_lines`, of the content of such a file."""
    rows = []
    for text in body.splitlines():
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def sync_folder(folder: Path) -> None:
    """Make a new name durable (fsync(2): the directory has to be synced, too)."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _replace(path: Path, data: str | bytes, mode: int | None, *, sync: bool) -> None:
    beside = _beside(path)
    try:
        _write(beside, data, mode, sync=sync)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write(path: Path, data: str | bytes, mode: int | None, *, sync: bool) -> None:
    # Created private: a secret must not be readable even for a moment.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666 if mode is None else 0o600)
    with os.fdopen(fd, "wb") as file:
        if mode is not None:
            os.fchmod(fd, mode)
        file.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
        file.flush()
        if sync:
            os.fsync(fd)


def _unwritable(path: Path, error: OSError) -> RigError:
    return RigError(f"{path}", found=error.strerror, expected="a file that can be written")
