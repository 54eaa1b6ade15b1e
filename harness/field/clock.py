"""The times of lines that have none in front: records of a journal, sections of Windows, events in XML."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from harness.field.stamps import Stamp, read_stamp, stamp_of

RECORD_BYTES = 4096
"""So much of an event in XML is looked at."""
_MICROSECONDS = re.compile(
    r"\s*\"?(?:__REALTIME_TIMESTAMP|_SOURCE_REALTIME_TIMESTAMP)\"?\s*[=:]\s*\"?(\d{10,17})"
)
_SECTION = re.compile(r"(?:>>>\s+)?Section start (?P<time>\d.*)")
_OF_EVENT = re.compile(r"SystemTime=[\"'](?P<time>[^\"']+)")
_VIEWER = re.compile(r"\s*(?:Date|Datum|Fecha|Data|Logged):\s+(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4}),? (.+)")
_OF_CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d)\s?([AP]M)?")
_RFC5424 = re.compile(r"(\S+) (\S+) (\S+) \S+ (?:-|(?:\[[^\]]*\])+) ?")


class Clock:
    """Tells the time of each line of one file, and takes off what it is wrapped in.

    Lines have to be given in order. Lines that were left out end a record; one of them may be the rest of a broken one.
    """

    def __init__(self) -> None:
        self._record: Stamp | None = None
        self._running: float | None = None
        self._number = 0

    def __call__(self, number: int, line: str) -> tuple[Stamp | None, str, str]:
        """(time, what stands before the text, text) of a line.

        :param number: of the line. :param line: without spaces around it.
        """
        if number > self._number + 2:
            self._record = self._running = None
        self._number = number
        if line.startswith("{") and (found := _of_json(line)) is not None:
            return found[0], "", found[1]
        if line.startswith("<Event") and "</Event>" in line:
            when = _OF_EVENT.search(line)
            return read_stamp(f"{when['time']} ")[0] if when else None, "", html.unescape(line)
        stamp, text = read_stamp(line)
        if stamp is None:
            self._note(line)
            return self._record, "", line
        head = line[: len(line) - len(text)]
        if head.startswith("<") and "1 " in head[:8] and (match := _RFC5424.match(text)):
            host, app, process = match.groups()
            number_of = "" if process == "-" else f"[{process}]"
            text = f"{host} {app}{number_of}: {text[match.end() :]}"
        stamp = self._counted(stamp)
        # The first line of a record of `journalctl -o verbose` is its time and its cursor.
        self._record = stamp if text.startswith("[s=") else None
        return stamp, head, text

    def _note(self, line: str) -> None:
        """Keep the time that a record says of all its lines."""
        if match := _MICROSECONDS.match(line):
            self._record = stamp_of(int(match[1]) / 1e6)
        elif (match := _SECTION.match(line)) or (match := _OF_EVENT.search(line)):
            self._record = read_stamp(f"{match['time']} ")[0]
        elif match := _VIEWER.match(line):
            self._record = _of_viewer(match)

    def end_record(self, number: int) -> None:
        """An empty line: the next record of a journal begins."""
        self._record, self._number = None, number

    def _counted(self, stamp: Stamp) -> Stamp:
        """Add the steps of `dmesg --reltime` to the minute that stands before them."""
        if stamp.text.startswith("["):
            if stamp.kind == "step" and self._running is not None and stamp.seconds is not None:
                self._running += stamp.seconds
                return Stamp("day", self._running, stamp.text)
        elif stamp.kind in ("date", "day") and stamp.seconds is not None:
            self._running = stamp.seconds
        return stamp


def _of_json(line: str) -> tuple[Stamp | None, str] | None:
    """(time, text) of an entry of `journalctl -o json` or of Docker; None if it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    message = row.get("MESSAGE", row.get("log"))
    if isinstance(message, list) and all(isinstance(one, int) and 0 <= one < 256 for one in message):
        # A journal gives a text with letters that cannot be printed as numbers.
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        return None
    when = row.get("_SOURCE_REALTIME_TIMESTAMP", row.get("__REALTIME_TIMESTAMP"))
    stamp = None
    if isinstance(when, str) and when.isdigit() and len(when) < 18:
        stamp = stamp_of(int(when) / 1e6)
    elif isinstance(row.get("time"), str):
        stamp = read_stamp(f"{row['time']} ")[0]
    name, process = row.get("SYSLOG_IDENTIFIER", row.get("_COMM", row.get("_TRANSPORT"))), row.get("_PID")
    before = f"{name}[{process}]: " if process else f"{name}: "
    first = message.strip().partition("\n")[0]
    return stamp, (before if name else "") + first


def _of_viewer(match: re.Match[str]) -> Stamp | None:
    """The time as Windows' event viewer writes it: 1/29/2024 6:15:08 AM, 29.01.2024 06:15:08."""
    clock = _OF_CLOCK.match(match[4])
    if clock is None:
        return None
    one, two, three = (int(match[number]) for number in (1, 2, 3))
    hour = int(clock[1]) % 12 + (12 if clock[4] == "PM" else 0) if clock[4] else int(clock[1])
    year, month, day = (one, two, three) if one > 31 else (three, one, two) if clock[4] else (three, two, one)
    try:
        when = datetime(year, month, day, hour, int(clock[2]), int(clock[3]), tzinfo=UTC)
    except ValueError:
        return None
    return Stamp("date", when.timestamp(), f"{match[1]}/{match[2]}/{match[3]} {clock[0]}")


def joined_events(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Put an event in XML that stands in several lines into one, with the number of its first line.

    The other lines are given as empty ones, so that each is counted.
    """
    held: tuple[int, str] | None = None
    for number, text in lines:
        if held is None and text.lstrip().startswith("<Event ") and "</Event>" not in text:
            held = number, text.strip()
            continue
        if held is None:
            yield number, text
            continue
        first, whole = held
        held = first, whole + text.strip()
        ended = "</Event>" in text
        if ended or len(whole) > RECORD_BYTES:
            yield held
            held = None
        else:
            yield number, ""
    if held is not None:
        yield held
