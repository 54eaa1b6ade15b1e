"""Show a run while it goes on: bars on a terminal, plain lines elsewhere.

`harness.report.text` makes the lines; this module decides when they are written. A terminal that is closed does not
end the run.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Hashable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from harness.report.causes import blame_of, cause_of
from harness.report.load import CASE_OUTCOMES
from harness.report.notable import notable
from harness.report.open_files import FileTally, OpenFiles, added
from harness.report.text import (
    CAMPAIGN_SUITE,
    Row,
    active_line,
    ansi,
    duration,
    folded,
    headline,
    operation_lines,
    operation_name,
    plain,
    rig_lines,
    suite_lines,
)
from harness.report.verdict_text import verdict_block
from harness.report.vocabulary import counted, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.live import Live

    from harness.base.clock import Clock

PLAIN_WIDTH = 140
"""Width of a log, whose readers have terminals of any width."""
PLAIN_EVERY_US = 10_000_000
FILES_SAID = 30
"""Files of cases that have a line of their own in a log; those after them are said together, every 10 s."""
LIVE_EVERY_US = 100_000
_ASCII = str.maketrans({"·": "-", "█": "#", "▌": "+", "…": "~", "—": "-", "“": '"', "”": '"'})
_WORDS = {"not_offered": "not offered", "skipped": "not run", "error": "broken", "deviation": "deviates"}


class RunDisplay:
    """Shows a run on a stream.

    :param clock: says when the next line of a campaign is due.
    :param bench: path of the bench file, as a user types it after --bench.
    :param report: path of the report's page, shown at the end.
    :param live: whether to draw bars; by default if the stream is a terminal that can show them.
    :param width: columns; by default the terminal's.
    :param verbosity: 1 shows each case, -1 only what is wrong and the verdict. By default a log has one line for each
        of the first files of cases, and a terminal counts.
    :param color: "yes", "no", or "auto": on terminals, unless NO_COLOR is set.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Clock,
        bench: str | None = None,
        report: str | None = None,
        live: bool | None = None,
        width: int | None = None,
        verbosity: int = 0,
        color: str = "auto",
        environ: Mapping[str, str] = os.environ,
        campaign_suite: str = CAMPAIGN_SUITE,
    ):
        self._stream, self._clock = stream, clock
        self.bench, self.report = bench, report
        can_draw = _can_draw(stream, environ) if live is None else live
        self._is_live = can_draw and verbosity >= 0
        self._width, self._verbosity = width, verbosity
        self._environ = environ
        self._began_us = clock.now_us
        coloured = can_draw and not environ.get("NO_COLOR") if color == "auto" else color == "yes"
        self._paint = ansi if coloured else plain
        self._open_files = OpenFiles()
        self._files_said = 0
        self._unsaid_files: list[FileTally] = []
        self._unsaid_us = clock.now_us
        self._campaign_suite = campaign_suite
        self._live: Live | None = None
        self._drawn_us: int | None = None
        self._gone = False
        self._lines_said = False
        self._head: Row = {"rigs": []}
        self._suites: dict[str, dict[str, int]] = {}
        self._cases: dict[str, str] = {}
        self._expected = 0
        self._groups: dict[str, dict[str, int]] = {}
        self._causes: frozenset[Hashable] = frozenset()
        self._operations: list[Row] = []
        self._active: dict[tuple[str, str], tuple[int, int, float | None, float | None]] = {}
        self._said_us: dict[tuple[str, str], int] = {}
        self._finished_us: int | None = None

    @property
    def width(self) -> int:
        """Columns; asked each time, because a user may resize the terminal."""
        if self._width:
            return self._width
        return self._size().columns if self._is_live else PLAIN_WIDTH

    def _size(self) -> os.terminal_size:
        """Size of the terminal; where the stream is none, of the one that COLUMNS and LINES describe."""
        if "COLUMNS" not in self._environ:
            # Not that of standard output, which pytest captures while a test runs.
            with suppress(OSError, ValueError):
                return os.get_terminal_size(self._stream.fileno())
        return shutil.get_terminal_size((PLAIN_WIDTH, 40))

    def started(self, head: Row) -> None:
        """Show what will run. `head` has the fields of a summary that are known at the start."""
        self._head = head
        if self._verbosity >= 0:
            rigs = [part for text in rig_lines(head) for part in folded(text, self.width)]
            self._say([*folded(headline(head, self._paint), self.width), "", *rigs, ""])
        self._draw(now=True)

    def expect(self, cases: int) -> None:
        """Say how many cases the run has; 0 if it is not known."""
        self._expected = cases
        self._draw(now=True)

    def case(self, result: Row) -> None:
        """Show a finished test case: a row of results.jsonl."""
        suite = str(result.get("suite") or "other")
        tally = self._suites.setdefault(suite, dict.fromkeys(CASE_OUTCOMES, 0))
        tally[result["outcome"]] += 1
        before = self._cases.get(result["nodeid"])
        self._cases[result["nodeid"]] = result["outcome"]
        if before is not None:
            # A case that has passed fails if the rest of the budget shows a violation of its operation.
            tally[before] -= 1
        elif result["outcome"] not in ("not_offered", "skipped"):
            groups = self._groups.setdefault(suite, {})
            group = _group(result["nodeid"])
            groups[group] = groups.get(group, 0) + 1
        bad = result["outcome"] in ("failed", "error")
        if bad and not result.get("campaign"):
            cause = cause_of(result)
            # The end counts the cases of each cause.
            again, self._causes = cause in self._causes, self._causes | {cause}
            if again:
                self._draw()
                return
        if bad or self._verbosity > 0:
            line = self._case_line(result)
            self._progress(self._paint(line, "bad") if bad else line)
        if self._verbosity == 0 and not self._is_live and before is None:
            self._say_files(self._open_files.add(result))
        self._draw()

    def waits(self, nodeid: str, seconds: float) -> None:
        """Say that a case is about to wait."""
        if self._verbosity >= 0:
            self._progress(f"{'waiting':<11}  {nodeid} waits for {duration(seconds)}")

    def campaign(
        self, rig: str, operation: str, done: int, total: int, rate: float | None, eta: float | None
    ) -> None:
        """Show the progress of a campaign: cuts done and planned, cuts per second, seconds left."""
        key = (rig, operation)
        self._active[key] = (done, total, rate, eta)
        now = self._clock.now_us
        if self._is_live:
            self._draw()
        elif self._verbosity >= 0 and now - self._said_us.setdefault(key, now) >= PLAIN_EVERY_US:
            self._said_us[key] = now
            name = operation_name(rig, operation, self._several_rigs)
            parts = [f"campaign     {name}", f"{number(done)}/{number(total)}"]
            parts += [f"{number(round(rate))} cuts/s"] if rate is not None else []
            parts += [f"{duration(eta)} left"] if eta is not None else []
            self._progress("   ".join(parts))

    def operation(self, row: Row) -> None:
        """Show a finished campaign: a row of operations.jsonl."""
        self._active.pop((row["rig"], row["operation"]), None)
        name = row["rig"], row["operation"]
        # A campaign that got more of the budget finishes a second time.
        self._operations = [op for op in self._operations if (op["rig"], op["operation"]) != name] + [row]
        now = self._clock.now_us
        # The end of a run names the operations: meanwhile what is wrong, and one every 10 s.
        is_due = self._finished_us is None or now - self._finished_us >= PLAIN_EVERY_US
        if not self._is_live and (
            self._verbosity > 0 or (self._verbosity == 0 and (is_due or row["violations"]))
        ):
            self._finished_us = now
            (line,) = operation_lines([row], several_rigs=self._several_rigs, width=10_000)
            self._progress(f"campaign     {' '.join(line.replace('█', '').split(' ')).strip()}")
        self._draw(now=True)

    def finished(self, summary: Row) -> None:
        """Show how the run ended."""
        self._say_files(self._open_files.rest(), last=True)
        self.close()
        width, named, more = self.width, summary["operations"], ""
        if self._verbosity <= 0 and not self._is_live:
            named, more = notable(named)
        suites = suite_lines(
            {**summary, "operations": named},
            self._groups,
            campaign_suite=self._campaign_suite,
            more=more,
            width=width,
            paint=self._paint,
        )
        block = verdict_block(summary, self.bench, self.report, width=width, paint=self._paint)
        self._say([*([""] if self._lines_said else []), *suites, "", *block])

    def close(self) -> None:
        """Restore the terminal. May be called twice."""
        live, self._live = self._live, None
        if live is not None:
            self._guarded(live.stop)

    def __enter__(self) -> RunDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _several_rigs(self) -> bool:
        return len(self._head.get("rigs") or []) > 1

    def _case_line(self, result: Row) -> str:
        outcome = str(result["outcome"])
        parts = [f"{_WORDS.get(outcome, outcome):<11}  {result['nodeid']}"]
        if result.get("duration_s") is not None and outcome not in ("not_offered", "skipped"):
            parts.append(duration(result["duration_s"]))
        why = " ".join(str(result.get("reason") or "").split())
        if outcome in ("failed", "error"):
            why = f"{blame_of(result)}: {why}" if why else blame_of(result)
        return "   ".join([*parts, why] if why else parts)

    def _region(self) -> list[str]:
        """Return the lines that change during a run; only the last ones if the terminal is too small."""
        names = {key: operation_name(*key, self._several_rigs) for key in self._active}
        known = [operation_name(op["rig"], op["operation"], self._several_rigs) for op in self._operations]
        widest = max((len(name) for name in [*names.values(), *known]), default=0)
        active = [active_line(names[key], *self._active[key], widest) for key in self._active]
        so_far = {
            "suites": self._suites,
            "operations": self._operations,
            "rigs": self._head.get("rigs") or [],
        }
        lines = suite_lines(
            so_far,
            self._groups,
            campaign_suite=self._campaign_suite,
            active=active,
            width=self.width,
            paint=self._paint,
        )
        room = max(4, self._size().lines - 4)
        if len(lines) > room:
            lines = [f"  … {len(lines) - room + 1} lines more", *lines[1 - room :]]
        return [*lines, "", self._so_far()]

    def _so_far(self) -> str:
        """Return the last line: how much of the run is done, and how long it took."""
        of = f" of {number(self._expected)}" if self._expected else ""
        seconds = (self._clock.now_us - self._began_us) // 1_000_000
        return f"  {number(len(self._cases))}{of} cases · {duration(seconds)}"

    def _draw(self, *, now: bool = False) -> None:
        at = self._clock.now_us
        due = self._drawn_us is None or at - self._drawn_us >= LIVE_EVERY_US
        if not self._is_live or self._gone or not (now or due):
            return
        self._drawn_us = at
        from rich.console import ConsoleDimensions
        from rich.text import Text

        shown = Text.from_ansi(self._fitting("\n".join(self._region())), no_wrap=True, overflow="ellipsis")
        if self._live is None:
            self._live = self._opened()
        live = self._live
        # Asked of the stream itself: rich would ask standard output, which pytest captures while a test runs.
        live.console.size = ConsoleDimensions(self.width, self._size().lines)
        self._guarded(lambda: live.update(shown, refresh=True))

    def _opened(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(
            file=self._stream,
            force_terminal=True,
            no_color=self._paint is plain,
            width=self._width,
            highlight=False,
            markup=False,
            emoji=False,
        )
        # Without a refreshing thread nothing draws into a closed stream.
        live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._guarded(live.start)
        return live

    def _say(self, lines: list[str]) -> None:
        text = self._fitting("\n".join(lines))
        if self._live is not None:
            from rich.text import Text

            live, shown = self._live, Text.from_ansi(text)
            self._guarded(lambda: live.console.print(shown, soft_wrap=True))
        else:
            self._guarded(lambda: self._write(text + "\n"))

    def _progress(self, line: str) -> None:
        """Write a line of progress; into a log with the time since the run began."""
        seconds = (self._clock.now_us - self._began_us) // 1_000_000
        at = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}  "
        self._say([line if self._is_live else at + line])
        self._lines_said = True

    def _say_files(self, files: list[FileTally], *, last: bool = False) -> None:
        """Say the files that are finished; after the first ones together, but for those with a case that failed."""
        for one in files:
            if not one.is_clean or self._files_said < FILES_SAID:
                self._files_said += one.is_clean
                name = f"{one.rig} {one.file}" if self._several_rigs and one.rig else one.file
                self._say_cases(name, one)
            else:
                self._unsaid_files.append(one)
        waited = self._clock.now_us - self._unsaid_us
        if self._unsaid_files and (last or waited >= PLAIN_EVERY_US):
            together, self._unsaid_files = self._unsaid_files, []
            self._say_cases(counted(len(together), "file"), added(together))
        if not self._unsaid_files:
            self._unsaid_us = self._clock.now_us

    def _say_cases(self, name: str, tally: FileTally) -> None:
        counts = " · ".join(f"{number(n)} {_WORDS.get(what, what)}" for what, n in tally.counts.items())
        self._progress(f"{'cases':<11}  {name}   {counts}   {duration(tally.seconds)}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _fitting(self, text: str) -> str:
        """Replace the letters that the stream's encoding lacks."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
            return text
        except UnicodeEncodeError:
            return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)

    def _guarded(self, write: Callable[[], object]) -> None:
        """Write, unless the reader of the stream has gone."""
        if self._gone:
            return
        try:
            write()
        except OSError as error:
            # A terminal that was closed says EIO. A full disk, for example, is not ours to hide.
            if not isinstance(error, BrokenPipeError | ConnectionResetError) and error.errno != errno.EIO:
                raise
            self._gone = True


def _can_draw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM") not in ("dumb", "unknown")


def _group(nodeid: str) -> str:
    """conformance/test_ctaphid.py::test_ping[nk3] -> ctaphid"""
    name = nodeid.partition("::")[0].rpartition("/")[2]
    return name.removesuffix(".py").removeprefix("test_")
