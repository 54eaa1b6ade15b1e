"""The time that stands before a line of a log, in the formats that kernels, loggers and clients write.

An instant is counted in seconds. Where only a time of day or a time since the start is written, instants of one source
can be compared with each other, and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from harness.field.months import month_of

YEAR_UNKNOWN = "2000"
"""Stands for a year that is not written: a leap year, so that every day can be read."""
EPOCH_MIN_S = 1e9
"""No host runs for 30 years: a number of seconds that is larger counts since 1970."""


@dataclass(frozen=True)
class Stamp:
    """When a line was written.

    :ivar kind: "monotonic" (since the host's start), "date", "day" (a date without its year), "time of day",
        "since start" (of the client), "step" (since the line before).
    :ivar seconds: since the start, or since 1970 for a date; None where it could not be read.
    """

    kind: str
    seconds: float | None
    text: str


_CLOCK = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_FRONT = re.compile(
    r"\ufeff?(?:<\d{1,3}>(?:1\s(?=\d{4}-))?)?(?:\w+\s*:\w+\s*:\s(?=\[|\d{4}-\d\d))?(?:(?:UDEV|KERNEL)\s*(?=\[\d))?"
)
"""What may stand before the time: a priority of syslog, `dmesg -x`, `udevadm monitor`."""
_MONOTONIC = re.compile(r"\[\s*(\d{1,12}\.\d{3,9})(?:,\d+)?(?:\s*<\s*\d+\.\d+>)?\](?:\s?\[\s*[TC]\d+\])?\s?")
_STEP_OF_KERNEL = re.compile(r"\[\s*\+(\d{1,9}\.\d{3,9})\]\s?")
_MINUTE = re.compile(r"\[\s*([^\W\d_]{2,9}|\d{1,2}[月월])\.?\s?(\d{1,2})\s+(\d\d):(\d\d)\]\s?")
_HUMAN = re.compile(rf"\[\S+\s+(\S+?)\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+(\d{{4}})\]\s?")
_HUMAN_DAY_FIRST = re.compile(rf"\[\S+\s+(\d{{1,2}})\.?\s+(\S+?)\.?\s+{_CLOCK}\s+(\d{{4}})\]\s?")
_ISO = re.compile(
    rf"(?:\[|[^\W\d_]{{2,4}}\.?\s)?(\d{{4}})[-/](\d\d)[-/](\d\d)[T ]{_CLOCK}\s?"
    r"(Z|[+-]\d\d:?\d\d)?(?:(?:[A-Z]{1,3}S?T|UTC|MSK)(?=\s))?[\]|]?\s+"
)
_SYSLOG = re.compile(rf"([^\W\d_]{{2,9}}|\d{{1,2}}[月월])\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+")
_ASCTIME = re.compile(rf"[^\W\d_]{{2,4}}\.?\s+([^\W\d_]{{3,9}})\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+(\d{{4}})\s+")
_ANDROID = re.compile(r"(\d\d)-(\d\d)\s(\d\d):(\d\d):(\d\d)\.(\d{3})\s+(?=\d+\s)")
_UNIX = re.compile(r"(1\d{9}\.\d{6})\s+(?=\S)")
_KMSG = re.compile(r"\d{1,4},\d+,(\d+),[-c+](?:,[^;]*)?;")
_CLIENT = re.compile(r"(\d{1,9})\s+(?=(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s)")
_STEP = re.compile(r"(\d{8})\s+(?=(?:\[\d+\]\s+)?[\w./-]+\.[cly]:\d+:)")
_LEVEL = re.compile(rf"(?:DEBUG|INFO|WARNING|ERROR)\s+{_CLOCK}\s+")
_OF_DAY = re.compile(r"(\d\d):(\d\d):(\d\d)[.,](\d{3,9})\s+(?=\S)")
_OPENSC = re.compile(rf"(?:P:\d+; T:|)0x[0-9a-f]+\s{_CLOCK}\s+")
_BROWSER = re.compile(rf"(?:\[[\d:/.]+:\w+:[^\]]*\]\s)?\[{_CLOCK}\]\s(?=[A-Z]+: )")


def read_stamp(line: str) -> tuple[Stamp | None, str]:
    """Take the time from the beginning of a line; (None, the line) if there is none."""
    begin = front.end() if (front := _FRONT.match(line)) else 0
    for pattern, make in _READERS:
        if (match := pattern.match(line, begin)) and (stamp := make(match)) is not None:
            return stamp, line[match.end() :]
    return None, line


def stamp_of(seconds: float) -> Stamp:
    """Return the time, in UTC, from the seconds since the beginning of 1970."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat() if 0 <= seconds < 2**36 else str(seconds)
    return Stamp("date", seconds, text)


def _of_day(clock: tuple[str | None, ...]) -> float:
    hour, minute, second, part = clock
    return int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0) + float(f"0.{part or 0}")


def _dated(
    match: re.Match[str], year: str, month: int | None, day: str, clock: tuple[str | None, ...]
) -> Stamp:
    seconds = None
    if month is not None:
        try:
            seconds = datetime(int(year), month, int(day), tzinfo=UTC).timestamp() + _of_day(clock)
        except ValueError:
            seconds = None
    return Stamp("day" if year == YEAR_UNKNOWN else "date", seconds, match[0].strip().strip("[]"))


def _monotonic(match: re.Match[str]) -> Stamp:
    seconds = float(match[1])
    return Stamp("date" if seconds >= EPOCH_MIN_S else "monotonic", seconds, match[0].strip())


def _human(match: re.Match[str]) -> Stamp:
    return _dated(match, match[7], month_of(match[1]), match[2], match.groups()[2:6])


def _human_day_first(match: re.Match[str]) -> Stamp:
    return _dated(match, match[7], month_of(match[2]), match[1], match.groups()[2:6])


def _iso(match: re.Match[str]) -> Stamp:
    year, month, day, *clock, zone = match.groups()
    offset = timedelta(0)
    if zone and zone[0] in "+-":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    text = match[0].strip().strip("[]|")
    try:
        midnight = datetime(int(year), int(month), int(day), tzinfo=timezone(offset)).timestamp()
    except ValueError:
        return Stamp("date", None, text)
    return Stamp("date", midnight + _of_day(tuple(clock)), text)


def _named(match: re.Match[str], year: str) -> Stamp | None:
    """A month by its name in front: only words that are one begin a time."""
    month = month_of(match[1])
    return None if month is None else _dated(match, year, month, match[2], match.groups()[2:6])


def _minute(match: re.Match[str]) -> Stamp | None:
    month = month_of(match[1])
    if month is None:
        return None
    return _dated(match, YEAR_UNKNOWN, month, match[2], (match[3], match[4], None, None))


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Stamp | None]], ...] = (
    (_MONOTONIC, _monotonic),
    (_STEP_OF_KERNEL, lambda match: Stamp("step", float(match[1]), match[0].strip())),
    (_HUMAN, _human),
    (_HUMAN_DAY_FIRST, _human_day_first),
    (_MINUTE, _minute),
    (_ISO, _iso),
    (_ASCTIME, lambda match: _named(match, match[7])),
    (_SYSLOG, lambda match: _named(match, YEAR_UNKNOWN)),
    (_ANDROID, lambda match: _dated(match, YEAR_UNKNOWN, int(match[1]), match[2], match.groups()[2:6])),
    (_UNIX, lambda match: Stamp("date", float(match[1]), match[1])),
    (_KMSG, lambda match: Stamp("monotonic", int(match[1]) / 1e6, match[1])),
    (_CLIENT, lambda match: Stamp("since start", int(match[1]) / 1000, match[1])),
    (_STEP, lambda match: Stamp("step", int(match[1]) / 1e6, match[1])),
    (_LEVEL, lambda match: Stamp("time of day", _of_day(match.groups()), match[0].strip())),
    (_OF_DAY, lambda match: Stamp("time of day", _of_day(match.groups()), match[0].strip())),
    (_OPENSC, lambda match: Stamp("time of day", _of_day(match.groups()), match[0].strip())),
    (_BROWSER, lambda match: Stamp("time of day", _of_day(match.groups()), match[0].strip())),
)
"""In the order in which they are tried."""
