"""The state of an emulator as a vault: copied, put back and compared while the emulator has no power."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from harness.api import Vault
from harness_rigs.emulator import state
from harness_rigs.emulator.content import content
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.folder import WorkingFolder

TABLE = "directory.json"


class FolderVault(Vault):
    """The files of the working directory."""

    def __init__(self, key: EmulatedKey, folder: WorkingFolder):
        self._key, self._folder = key, folder

    def snapshot(self) -> state.DirectoryState:
        return state.read(self._folder.path)

    def restore(self, state_before: state.DirectoryState) -> None:
        self._key.stop()
        state.write(self._folder.path, state_before)

    def emptied(self, kept: object) -> state.DirectoryState:
        """The same without files, but for programs: firmware may lie there, too."""
        assert isinstance(kept, state.DirectoryState), "a state of this vault"
        return state.DirectoryState(
            {name: entry for name, entry in kept.entries.items() if entry[0] != "file" or entry[2] & 0o111}
        )

    def differing(self, one: state.DirectoryState, other: state.DirectoryState) -> list[str]:
        return one.differing(other)

    def to_files(self, kept: object) -> dict[str, bytes]:
        """Links and modes stand in a table of their own."""
        assert isinstance(kept, state.DirectoryState), "a state of this vault"
        table = {name: [kind, mode] for name, (kind, _, mode) in kept.entries.items()}
        files = {
            f"files/{name}": bytes(held) for name, (kind, held, _) in kept.entries.items() if kind != "folder"
        }
        return {TABLE: json.dumps(table, sort_keys=True).encode(), **files}

    def from_files(self, files: Mapping[str, bytes]) -> state.DirectoryState:
        if TABLE not in files:
            raise ValueError(f"{TABLE} is missing")
        table = json.loads(files[TABLE])
        entries = {}
        for name, (kind, mode) in table.items():
            if kind != "folder" and f"files/{name}" not in files:
                raise ValueError(f"files/{name} is missing")
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name} is outside of the directory")
            entries[str(name)] = (str(kind), content(files.get(f"files/{name}", b"")), int(mode))
        return state.DirectoryState(entries)
