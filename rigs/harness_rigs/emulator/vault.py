"""The state of an emulator as a vault: copied, put back and compared while the emulator has no power."""

from __future__ import annotations

from harness.api import Vault
from harness_rigs.emulator import state
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.folder import WorkingFolder


class FolderVault(Vault):
    """The files of the working directory."""

    def __init__(self, key: EmulatedKey, folder: WorkingFolder):
        self._key, self._folder = key, folder

    def snapshot(self) -> state.DirectoryState:
        return state.read(self._folder.path)

    def restore(self, state_before: state.DirectoryState) -> None:
        self._key.stop()
        state.write(self._folder.path, state_before)

    def differing(self, one: state.DirectoryState, other: state.DirectoryState) -> list[str]:
        return one.differing(other)
