"""The files of a simulated card, with changes of several files that happen together or not at all.

One replaced file is atomic by itself, as littlefs makes it. A change of several files is first written down as a
record (`redo`), then done, then the record is removed; a boot that finds a record does the change again. An empty file
is one whose creation a cut broke off, and counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from harness.api import Damaged, StoreFull, records

REDO = "redo"
KEPT = frozenset({"device"})
"""What no INITIALIZE removes: the identity of the device."""
_BLOCK = 512


class Volume(Protocol):
    """Where the files lie: a Store, or what stands before several. The methods are those of Store."""

    def read(self, path: str) -> bytes | None: ...

    def write(self, path: str, data: bytes) -> None: ...

    def write_in_place(self, path: str, data: bytes) -> None: ...

    def remove(self, path: str) -> bool: ...

    def names(self, path: str) -> list[str]: ...

    def free_blocks(self) -> int: ...


class Files:
    """The files of one boot.

    All methods raise PowerLost; reading raises StoreDamaged.
    """

    def __init__(self, store: Volume):
        self._store = store

    def read(self, name: str) -> bytes | None:
        """Return the content of a file; None if there is none."""
        return self._store.read(name) or None

    def record(self, name: str) -> dict[int, Any] | None:
        """Return a record; None if there is none, or none that can be read."""
        try:
            return records.read(self._store, name)
        except Damaged:
            return None

    def names(self) -> list[str]:
        """The names of all files, sorted; files whose creation was broken off are not among them."""
        return [name for name in self._store.names("/") if name != REDO and self.read(name) is not None]

    def write(self, name: str, content: bytes) -> None:
        """Replace or create one file, atomically.

        :raises StoreFull: there is no space.
        """
        self._require_space(content)
        self._store.write(name, content)

    def write_in_place(self, name: str, content: bytes) -> None:
        """Write a file in pieces; only defects do."""
        self._store.write_in_place(name, content)

    def remove(self, name: str) -> None:
        self._store.remove(name)

    def change(self, files: Mapping[str, bytes | None], *, wipe: bool = False) -> None:
        """Write several files (None: remove) as one change.

        :param wipe: remove every other file first, except those that are always kept.
        :raises StoreFull: there is no space for them.
        """
        contents = [content for content in files.values() if content is not None]
        if not wipe:
            # The record holds every content once more.
            self._require_space(*contents, *contents)
        self._store.write(
            REDO, records.seal({1: wipe, 2: [[name, content] for name, content in files.items()]})
        )
        self._do(files, wipe)

    def resume(self) -> None:
        """Run at every boot: do a change again that a cut may have broken off."""
        try:
            found = records.read(self._store, REDO)
        except Damaged:
            found = None
        if found is not None:
            self._do(dict(found[2]), found[1])

    def _do(self, files: Mapping[str, bytes | None], wipe: bool) -> None:
        if wipe:
            for name in self._store.names("/"):
                if name not in KEPT and name not in files and name != REDO:
                    self._store.remove(name)
        for name, content in files.items():
            if content is None:
                self._store.remove(name)
            else:
                self._store.write(name, content)
        self._store.remove(REDO)

    def _require_space(self, *contents: bytes) -> None:
        """See that a change cannot fail half-way: three blocks stay free for directories."""
        needed = sum(-(-len(content) // _BLOCK) + 1 for content in contents)
        if needed + 3 > self._store.free_blocks():
            raise StoreFull("no space")
