"""Write a run as JSON lines while it goes on, for programs: one object a line (docs/commands.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from harness.report.causes import blame_of
from harness.report.open_files import FileTally, OpenFiles
from harness.report.verdict import exit_code_of
from harness.report.verdict_text import resume_command

if TYPE_CHECKING:
    from harness.base.clock import Clock

Row = Mapping[str, Any]
SCHEMA = 1
"""Grows when a field or an event goes or changes its meaning. New ones may come at any time."""
PROGRESS_EVERY_US = 1_000_000
_CASE = ("nodeid", "rig", "suite", "outcome", "reason", "duration_s")
_CAMPAIGN = ("rig", "operation", "cuts", "violations", "outcomes", "exhaustive", "complete", "duration_s")
_HEAD = ("run", "version", "bench", "seed", "started", "evidence_kind", "rigs")


class RunEvents:
    """Writes a run's events to a stream, in place of `harness.report.terminal.RunDisplay`.

    :param clock: times the lines, and says when the next line of a campaign is due.
    :param verbosity: above 0 every case has a line; else only those that went wrong.
    :ivar report: path of the report's page, told with the verdict.
    """

    def __init__(self, stream: TextIO, *, clock: Clock, verbosity: int = 0):
        self._stream, self._clock, self._verbosity = stream, clock, verbosity
        self.report: str | None = None
        self._began_us = clock.now_us
        self._files = OpenFiles()
        self._seen: set[str] = set()
        self._said_us: dict[tuple[str, str], int] = {}
        self._gone = False

    def started(self, head: Row) -> None:
        """The run has begun; `head` is run.json."""
        self._write("start", {name: head.get(name) for name in _HEAD})

    def expect(self, cases: int) -> None:
        """The cases of the run have been found; 0 if their number is not known."""
        if cases:
            self._write("collected", {"cases": cases})

    def case(self, result: Row) -> None:
        """A case has ended: a row of results.jsonl."""
        bad = result["outcome"] in ("failed", "error")
        if bad or self._verbosity > 0:
            self._write("case", {**_part(result, _CASE), "blame": blame_of(result) if bad else None})
        # A case that has passed is told again if the rest of the budget shows a violation of its operation.
        if result["nodeid"] not in self._seen:
            self._seen.add(result["nodeid"])
            self._file(self._files.add(result))

    def waits(self, nodeid: str, seconds: float) -> None:
        """A case is about to let time pass."""
        self._write("waiting", {"nodeid": nodeid, "seconds": seconds})

    def campaign(
        self, rig: str, operation: str, done: int, total: int, rate: float | None, eta: float | None
    ) -> None:
        """A campaign goes on: cuts done and planned, cuts per second, seconds left. At most one line a second."""
        key, now = (rig, operation), self._clock.now_us
        if now - self._said_us.get(key, now - PROGRESS_EVERY_US) < PROGRESS_EVERY_US:
            return
        self._said_us[key] = now
        self._write(
            "progress",
            {
                "rig": rig,
                "operation": operation,
                "done": done,
                "total": total,
                "cuts_per_s": None if rate is None else round(rate, 1),
                "left_s": None if eta is None else round(eta, 1),
            },
        )

    def operation(self, row: Row) -> None:
        """A campaign has ended: a row of operations.jsonl."""
        self._write("campaign", _part(row, _CAMPAIGN))

    def finished(self, summary: Row) -> None:
        """The run has ended, with its verdict."""
        self._file(self._files.rest())
        complete = bool(summary["complete"])
        self._write(
            "verdict",
            {
                **_part(summary, ("run", "verdict", "reasons", "complete", "cuts")),
                "exit_code": exit_code_of(summary),
                "violations": len(summary["violations"]),
                "report": self.report,
                "resume": None if complete else resume_command(str(summary["run"]), self.report),
            },
        )

    def close(self) -> None:
        """Nothing is left to restore."""

    def _file(self, files: list[FileTally]) -> None:
        for one in files:
            fields = {"rig": one.rig or None, "file": one.file, "counts": dict(sorted(one.counts.items()))}
            self._write("cases", {**fields, "duration_s": round(one.seconds, 3)})

    def _write(self, event: str, fields: Row) -> None:
        if self._gone:
            return
        at_s = round((self._clock.now_us - self._began_us) / 1e6, 3)
        line = json.dumps({"schema": SCHEMA, "event": event, "at_s": at_s, **fields}, sort_keys=True)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except BrokenPipeError:
            # The reader has ended; the run goes on.
            self._gone = True


def _part(row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: row.get(name) for name in names}
