"""Read logs as people send them: quoted in a mail, wrapped, mixed, in any encoding, of any size, or no log at all.

A file is read once, a block at a time, so that one of 1 GB needs no more memory than a small one. Of a large one only
lines in which the text of a known format stands are looked at. Where much is understood, the middle is only counted.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from harness.base.errors import CallerError
from harness.field.clock import Clock, joined_events
from harness.field.events import LogEvent, classify
from harness.field.knowledge import Knowledge
from harness.field.packed_log import Bytes, opened
from harness.field.redact import Redactor
from harness.field.stamps import Stamp, read_stamp

BLOCK_BYTES = 1 << 18
LINE_BYTES = 4096
"""A longer line is cut: no log has one."""
KEPT_MAX = 20_000
"""So many events are kept of one reading. After half of them the middle of a file is counted only."""
WHOLE_BYTES = 1 << 20
"""So much of each file is looked at line by line; after that only lines that can have a known format."""
TAIL_BLOCKS = 16
"""So many blocks at the end of a file are looked at, however much was understood before: the failure is there. Of a
flood fewer: those whose events can all be kept."""
_QUOTE = re.compile(r"^(?:[>|]\s?)+")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Letters that would move the cursor of who reads it."""
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Entry:
    """One line that was understood.

    :ivar file: number of the file, from 0. :ivar line: of the file, from 1.
    """

    file: int
    line: int
    stamp: Stamp | None
    event: LogEvent
    text: str


@dataclass
class Reading:
    """What was read.

    :ivar entries: the lines that were understood, in the order of the files.
    :ivar lines: how many lines there were. :ivar blank: how many of them were empty.
    :ivar dropped: how many understood lines were counted only, because there were too many.
    :ivar skipped: how many lines in the middle of a file were not looked at, because enough was understood before.
    :ivar notes: sentences on what of a packed file was not read.
    """

    files: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    lines: int = 0
    blank: int = 0
    dropped: int = 0
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)

    @property
    def understood(self) -> int:
        return sum(self.sources.values())

    @property
    def not_understood(self) -> int:
        return self.lines - self.blank - self.skipped - self.understood


def read(paths: list[Path], known: Knowledge) -> Reading:
    """Read logs, private details replaced.

    :raises CallerError: a file is not there or may not be read.
    """
    reading, redact = Reading(), Redactor()
    for number, path in enumerate(paths):
        reading.files.append(path.name)
        try:
            with path.open("rb") as file:
                _check_ends(path, file)
                log = opened(path.name, file, reading.notes.append)
                _read_one(reading, number, log, known, redact)
        except OSError as error:
            raise CallerError(
                f"{path}", found=error.strerror or str(error), expected="a log that can be read"
            ) from None
    return reading


def _check_ends(path: Path, file: BinaryIO) -> None:
    """:raises CallerError: it is a device that gives bytes without an end, as /dev/zero does. A terminal ends."""
    if stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty() and path != Path(os.devnull):
        raise CallerError(f"{path}", found="a device", expected="a file, or a pipe that ends")


def _read_one(reading: Reading, number: int, file: Bytes, known: Knowledge, redact: Redactor) -> None:
    first, kept = reading.lines, len(reading.entries)
    device, clock = "", Clock()
    enough = lambda: len(reading.entries) - kept >= KEPT_MAX // 2  # noqa: E731 - asked again for each block
    for line, raw in joined_events(_unwrapped(_lines(file, reading, known, enough))):
        text = raw.strip()
        if not text:
            reading.blank += 1
            clock.end_record(line - first)
            continue
        stamp, head, rest = clock(line - first, text)
        if not known.prefilter.formats(rest):
            continue
        # What is private goes first: nothing that is read from a line can bring it back.
        clean = redact.after_time(rest) if stamp is not None else redact(rest)
        event = classify(clean, known)
        if event is None:
            continue
        device, event = _of_device(device, event)
        reading.sources[event.source] += 1
        if len(reading.entries) == KEPT_MAX:
            reading.dropped += 1
            continue
        reading.entries.append(Entry(number, line - first, stamp, event, head + clean))


def _of_device(device: str, event: LogEvent) -> tuple[str, LogEvent]:
    """Say of which device a section of Windows' log tells, at its end: others stand in the same log.

    :param device: the one that the section has named so far; returned as it is for the next line.
    """
    if event.kind == "setup-section":
        return event.about["text"], event
    if event.kind == "setup-device":
        return device or "USB\\VID_{vendor}&PID_{product}".format_map(event.about), event
    if event.kind == "setup-failed":
        return device, replace(event, about={**event.about, "device": device})
    if event.kind == "setup-status":
        return "", replace(event, about={**event.about, "device": device})
    return device, event


def _lines(
    file: Bytes, reading: Reading, known: Knowledge, enough: Callable[[], bool]
) -> Iterator[tuple[int, str]]:
    """(number over all files, text) of the lines that can have a known format.

    :param enough: whether so much was understood that only the end is still looked at.
    """
    last: deque[bytes] = deque()
    done = 0
    for block in _blocks(file):
        if not enough():
            yield from _of_block(block, reading, known, whole=done < WHOLE_BYTES)
            done += len(block)
            continue
        last.append(block)
        if len(last) > TAIL_BLOCKS:
            _skip(last.popleft(), reading)
    for _ in range(len(last) - _of_the_end(last, known, KEPT_MAX - len(reading.entries))):
        _skip(last.popleft(), reading)
    for block in last:
        yield from _of_block(block, reading, known, whole=False)


def _skip(block: bytes, reading: Reading) -> None:
    count = block.count(b"\n") + 1
    reading.lines += count
    reading.skipped += count


def _of_the_end(last: Sequence[bytes], known: Knowledge, room: int) -> int:
    """How many of the last blocks have no more lines that can be understood than there is room for; at least one."""
    lines = 0
    for number, block in enumerate(reversed(last)):
        lines += sum(1 for _ in known.prefilter.lines(block))
        if lines > room:
            return max(1, number)
    return len(last)


def _of_block(block: bytes, reading: Reading, known: Knowledge, *, whole: bool) -> Iterator[tuple[int, str]]:
    """The lines of a block, all of them if `whole`."""
    before = reading.lines
    if whole:
        for one in block.split(b"\n"):
            reading.lines += 1
            yield reading.lines, _text(one)
        return
    at, number, until = 0, before, -1
    for begin, end in known.prefilter.lines(block):
        if begin <= until:
            continue
        number += block.count(b"\n", at, begin)
        at = begin
        text = _text(block[begin:end])
        yield number + 1, text
        if _breaks_off(text) and end < len(block):
            # A mail program broke it: the rest stands in the next line, and may have nothing else that is known.
            until = block.find(b"\n", end + 1)
            until = len(block) if until < 0 else until
            yield number + 2, _text(block[end + 1 : until])
    reading.lines = before + block.count(b"\n") + 1
    reading.blank += block.count(b"\n\n")


def _blocks(file: Bytes) -> Iterator[bytes]:
    """Whole lines, some hundred kilobytes of them at a time, without the last newline."""
    rest = b""
    decoder: codecs.IncrementalDecoder | None = None
    first = True
    while block := file.read(BLOCK_BYTES):
        if first and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            # As Windows' editors save them.
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        first = False
        if decoder is not None:
            block = decoder.decode(block).encode("utf-8", "replace")
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = rest + block
        whole, newline, rest = data.rpartition(b"\n")
        if not newline and len(rest) > BLOCK_BYTES:
            rest = rest[:LINE_BYTES]
        if newline:
            yield whole
    if rest:
        yield rest


def _text(raw: bytes) -> str:
    text = _TERMINAL.sub("", raw[:LINE_BYTES].decode("utf-8", "replace"))
    return _QUOTE.sub("", _UNSEEN.sub("", text))


def _unwrapped(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join a line that a mail program broke: it has no time of its own, and the one before has one and says too little.

    Both parts are given if the whole says nothing.
    """
    held: tuple[int, str] | None = None
    for number, text in lines:
        if held is not None:
            if _breaks_off(held[1]) and text.strip() and read_stamp(text)[0] is None:
                yield held[0], f"{held[1].rstrip()} {text.strip()}"
                held = None
                continue
            yield held
        held = (number, text)
    if held is not None:
        yield held


_BROKEN = re.compile(
    r"(?:new [\w +-]+? USB device(?: number(?: \d+)?)?|device descriptor read/\w+,|idVendor=\w+,|USB HID v[\d.]+"
    r"|device not accepting address(?: \d+,)?|unable to enumerate USB|USB disconnect,(?: device)?"
    r"|strings:(?: Mfr=\d+,)?)$"
)


def _breaks_off(text: str) -> bool:
    return _BROKEN.search(text.rstrip()) is not None and read_stamp(text)[0] is not None
