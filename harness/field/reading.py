"""Read logs as people send them: quoted in a mail, wrapped, mixed, in any encoding, of any size, or no log at all.

A file is read once, a block at a time, so that one of 1 GB needs no more memory than a small one. A block in which no
word of a known format occurs is counted and left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.base.errors import CallerError
from harness.field.events import LogEvent, classify
from harness.field.knowledge import Knowledge
from harness.field.redact import Redactor
from harness.field.stamps import Stamp, read_stamp

BLOCK_BYTES = 1 << 18
LINE_BYTES = 4096
"""A longer line is cut: no log has one."""
KEPT_MAX = 20_000
"""So many events are kept of one reading; the rest is counted."""
WORDS = (
    *(b"usb", b"USB", b"hid", b"HID", b"pcsc", b".c:", b"itro", b"irmware"),
    *(b"gpg", b"card", b"Card", b"PIN", b"sign", b"fido", b"FIDO", b"ersion"),
    *(b"apdu", b"ermission", b"uccess", b"UCCESS", b"rror", b"descriptor", b"hub", b"status"),
    *(b"Device", b"Signature", b"Manufacturer", b"Reader", b"Application", b"Port", b"xhci", b"cdc_acm"),
    *(b"blocks", b"class", b"IOUSB", b"VID_", b"PnP", b"bcd", b"AILURE", b"attach"),
    *(b"tests", b"Platform", b"session"),
)
"""One of them is in each line of a known format; a block without any has no such line."""
_QUOTE = re.compile(r"^(?:[>|]\s?)+")
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
    """

    files: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    lines: int = 0
    blank: int = 0
    dropped: int = 0
    sources: Counter[str] = field(default_factory=Counter)

    @property
    def understood(self) -> int:
        return sum(self.sources.values())

    @property
    def not_understood(self) -> int:
        return self.lines - self.blank - self.understood


def read(paths: list[Path], known: Knowledge) -> Reading:
    """Read logs, private details replaced.

    :raises CallerError: a file is not there or may not be read.
    """
    reading, redact = Reading(), Redactor()
    for number, path in enumerate(paths):
        reading.files.append(path.name)
        try:
            with path.open("rb") as file:
                _read_one(reading, number, file, known, redact)
        except OSError as error:
            raise CallerError(
                f"{path}", found=error.strerror or str(error), expected="a log that can be read"
            ) from None
    return reading


def _read_one(reading: Reading, number: int, file: BinaryIO, known: Knowledge, redact: Redactor) -> None:
    first = reading.lines
    for line, raw in _unwrapped(_lines(file, reading)):
        text = raw.strip()
        if not text:
            reading.blank += 1
            continue
        stamp, rest = read_stamp(text)
        # What is private goes first: nothing that is read from a line can bring it back.
        event = classify(redact(rest), known)
        if event is None:
            continue
        reading.sources[event.source] += 1
        if len(reading.entries) == KEPT_MAX:
            reading.dropped += 1
            continue
        reading.entries.append(Entry(number, line - first, stamp, event, redact(text)))


def _lines(file: BinaryIO, reading: Reading) -> Iterator[tuple[int, str]]:
    """(number over all files, text) of the lines of those blocks that can have a known one."""
    rest = b""
    encoding = "utf-8"
    while block := file.read(BLOCK_BYTES):
        if not reading.lines and block[:2] in (b"\xff\xfe", b"\xfe\xff"):
            encoding = "utf-16"
        if encoding == "utf-16":
            # As Windows' editors save them; such files are small.
            block = (block + file.read()).decode("utf-16", "replace").encode()
            encoding = "utf-8"
        data = rest + block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        whole, newline, rest = data.rpartition(b"\n")
        if not newline and len(rest) > BLOCK_BYTES:
            rest = rest[:LINE_BYTES]
        if not whole:
            continue
        if not any(word in whole for word in WORDS):
            reading.lines += whole.count(b"\n") + 1
            continue
        for one in whole.split(b"\n"):
            reading.lines += 1
            yield reading.lines, _text(one)
    if rest:
        reading.lines += 1
        yield reading.lines, _text(rest)


def _text(raw: bytes) -> str:
    text = _TERMINAL.sub("", raw[:LINE_BYTES].decode("utf-8", "replace"))
    return _QUOTE.sub("", text.replace("\0", ""))


def _unwrapped(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join a line that a mail program broke: it has no time of its own, and the one before has one and says too little.

    Both parts are given if the whole says nothing.
    """
    held: tuple[int, str] | None = None
    for number, text in lines:
        if held is not None:
            stamp, _ = read_stamp(text)
            if stamp is None and text.strip() and _breaks_off(held[1]):
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
    return read_stamp(text)[0] is not None and _BROKEN.search(text.rstrip()) is not None
