"""A directory of the caller, in which an emulator keeps its state from run to run.

Its first content is kept beside the ledger, and each later run begins with it, because an earlier run may have filled
the key. The first content is restored only over what a run has left. If the directory was changed since, it is
taken as it is, as if it were given for the first time. What a killed run has left is copied to a folder beside before
it is replaced, because it may be of interest and nothing says what it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.api import file_name, now, read_json, state_dir, write_durably
from harness_rigs.emulator import state as emulator_state


class CallersDirectory:
    """One directory while a rig uses it. The caller holds the directory's lock.

    :ivar found: copy of what a killed run has left, for a person to look at; None if there was nothing.
    """

    def __init__(self, path: Path):
        self.path = path
        self._folder = state_dir() / "directories" / file_name(str(path), "")
        self._note = self._folder / "note.json"
        self.found: Path | None = None

    def take(self) -> None:
        """Restore its first content, if a run has left what is in it now.

        :raises RigError: the note about it cannot be written.
        """
        there = emulator_state.read(self.path)
        noted = read_json(self._note)
        first = self._folder / "first"
        if noted is not None and noted["left"] in (None, there.digest().hex()) and first.is_dir():
            if noted["left"] is None:
                self.found = self._copy("found", there)
            self._write(left=None)
            emulator_state.write(self.path, emulator_state.read(first))
        else:
            self._copy("first", there)
            self._write(left=None)

    def give_back(self) -> None:
        """Note what this run leaves in it, so that the next run recognises it."""
        self._write(left=emulator_state.read(self.path).digest().hex())

    def _copy(self, name: str, files: emulator_state.DirectoryState) -> Path:
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        beside = self._folder / f".{name}"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(mode=0o700, parents=True)
        emulator_state.write(beside, files)
        beside.rename(folder)
        return folder

    def _write(self, left: str | None) -> None:
        write_durably(self._note, {"directory": str(self.path), "left": left, "at": now()})
