"""Laws of an operation that nobody cuts: how long the key is silent, and how much it writes (E4, E5, F10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.model.judge import ANSWERS, STUCK_ITEM, Breach
from harness.model.outcome import Outcome, Severity
from harness.model.tap import Mark
from harness.twin.trace import Trace

WEAR_ITEM, BASELINE = "flash wear", "baseline"
MUCH, FAR_TOO_MUCH = 2, 10
"""From which multiple of the baseline on it is reported, and from which it fails."""
ERASES, BYTES = 3, 2048
"""A difference below both is no finding: how the pages were filled before makes as much."""
LEAST_BASE = {"erases": 1, "bytes written": 4096}
"""What a baseline counts as at least, so that one page more is not ten times nothing."""


@dataclass(frozen=True)
class Written:
    """What one uncut run of an operation wrote to all chips of a key."""

    erases: int
    bytes_written: int


def written(trace: Trace) -> Written:
    """Sum up the flash operations of a run."""
    return Written(
        sum(1 for op in trace.ops if op.kind == "erase"),
        sum(len(op.data) for op in trace.ops if op.kind == "program"),
    )


def every_page_took(trace: Trace) -> bool:
    """Return whether no page failed in a run. Where one did, what was written depends on which: no baseline holds."""
    return all(op.took for op in trace.ops)


def longest_silence(marks: Sequence[Mark]) -> tuple[int, str]:
    """Return the longest time, in microseconds, in which a pending request got neither answer nor keepalive.

    :returns: the time, and the name of the mark that ended it; (0, "") if there was no request.
    """
    longest, since = (0, ""), None
    for mark in marks:
        if mark.name.startswith("request-sent"):
            since = mark.at_us
        elif since is not None and mark.name.startswith(("keepalive", "response")):
            longest = max(longest, (mark.at_us - since, mark.name))
            since = mark.at_us if mark.name.startswith("keepalive") else None
    return longest


def silence_breach(
    marks: Sequence[Mark], keepalive_us: int, stands_us: int, severity: Severity
) -> Breach | None:
    """Judge how long a key was silent while a request was pending.

    :param keepalive_us: so often the key must say that it works.
    :param stands_us: so long its processor may stand still: one erase, and on rigs the lateness of the host.
    """
    silent_us, end = longest_silence(marks)
    if silent_us <= keepalive_us + stands_us:
        return None
    text = (
        f"the key was silent for {silent_us / 1000:.0f} ms before {end}, while a request was pending; it must "
        f"answer or send a keepalive every {keepalive_us / 1000:.0f} ms, and {stands_us / 1000:.0f} ms more are allowed"
    )
    return Breach(STUCK_ITEM, ANSWERS, Outcome.STUCK, severity, text)


def wear_breach(found: Written, base: Written) -> Breach | None:
    """Compare what an operation wrote with its baseline.

    What writes nothing is done the most often, a boot above all: one erase more each time wears a page out.
    """
    if base == Written(0, 0) and found != base:
        text = f"{found.erases} erases and {found.bytes_written} bytes written; none by the baseline of this firmware"
        return Breach(WEAR_ITEM, BASELINE, Outcome.LOST, Severity.S2, text)
    more = found.erases - base.erases >= ERASES or found.bytes_written - base.bytes_written >= BYTES
    pairs = (
        ("erases", base.erases, found.erases),
        ("bytes written", base.bytes_written, found.bytes_written),
    )
    what, was, now = max(pairs, key=lambda pair: pair[2] / max(pair[1], 1))
    if not more or now < MUCH * max(was, 1):
        return None
    far = any(now >= FAR_TOO_MUCH * max(was, LEAST_BASE[what]) for what, was, now in pairs)
    severity = Severity.S2 if far else Severity.S3
    limits = f"{MUCH} times as many are reported, {FAR_TOO_MUCH} times as many fail"
    text = f"{now} {what}, and {was} by the baseline of this firmware; {limits}"
    return Breach(WEAR_ITEM, BASELINE, Outcome.LOST, severity, text)


Baselines = Mapping[str, Mapping[str, Written]]
"""Firmware (see `firmware_key`) -> operation -> what it wrote when the baseline was made."""


def firmware_key(personality: str, firmware: str, layer: str) -> str:
    """Name the firmware that a baseline is of: its personality, version and flash layer."""
    return f"{personality} {firmware} {layer}"
