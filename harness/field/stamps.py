"""The time that stands before a line of a log, in the formats that kernels, loggers and clients write.

An instant is counted in seconds. Where only a time of day or a time since the start is written, instants of one source
can be compared with each other, and with nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan januar janvier gen ene enero leden sty janv januari tammi янв января oca ocak ιαν січ gennaio janeiro",
            "feb februar fev février febbraio febrero únor lut févr fevr februari helmi фев февраля şub φεβ лют",
            "mar mär märz mrz mars marzo březen maa maart maalis марта мар mart μαρ μάρ бер márc março",
            "apr april avr avril aprile abr abril kwi huhti апр апреля nis nisan απρ кві ápr",
            "may mai mag maggio mayo maj mei květen touko мая май mayıs μαΐ μαι тра máj maio",
            "jun juni juin giu giugno junio cze kesä июн июня haz haziran ιουν ιούν чер jún junho",
            "jul juli juil juillet lug luglio julio lip heinä июл июля tem temmuz ιουλ ιούλ лип júl julho",
            "aug august aoû août ago agosto sie elo авг августа ağu ağustos αυγ αύγ сер augustus augusti",
            "sep sept september set settembre septiembre wrz syys сен сентября eyl eylül σεπ вер szept setembro",
            "oct okt oktober ott ottobre octubre paź loka окт октября eki ekim οκτ жов octobre outubro out",
            "nov november novembre noviembre lis marras ноя ноября kas kasım νοε νοέ лис novembro",
            "dec dez dezember déc décembre dic dicembre diciembre gru joulu дек декабря ara δεκ гру dezembro des",
        ),
        1,
    )
    for name in names.split()
}
"""The months as `dmesg -T` and loggers write them in several languages, in lower case without a point."""


@dataclass(frozen=True)
class Stamp:
    """When a line was written.

    :ivar kind: "monotonic" (since the host's start), "date", "time of day", "since start" (of the client), "step"
        (microseconds since the line before).
    :ivar seconds: since the start, or since 1970 for a date; None where it could not be read.
    """

    kind: str
    seconds: float | None
    text: str


_CLOCK = r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_MONOTONIC = re.compile(r"\[\s*(\d{1,12}\.\d{3,9})\]\s?")
_HUMAN = re.compile(rf"\[\S+\s+(\S+?)\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+(\d{{4}})\]\s?")
_HUMAN_DAY_FIRST = re.compile(rf"\[\S+\s+(\d{{1,2}})\.?\s+(\S+?)\.?\s+{_CLOCK}\s+(\d{{4}})\]\s?")
_ISO = re.compile(rf"(\d{{4}})[-/](\d\d)[-/](\d\d)[T ]{_CLOCK}\s?(Z|[+-]\d\d:?\d\d)?\s+")
_SYSLOG = re.compile(rf"([^\W\d_]{{3,9}}|\d{{1,2}}[月월])\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+")
_ASCTIME = re.compile(rf"[^\W\d_]{{2,4}}\.?\s+([^\W\d_]{{3,9}})\.?\s+(\d{{1,2}})\s+{_CLOCK}\s+(\d{{4}})\s+")
_NUMBERED = re.compile(r"(\d{1,2})[月월]?")
_CLIENT = re.compile(r"(\d{1,9})\s+(?=(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s)")
_STEP = re.compile(r"(\d{8})\s+(?=(?:\[\d+\]\s+)?\w[\w-]*\.c:\d+:)")
_LEVEL = re.compile(rf"(?:DEBUG|INFO|WARNING|ERROR)\s+{_CLOCK}\s+")


def read_stamp(line: str) -> tuple[Stamp | None, str]:
    """Take the time from the beginning of a line; (None, the line) if there is none."""
    if match := _MONOTONIC.match(line):
        return Stamp("monotonic", float(match[1]), match[0].strip()), line[match.end() :]
    if match := _HUMAN.match(line):
        return _dated(match, match[1], match[2], match.groups()[2:6], match[7]), line[match.end() :]
    if match := _HUMAN_DAY_FIRST.match(line):
        return _dated(match, match[2], match[1], match.groups()[2:6], match[7]), line[match.end() :]
    if match := _ISO.match(line):
        return _iso(match), line[match.end() :]
    if (match := _ASCTIME.match(line)) and _month(match[1]):
        return _dated(match, match[1], match[2], match.groups()[2:6], match[7]), line[match.end() :]
    if (match := _SYSLOG.match(line)) and _month(match[1]):
        # Without a year: 2000 stands for it, a leap year, so that every day can be read.
        return _dated(match, match[1], match[2], match.groups()[2:6], "2000"), line[match.end() :]
    if match := _CLIENT.match(line):
        return Stamp("since start", int(match[1]) / 1000, match[1]), line[match.end() :]
    if match := _STEP.match(line):
        return Stamp("step", int(match[1]) / 1e6, match[1]), line[match.end() :]
    if match := _LEVEL.match(line):
        return Stamp("time of day", _of_day(match.groups()), match[0].strip()), line[match.end() :]
    return None, line


def _of_day(clock: tuple[str | None, ...]) -> float:
    hour, minute, second, part = clock
    return int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0) + float(f"0.{part or 0}")


def _month(text: str) -> int | None:
    """The number of a month by its name, or as Chinese, Japanese and Korean write it: 12月, 12월."""
    if (match := _NUMBERED.fullmatch(text)) and 1 <= int(match[1]) <= 12:
        return int(match[1])
    return MONTHS.get(text.lower())


def _dated(match: re.Match[str], month: str, day: str, clock: tuple[str | None, ...], year: str) -> Stamp:
    number = _month(month)
    seconds = None
    if number is not None:
        try:
            seconds = datetime(int(year), number, int(day), tzinfo=UTC).timestamp() + _of_day(clock)
        except ValueError:
            seconds = None
    return Stamp("date", seconds, match[0].strip().strip("[]"))


def _iso(match: re.Match[str]) -> Stamp:
    year, month, day, *clock, zone = match.groups()
    offset = timedelta(0)
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    try:
        midnight = datetime(int(year), int(month), int(day), tzinfo=timezone(offset)).timestamp()
    except ValueError:
        return Stamp("date", None, match[0].strip())
    return Stamp("date", midnight + _of_day(tuple(clock)), match[0].strip())
