"""The working directory of an emulator and the log of what it prints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.api import new_file, new_folder
from harness_rigs.emulator.directory import CallersDirectory

LOG_LINES = 5
TAIL_BYTES = 1 << 16


class WorkingFolder:
    """The key's flash: the bench's `directory`, or a private folder that is removed at the end.

    :param directory: the bench's; None for a private folder.
    :param template: what a private folder contains at first.
    :param expendable: may the key be written to? Only then is a directory of the bench put back as it was at first.
    """

    def __init__(self, rig: str, directory: Path | None, template: Path | None, *, expendable: bool):
        self._rig, self._given, self._template = rig, directory, template
        self._expendable = expendable
        self._path: Path | None = None
        self._restored: CallersDirectory | None = None

    @property
    def path(self) -> Path:
        if self._path is None:
            if self._given is not None:
                self._path = self._given.absolute()
                if self._expendable:
                    self._restored = CallersDirectory(self._path)
                    self._restored.take()
            else:
                self._path = new_folder(self._rig)
                if self._template is not None:
                    shutil.copytree(self._template, self._path, dirs_exist_ok=True, symlinks=True)
        return self._path

    def close(self) -> None:
        if self._restored is not None:
            self._restored.give_back()
        if self._path is not None and self._given is None:
            shutil.rmtree(self._path, ignore_errors=True)


class OutputLog:
    """What an emulator has printed in its latest boot. Not in the working directory, where its state is."""

    def __init__(self, rig: str):
        self._rig = rig
        self._path: Path | None = None

    def open(self) -> int:
        """A descriptor for the output of the next boot; what was there before is removed."""
        if self._path is None:
            self._path = new_file(self._rig, ".log")
        return os.open(self._path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)

    def last_lines(self) -> str:
        if self._path is None:
            return ""
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])

    def tail(self) -> bytes:
        """The end of it."""
        if self._path is None:
            return b""
        with self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - TAIL_BYTES))
            return file.read(TAIL_BYTES)

    def close(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
