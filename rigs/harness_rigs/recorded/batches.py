"""What a mapped flash file writes back: pages of the host, which together are one write to a page of the flash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness_rigs.recorded.directory_ops import Entries
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.options import FlashOptions

HOST_PAGE = 4096
"""Size of the pages in which a mapping is written back."""


def batches(events: Sequence[FileEvent], flash: FlashOptions) -> Iterator[list[FileEvent]]:
    """The events in their order; host pages of one flash page that follow each other are one item.

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


def _belongs(before: FileEvent, event: FileEvent, flash: FlashOptions) -> bool:
    if (
        not before.kind == event.kind == "write"
        or before.path != event.path
        or event.path not in flash.images
    ):
        return False
    whole = all(one.offset % HOST_PAGE == 0 == len(one.data) % HOST_PAGE for one in (before, event))
    end = before.offset + len(before.data)
    return whole and end <= event.offset and (end - 1) // flash.page_size == event.offset // flash.page_size
