"""Show what logs tell: a time line, known failures, and what to do first."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TextIO

from harness.bench.registry import discover
from harness.field.cases import new_case
from harness.field.knowledge import load
from harness.field.reading import Reading, read
from harness.field.recognise import PROTECT, Recognised, recognise
from harness.field.scenario import to_toml
from harness.field.scenario_file import read_scenario
from harness.field.timeline import Plugged, Timeline, timeline

SHOWN_MAX = 40


class FieldReport:
    """What is said of some logs.

    :raises CallerError: a file cannot be read.
    """

    def __init__(self, paths: list[Path]):
        self._logs = paths
        plugins = discover()
        known = load(plugins.field_files)
        self._scenarios = plugins.scenario_files()
        self.reading: Reading = read(paths, known)
        self.line: Timeline = timeline(self.reading)
        self.found: list[Recognised] = recognise(self.reading, known)

    @property
    def scenario(self) -> str:
        """A scenario file; one that replays a known failure, if a plugin has a scenario with its signature's name."""
        replays = {}
        for one in self.found:
            if (file := self._scenarios.get(one.signature.id)) is None:
                continue
            if (replay := read_scenario(file).replay) is not None:
                replays[one.signature.id] = replay.model_dump(exclude_defaults=True)
        return to_toml(self.reading, self.line, self.found, replays)

    def case(self, name: str) -> str:
        """The beginning of a case file of this name."""
        return new_case(name, self._logs, self.reading, self.line, self.found)

    def table(self) -> dict[str, Any]:
        """Return it as a JSON-able table."""
        reading = self.reading
        return {
            "files": reading.files,
            "lines": reading.lines,
            "understood": reading.understood,
            "not_understood": reading.not_understood,
            "skipped": reading.skipped,
            "notes": reading.notes,
            "sources": dict(sorted(reading.sources.items())),
            "scrambled": self.line.scrambled,
            "power_cycles": self.line.power_cycles,
            "plugged": [_plugged(one) for one in self.line.plugged],
            "events": [
                {
                    "file": entry.file,
                    "line": entry.line,
                    "time": entry.stamp.text if entry.stamp else None,
                    "source": entry.event.source,
                    "kind": entry.event.kind,
                    "port": entry.event.port,
                    **{name: value for name, value in entry.event.about.items() if name != "port"},
                }
                for entry in reading.entries
            ],
            "signatures": [
                {
                    "by": [{"file": entry.file, "line": entry.line} for entry in one.by],
                    **one.signature.model_dump(exclude={"all_of", "any_of", "none_of"}),
                }
                for one in self.found
            ],
            "first": PROTECT,
        }


def _plugged(one: Plugged) -> dict[str, Any]:
    return {
        "number": one.number,
        "port": one.port,
        "from": one.begin.stamp.text if one.begin.stamp else None,
        "until": one.end.stamp.text if one.end and one.end.stamp else None,
        "seconds": one.seconds,
        "identity": one.identity,
        "name": one.name,
        "serial": one.serial,
        "shows_serial": one.shows_serial,
        "release": one.release,
        "authorised": one.authorised,
        "before": one.before,
        "errors": dict(one.errors),
        "same_as": one.same_as,
        "sure": one.sure,
    }


def show(report: FieldReport, out: TextIO) -> None:
    """Print what logs tell."""
    reading, line = report.reading, report.line
    by = ", ".join(f"{source} {count:,}" for source, count in sorted(reading.sources.items()))
    out.write(
        f"{', '.join(reading.files)}: {reading.lines:,} lines, {reading.understood:,} understood ({by or 'none'}), "
        f"{reading.not_understood:,} not\n"
    )
    if reading.skipped:
        out.write(
            f"{reading.skipped:,} lines in the middle were counted only: very much was understood before.\n"
        )
    out.writelines(f"{note}.\n" for note in reading.notes)
    if line.scrambled:
        out.write("The times run backwards: the order below is that of the lines.\n")
    if line.plugged:
        out.write("\nTime line\n")
    for one in line.plugged[:SHOWN_MAX]:
        out.write(f"  {_words(one)}\n")
    if len(line.plugged) > SHOWN_MAX:
        out.write(f"  and {len(line.plugged) - SHOWN_MAX} more\n")
    if line.power_cycles:
        out.write(f"  the kernel switched the port's power off and on {line.power_cycles} times by itself\n")
    for found in report.found:
        signature = found.signature
        lines = ", ".join(str(entry.line) for entry in found.by[:6])
        out.write(f"\n{signature.strength}: {signature.title}   [{signature.id}]\n")
        out.write(f"  by lines     {lines}\n  fault of     {signature.blame}\n")
        out.write(f"  should hold  {signature.invariant}\n  against it   {signature.against}\n")
        out.write(
            f"  ask          {signature.ask}\n  then         {signature.advice}\n  see          {signature.reference}\n"
        )
    if not report.found:
        out.write(
            "\nUnexplained: no known failure shows here. Ask what the owner did last, and for the kernel's log.\n"
        )
    out.write(f"\nFirst: {PROTECT}\n")


def _words(one: Plugged) -> str:
    when = one.begin.stamp.text if one.begin.stamp else "no time"
    what = " ".join(filter(None, (one.name, f"({one.identity})" if one.identity else None))) or (
        "a device" if one.before else "nothing that was found"
    )
    words = [f"{when}  port {one.port}: {what}"]
    if one.before:
        words.append("there before the log begins")
    if one.errors:
        words.append("after " + ", ".join(f"{count} x {kind}" for kind, count in sorted(one.errors.items())))
    if one.authorised is not None:
        words.append("not authorised at first, then authorised" if one.authorised else "not authorised")
    if one.end is not None:
        words.append(
            "until it was gone" + (f" {one.seconds:,.1f} s later" if one.seconds is not None else "")
        )
    if one.same_as is not None:
        words.append(f"the same as number {one.same_as + 1} ({one.sure})")
    return ", ".join(words)
