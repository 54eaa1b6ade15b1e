"""A directory of the caller's, in which an emulator keeps its state from run to run.

What was in it when it was first given is kept beside the ledger, and each later run begins with that: a key
that an earlier run has filled would be no empty one. It is put back only over what we have left there
ourselves. If somebody else has changed it since, it is taken as it is found, as if it were given for the
first time; and what a killed run left, which nobody can vouch for, is kept in a folder beside before it goes.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.base.atomic_file import read_json, write_durably
from harness.base.file_name import file_name
from harness.evidence.ledger import now, state_dir
from harness_rigs.emulator import state as emulator_state


class CallersDirectory:
    """One directory, while a rig has it. To be taken under the directory's lock.

    :ivar found: the copy of what a killed run had left, if there was such; for a person to look at.
    """

    def __init__(self, path: Path):
        self.path = path
        self._folder = state_dir() / "directories" / file_name(str(path), "")
        self._note = self._folder / "note.json"
        self.found: Path | None = None

    def take(self) -> None:
        """Make it what it was when it was first given, if what is in it is ours.

        :raises RigError: it cannot be written down.
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
        """Note what is left in it, so that it is known again."""
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
