"""A scenario: what a time line says was done to a key, with tolerances, as a file that can be read and played again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tomlkit

from harness.field.reading import Reading
from harness.field.recognise import Recognised
from harness.field.stamps import Stamp
from harness.field.timeline import Plugged, Timeline

UNKNOWN = "not told"


@dataclass(frozen=True)
class Step:
    """One thing in the schedule.

    :ivar act: "connect", "glitch" (connected and not enumerated), "disconnect".
    :ivar at_s: since the first one; None where the log's times do not say it. :ivar within_s: how sure that is.
    :ivar times: how many protocol errors the log counts in it.
    """

    act: str
    at_s: float | None
    within_s: float
    port: str | None
    times: int = 1


def schedule(line: Timeline) -> list[Step]:
    """The connections, glitches and disconnections of a time line."""
    steps: list[Step] = []
    first = next((one.begin.stamp for one in line.plugged if one.begin.stamp), None)

    def since(stamp: Stamp | None) -> float | None:
        if line.scrambled or first is None or stamp is None or stamp.kind != first.kind:
            return None
        if stamp.seconds is None or first.seconds is None:
            return None
        return round(stamp.seconds - first.seconds, 6)

    for one in line.plugged:
        within = 1.0 if one.begin.stamp is not None and one.begin.stamp.kind in ("date", "day") else 0.01
        if one.before and one.begin is one.end:
            # Nothing but its end is known: it is no part of what is played again.
            continue
        if one.errors:
            steps.append(Step("glitch", since(one.begin.stamp), within, one.port, sum(one.errors.values())))
        if one.enumerated:
            steps.append(Step("connect", since(one.begin.stamp), within, one.port))
        if one.end is not None:
            steps.append(Step("disconnect", since(one.end.stamp), within, one.port))
    return steps


def to_toml(
    reading: Reading,
    line: Timeline,
    found: list[Recognised],
    replays: Mapping[str, Mapping[str, object]] | None = None,
) -> str:
    """A scenario file: schedule, versions, what was recognised, and what still has to be asked.

    :param replays: signature -> the table `replay` of the scenario that replays it; the first is taken over.
    """
    document = tomlkit.document()
    document.add(
        tomlkit.comment("Made by `keyharness field`. Fill in what is not told; times are in seconds.")
    )
    about = tomlkit.table()
    about["product"] = product_of(line)
    about["firmware"] = last_of(reading, "firmware", "firmware")
    about["client"] = client_of(reading)
    about["signatures"] = [one.signature.id for one in found]
    about["missed"] = [one.signature.invariant for one in found if one.signature.blame == "key"]
    about["ask"] = [one.signature.ask for one in found] or [
        "What did the owner do last, and what no longer works?"
    ]
    document["scenario"] = about
    known = [one.signature.id for one in found if one.signature.id in (replays or {})]
    if replays and known:
        document["replay"] = tomlkit.item(dict(replays[known[0]]))
    steps = tomlkit.aot()
    for step in schedule(line):
        row = tomlkit.table()
        row["act"] = step.act
        if step.at_s is not None:
            row["at_s"], row["within_s"] = step.at_s, step.within_s
        if step.port is not None:
            row["port"] = step.port
        if step.times > 1:
            row["errors"] = step.times
        steps.append(row)
    document["step"] = steps
    return tomlkit.dumps(document)


def product_of(line: Timeline) -> str:
    told: list[Plugged] = [one for one in line.plugged if one.identity]
    named = [one for one in told if one.name] or told
    return " ".join(filter(None, (named[-1].name, named[-1].identity))) if named else UNKNOWN


def last_of(reading: Reading, kind: str, name: str) -> str:
    said = [entry.event.about[name] for entry in reading.entries if entry.event.kind == kind]
    return said[-1] if said else UNKNOWN


def client_of(reading: Reading) -> str:
    for entry in reading.entries:
        if entry.event.kind == "client":
            return " ".join(filter(None, (entry.event.source, entry.event.about.get("version"))))
    return UNKNOWN
