"""What a mapped flash file writes back, in an order that nobody has promised: the pages of one msync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.api import FlashOp
from harness_rigs.recorded.directory_ops import Entries, FileOp
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.options import FlashOptions


@dataclass(frozen=True, slots=True)
class WriteBack:
    """Pages of a flash file that were written back together.

    The kernel writes them by their addresses. In which order the firmware changed them is not seen, and a kernel whose
    power goes may have written any of them.

    :ivar pages: numbers of the operations of each page, from 1, in the order in which they were written.
    """

    pages: tuple[tuple[int, ...], ...]

    def before(self, number: int) -> tuple[tuple[int, ...], ...]:
        """The pages before the one whose last operation it is; none if it is no last one."""
        for n, page in enumerate(self.pages):
            if page[-1] == number:
                return self.pages[:n]
        return ()


def written_back(ops: Sequence[FileOp | FlashOp], runs: Sequence[int | None]) -> tuple[WriteBack, ...]:
    """Find the pages that were written back together; two at least.

    :param runs: for each operation, the number of the write-back that it belongs to; None: the firmware wrote itself.
    """
    found: dict[int, dict[int, list[int]]] = {}
    for number, (op, run) in enumerate(zip(ops, runs), 1):
        if run is not None and isinstance(op, FlashOp):
            found.setdefault(run, {}).setdefault(op.page, []).append(number)
    return tuple(WriteBack(tuple(map(tuple, pages.values()))) for pages in found.values() if len(pages) > 1)


def batches(events: Sequence[FileEvent], flash: FlashOptions) -> Iterator[list[FileEvent]]:
    """The events in their order; host pages of one flash page that are written back one after the other are one item.

    The flash page is larger than a page of the host: each of its parts alone would be an erase and a program of all of
    it, which no firmware does.
    """
    batch: list[FileEvent] = []
    for event in events:
        if batch and not _belongs(batch[-1], event, flash):
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


def joined(batch: Sequence[FileEvent], entries: Entries) -> FileEvent:
    """One write in the place of several.

    :param entries: the directory before the first of them.
    """
    first, last = batch[0], batch[-1]
    held = entries[first.path][1] if first.path in entries else b""
    data = b""
    for event in batch:
        # Pages that were not written in between stay as they are.
        end = first.offset + len(data)
        data += bytes(held[end : event.offset]).ljust(event.offset - end, b"\0") + event.data
    return replace(first, data=data, end_us=last.end_us)


def together(before: FileEvent, event: FileEvent, flash: FlashOptions) -> bool:
    """Whether the kernel writes both for one file, the second one further behind: an fsync in between parts them."""
    return (
        before.mapped
        and event.mapped
        and before.path == event.path
        and event.path in flash.images
        and before.offset + len(before.data) <= event.offset
    )


def _belongs(before: FileEvent, event: FileEvent, flash: FlashOptions) -> bool:
    last = before.offset + len(before.data) - 1
    return together(before, event, flash) and last // flash.page_size == event.offset // flash.page_size
