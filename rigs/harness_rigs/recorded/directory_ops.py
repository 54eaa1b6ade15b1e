"""The operations of which a recording of files consists, and what each does to a directory, whole or torn."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.api import FlashOp, torn
from harness_rigs.emulator.content import overwritten, resized
from harness_rigs.emulator.state import Entry
from harness_rigs.recorded.options import FlashOptions

Entries = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class FileOp:
    """One change of a directory.

    :ivar kind: see `harness_rigs.recorded.events.CHANGES`.
    :ivar chip: the path, relative to the working directory.
    """

    chip: str
    kind: str
    start_us: int
    end_us: int
    offset: int = 0
    data: bytes = b""
    size: int = 0
    mode: int = 0
    to: str = ""
    target: str = ""
    page: int = 0

    @property
    def carries_data(self) -> bool:
        """Whether a disk may write it later than what follows: content, and not names."""
        return self.kind in ("write", "truncate")

    def same_as(self, other: object) -> bool:
        """Whether it writes the same to the same place; when it did so does not count."""
        return isinstance(other, FileOp) and self._what == other._what

    @property
    def _what(self) -> tuple[object, ...]:
        return (
            self.chip,
            self.kind,
            self.offset,
            self.data,
            self.size,
            self.mode,
            self.to,
            self.target,
        )

    def words(self) -> str:
        if self.kind == "write":
            return f"write of {len(self.data)} bytes at {self.offset} of {self.chip}"
        if self.kind == "truncate":
            return f"{self.chip} cut to {self.size} bytes"
        if self.kind in ("rename", "link"):
            return f"{self.kind} of {self.chip} to {self.to}"
        return f"{self.kind} of {self.chip}"


Op = FileOp | FlashOp


def apply(entries: Entries, op: Op, flash: FlashOptions) -> None:
    """Do an operation to the entries of a directory."""
    if isinstance(op, FlashOp):
        _into_page(entries, op, 1.0, b"", 0, flash)
        return
    kind, held, mode = entries.get(op.chip, ("file", b"", 0o644))
    if op.kind == "write":
        entries[op.chip] = (kind, overwritten(held, op.offset, op.data), mode)
    elif op.kind == "truncate":
        entries[op.chip] = (kind, resized(held, op.size), mode)
    elif op.kind == "create":
        entries.setdefault(op.chip, ("file", b"", op.mode))
    elif op.kind == "mkdir":
        entries[op.chip] = ("folder", b"", op.mode)
    elif op.kind == "symlink":
        entries[op.chip] = ("link", op.target.encode("utf-8", "surrogateescape"), 0)
    elif op.kind in ("unlink", "rmdir"):
        entries.pop(op.chip, None)
    elif op.chip not in entries:
        # Lost with the write that had made it.
        return
    elif op.kind == "chmod":
        entries[op.chip] = (kind, held, op.mode)
    elif op.kind == "link":
        entries[op.to] = entries[op.chip]
    elif op.kind == "rename":
        _rename(entries, op.chip, op.to)


def apply_torn(entries: Entries, op: Op, phi: float, seed: bytes, number: int, flash: FlashOptions) -> None:
    """Do the part of an operation that was done at the fraction `phi` of its time.

    A page of a flash is torn as those of the twins are. A write to a file breaks between two blocks. A change of names
    is done whole or not at all.

    :param seed: key of the hashes that decide which cells change. :param number: of the operation, from 1.
    """
    if phi <= 0:
        return
    if isinstance(op, FlashOp):
        _into_page(entries, op, phi, seed, number, flash)
    elif phi >= 1:
        apply(entries, op, flash)
    elif op.kind == "write":
        ends = blocks(op, flash.block_size)
        done = int(phi * len(ends))
        if done:
            apply(entries, replace(op, data=op.data[: ends[min(done, len(ends) - 1) - 1] - op.offset]), flash)


def blocks(op: FileOp, block_size: int) -> list[int]:
    """Where each block that a write touches ends in the file, or the write in its last one."""
    end = op.offset + len(op.data)
    first = (op.offset // block_size + 1) * block_size
    return [*range(first, end, block_size), end]


def _rename(entries: Entries, path: str, to: str) -> None:
    if path not in entries or path == to:
        return
    entries[to] = entries.pop(path)
    for name in [name for name in entries if name.startswith(f"{path}/")]:
        entries[to + name[len(path) :]] = entries.pop(name)


def _into_page(
    entries: Entries, op: FlashOp, phi: float, seed: bytes, number: int, flash: FlashOptions
) -> None:
    kind, held, mode = entries[op.chip]
    start, end = op.page * flash.page_size, (op.page + 1) * flash.page_size
    page = flipped(held[start:end], flash.erase_value)
    done = flipped(torn(page, op, phi, seed, number, flash.word_size), flash.erase_value)
    entries[op.chip] = (kind, overwritten(held, start, done), mode)


_INVERTED = bytes(byte ^ 0xFF for byte in range(256))


def flipped(data: bytes, erase_value: int) -> bytes:
    """The content of flash in the sense of the model, whose erased cells are 1; the same function turns it back."""
    return data if erase_value == 0xFF else data.translate(_INVERTED)
