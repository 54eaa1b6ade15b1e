"""A real littlefs on a flash layer.

littlefs-python calls the read, program and erase hooks from C, which no exception may cross. At a cut a hook
returns -5 (LFS_ERR_IO), and the wrapper here raises PowerLost after the C call has returned.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from littlefs import lfs
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from harness.twin.known_reads import Answer, KnownReads, Question
from harness.twin.rail import PowerLost

if TYPE_CHECKING:
    from harness.twin.flash_layers import Layer
    from harness.twin.rail import PowerRail

_IO, _NOENT, _EXIST, _NOSPC = -5, -2, -17, -28


class StoreFull(Exception):
    """The file system is full."""


class StoreDamaged(Exception):
    """littlefs cannot read a file, a directory or the whole file system."""


@lru_cache(maxsize=16)
def _places(base: int, block_size: int, blocks: int, page_size: int) -> list[tuple[int, int]]:
    """The page of each block, and where in the page the block starts."""
    return [divmod(base + block * block_size, page_size) for block in range(blocks)]


@lru_cache(maxsize=16)
def _known_reads(*geometry: int, base: int, block_size: int, blocks: int, page_size: int) -> KnownReads:
    """What file systems of the same geometry have answered in this process."""
    return KnownReads(_places(base, block_size, blocks, page_size), block_size)


class _Context(UserContext):
    """littlefs' block device callbacks.

    :ivar read_blocks: where each block that littlefs reads is noted; None if nobody asks.
    :ivar is_read_only: nothing is written, and no time passes, when littlefs tries to.
    """

    def __init__(self, layer: Layer):
        self._layer = layer
        self._flash = layer.flash
        page_size = layer.flash.part.page_size
        self._places = _places(layer.base, layer.block_size, layer.blocks, page_size)
        self.read_blocks: set[int] | None = None
        self.is_read_only = False

    def read(self, cfg: object, block: int, off: int, size: int) -> bytes:  # type: ignore[override]
        # Called hundreds of times for each look at a key: a table and one slice, no other call.
        if self.read_blocks is not None:
            self.read_blocks.add(block)
        flash = self._flash
        if flash.answers_us and not flash.answers:
            return b"\xff" * size
        page, start = self._places[block]
        start += off
        return flash.pages[page][start : start + size]

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        return 0 if not self.is_read_only and self._layer.program(block, off, bytes(data)) else _IO

    def erase(self, cfg: object, block: int) -> int:
        return 0 if not self.is_read_only and self._layer.erase(block) else _IO

    def sync(self, cfg: object) -> int:
        return 0


class Store:
    """The file system of one chip, during one boot.

    All methods raise PowerLost when the power fails in them, StoreDamaged for what cannot be read, and StoreFull
    when there is no space.

    :param geometry: littlefs parameters: block_size, read_size, prog_size, cache_size, lookahead_size.
    :ivar known: answers that are used again; None asks littlefs each time.
    """

    def __init__(self, layer: Layer, rail: PowerRail, **geometry: int):
        self.layer = layer
        self._rail = rail
        self._context = _Context(layer)
        self._config = lfs.LFSConfig(
            context=self._context, block_count=layer.blocks, block_cycles=-1, **geometry
        )
        self._fs = lfs.LFSFilesystem()
        self._mounted = False
        self._consistent = False
        self.known: KnownReads | None = _known_reads(
            *(value for _, value in sorted(geometry.items())),
            base=layer.base,
            block_size=layer.block_size,
            blocks=layer.blocks,
            page_size=layer.flash.part.page_size,
        )

    def format(self) -> None:
        """Make a new, empty file system; it is not mounted."""
        self._call(lfs.format, lfs.LFSFilesystem(), self._config)

    def mount(self) -> None:
        """Mount, with empty caches."""
        self._mounted = self._consistent = False
        self._mount()
        self._mounted = True
        self._consistent = self._is_consistent()
        if not self._consistent:
            # littlefs has begun to repair its state in memory: start from the flash again.
            self._mount()

    def _mount(self) -> None:
        self._fs = lfs.LFSFilesystem()
        self._call(lfs.mount, self._fs, self._config)

    def _is_consistent(self) -> bool:
        """Did the last power cut leave littlefs nothing to repair? It would do that before its next write."""
        self._context.is_read_only = True
        try:
            lfs.fs_mkconsistent(self._fs)
        except LittleFSError:
            return False
        finally:
            self._context.is_read_only = False
        return True

    def read(self, path: str) -> bytes | None:
        """Read a whole file; None if there is no such file."""
        content = self._answer(("read", path), self._read)
        assert content is None or isinstance(content, bytes)
        return content

    def _answer(self, question: Question, ask: Callable[[str], Answer]) -> Answer:
        """What littlefs answers, or has answered from the same blocks."""
        self._require_mounted()
        known, flash = self.known, self.layer.flash
        if known is None or not self._consistent or self._rail.dead or not flash.answers:
            return ask(question[1])
        if (found := known.find(question, flash.pages)) is not None:
            return found.answer
        blocks: set[int] = set()
        self._context.read_blocks = blocks
        try:
            answer = ask(question[1])
        finally:
            self._context.read_blocks = None
        known.keep(question, flash.pages, blocks, answer)
        return answer

    def _read(self, path: str) -> bytes | None:
        try:
            handle = lfs.file_open(self._fs, path, "r")
        except LittleFSError as error:
            if error.code == _NOENT:
                return None
            raise self._translated(error) from None
        try:
            size = lfs.file_size(self._fs, handle)
            return bytes(lfs.file_read(self._fs, handle, size))
        except LittleFSError as error:
            raise self._translated(error) from None
        finally:
            self._call_ignoring_errors(lfs.file_close, self._fs, handle)

    def write(self, path: str, data: bytes) -> None:
        """Replace or create a file.

        Replacing is atomic: littlefs commits the new content when the file is closed. Creating is not: the
        empty file is committed first (littlefs #1164), so readers must treat an empty file as missing.
        """
        self._write(path, data, "w")

    def _write(self, path: str, data: bytes, flags: str) -> None:
        self._require_writable()
        handle = self._call(lfs.file_open, self._fs, path, flags)
        try:
            self._call(lfs.file_write, self._fs, handle, data)
        except BaseException:
            self._call_ignoring_errors(lfs.file_close, self._fs, handle)
            raise
        self._call(lfs.file_close, self._fs, handle)

    def write_in_place(self, path: str, data: bytes) -> None:
        """Replace a file in three commits: empty, the first half, everything. Only defects write like this."""
        for part in (b"", data[: len(data) // 2], data):
            self.write(path, part)

    def remove(self, path: str) -> bool:
        """Remove a file; False if there was none."""
        self._require_writable()
        try:
            lfs.remove(self._fs, path)
        except LittleFSError as error:
            if error.code == _NOENT:
                return False
            raise self._translated(error) from None
        return True

    def rename(self, old: str, new: str) -> None:
        """Rename, replacing what is there; atomic."""
        self._require_writable()
        self._call(lfs.rename, self._fs, old, new)

    def make_directory(self, path: str) -> None:
        """Create a directory if it is not there."""
        self._require_writable()
        try:
            lfs.mkdir(self._fs, path)
        except LittleFSError as error:
            if error.code != _EXIST:
                raise self._translated(error) from None

    def names(self, path: str) -> list[str]:
        """The sorted names in a directory; empty if there is no such directory."""
        names = self._answer(("names", path), self._names)
        assert isinstance(names, tuple)
        return list(names)

    def _names(self, path: str) -> tuple[str, ...]:
        try:
            handle = lfs.dir_open(self._fs, path)
        except LittleFSError as error:
            if error.code == _NOENT:
                return ()
            raise self._translated(error) from None
        found = []
        try:
            while (entry := lfs.dir_read(self._fs, handle)) is not None:
                if entry.name not in (".", ".."):
                    found.append(entry.name)
        except LittleFSError as error:
            raise self._translated(error) from None
        finally:
            self._call_ignoring_errors(lfs.dir_close, self._fs, handle)
        return tuple(sorted(found))

    def free_blocks(self) -> int:
        """How many blocks are free."""
        used = self._answer(("size", "/"), lambda _: int(self._call(lfs.fs_size, self._fs)))
        assert isinstance(used, int)
        return self.layer.blocks - used

    def _require_mounted(self) -> None:
        if not self._mounted:
            raise StoreDamaged("the file system is not mounted")

    def _require_writable(self) -> None:
        self._require_mounted()
        if self.layer.failed:
            raise StoreDamaged("a page did not take a write")

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            result = function(*args)
        except LittleFSError as error:
            raise self._translated(error) from None
        if self._rail.dead:
            raise PowerLost
        return result

    def _call_ignoring_errors(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            function(*args)
        except LittleFSError:
            if self._rail.dead:
                raise PowerLost from None

    def _translated(self, error: LittleFSError) -> BaseException:
        # What a failed call leaves in littlefs' memory is not looked into.
        self._consistent = False
        if self._rail.dead:
            return PowerLost()
        if error.code == _NOSPC:
            return StoreFull(str(error))
        return StoreDamaged(str(error))
