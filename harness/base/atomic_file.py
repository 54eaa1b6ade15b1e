"""Small files that outlive the process: replaced in one step, on the disk when the call returns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.base.errors import RigError


def write_durably(
    path: Path, body: Mapping[str, Any], mode: int = 0o600, *, old_will_do: bool = False
) -> None:
    """Replace a JSON file: whoever looks finds the old one or the new one, whenever the power fails.

    :param old_will_do: the host's own power failure may bring the old one back: then its folder is not synced,
        which takes as long again as the file.
    :raises RigError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(body, sort_keys=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        if not old_will_do:
            sync_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RigError(f"{path}", found=error.strerror, expected="a file that can be written") from None


def append_durably(path: Path, row: Mapping[str, Any], mode: int = 0o600) -> None:
    """Add a line to a JSON-lines file.

    :raises RigError: it cannot be written; half a line that was is no line to its readers.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        raise RigError(f"{path}", found=error.strerror, expected="a file that can be written") from None


def read_json(path: Path) -> dict[str, Any] | None:
    """What is in a file; None if there is none, or nothing whole."""
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole rows of a JSON-lines file; what a kill left half-written is passed over, and left alone."""
    rows = []
    for text in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = json.loads(text)
        except ValueError:
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
