"""A write to a file that is a flash, as the erases and programs that a flash needs for it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.api import FlashOp
from harness_rigs.emulator.content import Content
from harness_rigs.recorded.directory_ops import flipped
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.options import FlashOptions

RUNS = 8
"""Most pieces in which a page is programmed for one write. If there are more, neighbours are joined: a firmware that
writes a whole page programs it as a whole, and the words in between keep what they have."""


def flash_ops(
    path: str, content: Content, offset: int, data: bytes, start_us: int, end_us: int, flash: FlashOptions
) -> list[FlashOp]:
    """The operations that turn a flash's content into what a write makes of it, in the order of pages.

    A page that only loses bits is programmed where it changes. A page that gains a bit is erased, and what is not
    erased of its new content is programmed: no flash can do less. Times are shared out evenly.

    :param content: of the whole file before the write, which lies within it.
    """
    found: list[tuple[str, int, int, bytes]] = []
    size = flash.page_size
    for page in range(offset // size, -(-(offset + len(data)) // size)):
        start = page * size
        old = content[start : start + size]
        low, high = max(offset, start), min(offset + len(data), start + size)
        new = old[: low - start] + data[low - offset : high - offset] + old[high - start :]
        if new != old:
            found += _of_page(page, flipped(old, flash.erase_value), flipped(new, flash.erase_value), flash)
    step = (end_us - start_us) / len(found) if found else 0
    return [
        FlashOp(
            path,
            "erase" if kind == "erase" else "program",
            page,
            at,
            bytes_,
            round(start_us + n * step),
            round(start_us + (n + 1) * step),
        )
        for n, (kind, page, at, bytes_) in enumerate(found)
    ]


def driver_ops(event: FileEvent, flash: FlashOptions) -> list[FlashOp]:
    """The operations of one request to the flash behind a driver, in the order of pages."""
    size, end = flash.page_size, event.offset + event.size
    pages = range(event.offset // size, -(-end // size))
    step = (event.end_us - event.start_us) / len(pages)
    found = []
    for n, page in enumerate(pages):
        times = round(event.start_us + n * step), round(event.start_us + (n + 1) * step)
        if event.kind == "erase":
            found.append(FlashOp(event.path, "erase", page, 0, b"", *times))
            continue
        low, high = max(event.offset, page * size), min(end, (page + 1) * size)
        data = flipped(event.data[low - event.offset : high - event.offset], flash.erase_value)
        found.append(FlashOp(event.path, "program", page, low - page * size, data, *times))
    return found


def _of_page(page: int, old: bytes, new: bytes, flash: FlashOptions) -> Iterator[tuple[str, int, int, bytes]]:
    gained = int.from_bytes(new, "big") & ~int.from_bytes(old, "big")
    if gained:
        yield "erase", page, 0, b""
        old = b"\xff" * len(old)
    for start, end in _runs(old, new, flash.word_size):
        yield "program", page, start, new[start:end]


def _runs(old: bytes, new: bytes, word: int) -> list[tuple[int, int]]:
    """Where words differ: from, up to; RUNS at most."""
    runs: list[tuple[int, int]] = []
    for at in range(0, len(new), word):
        if new[at : at + word] == old[at : at + word]:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + word)
        else:
            runs.append((at, at + word))
    by_gap = sorted(range(1, len(runs)), key=lambda n: runs[n - 1][1] - runs[n][0])
    apart = sorted(by_gap[: RUNS - 1])
    return [(runs[low][0], runs[high - 1][1]) for low, high in zip([0, *apart], [*apart, len(runs)]) if runs]
