"""The state of an emulator: the files of its working directory, copied, restored and compared while it is dead."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness_rigs.emulator.content import Chunks, Content, content

Entry = tuple[str, Content, int]
"""Kind ("file", "link", "folder"), content or target, mode."""


@dataclass(frozen=True)
class DirectoryState:
    """The content of a directory, by relative path."""

    entries: dict[str, Entry] = field(repr=False)

    def digest(self) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.entries):
            kind, held, mode = self.entries[name]
            data = held.digest() if isinstance(held, Chunks) else held
            digest.update(f"{name}\0{kind}\0{mode}\0{len(held)}\0".encode() + data)
        return digest.digest()

    def differing(self, other: DirectoryState) -> list[str]:
        """The paths whose content is not the same in both."""
        names = sorted({*self.entries, *other.entries})
        return [name for name in names if self.entries.get(name) != other.entries.get(name)]


def read(folder: Path) -> DirectoryState:
    """Copy a directory. Sockets and pipes are left out: they hold no state."""
    entries: dict[str, Entry] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            entries[name] = ("link", os.fsencode(os.readlink(path)), 0)
        elif path.is_dir():
            entries[name] = ("folder", b"", mode)
        elif path.is_file():
            entries[name] = ("file", content(path.read_bytes()), mode)
    return DirectoryState(entries)


def write(folder: Path, files: DirectoryState) -> None:
    """Restore a directory; files that are the same already are not touched."""
    for path in sorted(folder.rglob("*"), reverse=True):
        entry = files.entries.get(str(path.relative_to(folder)))
        kind = "link" if path.is_symlink() else "folder" if path.is_dir() else "file"
        if entry is None or entry[0] != kind:
            shutil.rmtree(path) if kind == "folder" else path.unlink()
    for name, (kind, held, mode) in files.entries.items():
        path = folder / name
        if kind == "folder":
            path.mkdir(exist_ok=True)
        elif kind == "link":
            if path.is_symlink():
                path.unlink()
            path.symlink_to(os.fsdecode(bytes(held)))
            continue
        elif not path.is_file() or content(path.read_bytes()) != held:
            path.write_bytes(bytes(held))
        if path.stat().st_mode & 0o7777 != mode:
            path.chmod(mode)
