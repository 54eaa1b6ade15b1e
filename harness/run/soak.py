"""Cut the sound twin a hundred thousand times, to show that the judge gives no false alarm.

Rounds of all operations over sound personalities, fill levels and seeds; each cut is judged as any other. Boots
that follow a cut are cut as well (two cuts in a row).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TextIO

from harness.base.errors import KeyFault
from harness.base.json_document import json_document
from harness.base.seeds import child
from harness.campaign.common import CampaignTerms
from harness.campaign.home import go_home, missing
from harness.campaign.walk import Campaign
from harness.model.key import Key
from harness.search.stopping import Allowance
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rig import TwinRig

CUTS = 100_000
FILLS = (0.0, 0.5, 0.95)
FULL_CUTS = 24
"""Evenly spread cuts into each operation of a full key: listing its content takes long."""


@dataclass
class Soak:
    """Counts and alarms of a long proof.

    :ivar alarms: (replay id or None, text) of each.
    """

    cuts: int = 0
    nested: int = 0
    states: int = 0
    operations: int = 0
    seconds: float = 0.0
    alarms: list[tuple[str | None, str]] = field(default_factory=list)
    by: dict[str, int] = field(default_factory=dict)


def soak(key: Key, twin: TwinModel, seed: int, cuts: int, as_json: bool, out: TextIO) -> int:
    """Cut until `cuts` cuts are judged; return 0 if nothing was violated, 1 if something was."""
    found = Soak()
    started = time.monotonic()
    for number, options, root in _rounds(twin, seed):
        if found.cuts >= cuts:
            break
        before, since, alarms = found.cuts, time.monotonic(), len(found.alarms)
        try:
            _round(key, twin, options, root, found, cuts)
        except KeyFault as fault:
            found.alarms.append((getattr(fault, "replay", None), str(fault)))
        where = f"{options.personality}, {options.fill:.0%} full"
        found.by[where] = found.by.get(where, 0) + found.cuts - before
        if not as_json:
            out.write(
                f"  round {number:>3}   seed {root}   {options.personality:<14} {options.fill:>4.0%} full "
                f"{found.cuts - before:>7} cuts {time.monotonic() - since:>7.1f} s\n"
            )
            # Written at once: a person may end the proof early.
            out.writelines(f"    ALARM  {text}   {replay}\n" for replay, text in found.alarms[alarms:])
            out.flush()
    found.seconds = round(time.monotonic() - started, 1)
    if as_json:
        out.write(json_document("prove", **asdict(found)))
    else:
        _tell(found, out)
    return 1 if found.alarms else 0


def _rounds(twin: TwinModel, seed: int) -> Iterator[tuple[int, TwinOptions, int]]:
    """Yield (number, options, seed) without end: all fill levels and personalities, then the next seed."""
    number = 0
    while True:
        root = seed if not number else int.from_bytes(child(seed, "soak", number)[:4], "big")
        for fill in FILLS:
            for personality in twin.sound:
                number += 1
                yield number, TwinOptions(personality=personality, fill=fill), root


def _round(key: Key, twin: TwinModel, options: TwinOptions, root: int, found: Soak, cuts: int) -> None:
    rig = TwinRig("soak", key, twin, options, root, expendable=True)
    home = go_home(rig)
    for operation in key.operations.values():
        if found.cuts >= cuts or missing(rig, home, operation):
            continue
        budget = FULL_CUTS if options.fill else None
        terms = CampaignTerms(Allowance(budget), len(os.sched_getaffinity(0)))
        result = Campaign(rig, operation, home, terms).run()
        found.cuts += len(result.rows)
        found.nested += sum(1 for row in result.rows if row["stream"] == "nested")
        found.states += result.distinct_states
        found.operations += 1
        found.alarms += [
            (finding.first, f"{operation.name}: {finding.item} {finding.outcome}: {finding.text}")
            for finding in result.findings
        ]


def _tell(found: Soak, out: TextIO) -> None:
    out.write(
        f"\n{found.cuts:,} cuts, {found.nested:,} of them second cuts in a row, {found.states:,} distinct states, "
        f"{found.operations:,} campaigns, {found.seconds:,.0f} s\n"
    )
    for name, count in sorted(found.by.items()):
        out.write(f"  {name:<28} {count:>8,} cuts\n")
    if not found.alarms:
        out.write("no false alarm\n")
        return
    out.write(f"{len(found.alarms)} ALARMS on a sound twin: the judge or the twin is wrong\n")
    for replay, text in found.alarms:
        out.write(f"  {text}\n" + (f"    {replay}\n" if replay else ""))
