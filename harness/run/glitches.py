"""Draw cuts from the schedule of a scenario: when the power goes, and how often it comes back for a moment.

A contact that fails takes the power away in the middle of what the key does, gives it back for milliseconds, and takes
it again. Each disturbance of a schedule becomes such short boots: how long the key has power, and how long it had none
before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.base.seeds import Stream
from harness.field.scenario_file import Span, StepRow
from harness.search.plan import START, Plan

GLITCHES_MAX = 6
"""So often at most does one `glitch` of a log give power: what it counts are errors, several for each time."""
DATA_FIRST = "data-before-power"
ON_MS: dict[str, Span] = {"bounce": (1.0, 40.0), "glitch": (1.0, 150.0), DATA_FIRST: (0.1, 20.0)}
"""How long the key has power in a disturbance. The kernel waits 100 ms before it asks anything of a new device."""
OFF_MS: dict[str, Span] = {"bounce": (1.0, 50.0), "glitch": (5.0, 500.0), "power-cycle": (100.0, 1500.0)}
SETTLE_MS = 100.0
"""How long a key stays on after it came up, where the kernel switches its port off and on again."""


def disturbances(steps: Sequence[StepRow]) -> list[StepRow]:
    """Return the first disturbances of a schedule that follow each other; the key comes up after them."""
    found: list[StepRow] = []
    for step in steps:
        if step.act in ("connect", "disconnect"):
            if found:
                break
            continue
        found.append(step)
    return found


def beyond_a_switch(steps: Sequence[StepRow]) -> str | None:
    """Say which disturbance needs more than a switch of a key's power, or the end of a process; None if none does.

    A key whose data lines have contact before VBUS lives on what they give, and its first packets come before its power
    is good. On a twin that is a boot that begins and is lost when the power comes: there is no gap, and nobody hears
    what was sent to it.
    """
    if any(one.act == DATA_FIRST for one in disturbances(steps)):
        return f"{DATA_FIRST}: this rig switches power, and leaves the data lines as they are; twins can"
    return None


def draw(steps: Sequence[StepRow], length_us: int, boot_us: int, stream: Stream) -> Plan:
    """Draw one cut into an operation, and the boots that are cut after it.

    :param length_us: how long the operation takes. :param boot_us: how long the key takes to come up.
    """
    offset_us = stream.below(max(1, length_us))
    pairs = [pair for step in disturbances(steps) for pair in _boots(step, boot_us, stream)]
    boots, gaps = tuple(on for on, _ in pairs), tuple(off for _, off in pairs)
    return Plan(START, offset_us, offset_us, "replay", boots, 0, gaps)


def _boots(step: StepRow, boot_us: int, stream: Stream) -> Iterator[tuple[int, int]]:
    """(power, and no power before it, in microseconds) of each short boot of one disturbance."""
    times = step.times
    if step.act == "glitch":
        times = 1 + stream.below(min(GLITCHES_MAX, step.errors or 1))
    on, off = step.on_ms or ON_MS.get(step.act, (0.0, boot_us / 1000)), step.off_ms or OFF_MS.get(step.act)
    if step.act == "power-cycle" and step.on_ms is None:
        on = (boot_us / 1000 + SETTLE_MS,) * 2
    for number in range(times):
        on_us = round(1000 * _between(on, stream))
        gap_us = round(1000 * _between(off, stream) * step.growth**number) if off else 0
        yield max(1, on_us), min(gap_us, 60_000_000)


def _between(span: Span, stream: Stream) -> float:
    least, most = span
    return least + (most - least) * stream.uniform()
