"""Cut the sound twin a hundred thousand times, to show that the judge gives no false alarm.

Rounds of all operations over sound personalities, fill levels and seeds; each cut is judged as any other. Boots that
follow a cut are cut as well (two cuts in a row), operations are cut from the key's other homes, and the owner goes on
after some of the cuts, as in a run that names no home.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TextIO

from harness.base.errors import KeyFault
from harness.base.json_document import json_document
from harness.base.seeds import child
from harness.campaign.common import Beside, CampaignTerms
from harness.campaign.home import Home, HomeFault, go_home, go_to_home, in_turn, missing, missing_of
from harness.campaign.walk import Campaign
from harness.model.key import Key
from harness.model.operation import NextAction, Operation
from harness.model.row import Row
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rig import TwinRig

CUTS = 100_000
FILLS = (0.0, 0.5, 0.95)
FULL_CUTS = 24
"""Evenly spread cuts into each operation of a full key: listing its content takes long."""


@dataclass
class Soak:
    """Counts and alarms of a long proof.

    :ivar nested: second cuts in a row. :ivar homes: cuts from other homes than the fresh one.
    :ivar actions: cuts after which the owner went on. Other cuts are none of these.
    :ivar alarms: (replay id or None, text) of each.
    """

    cuts: int = 0
    nested: int = 0
    homes: int = 0
    actions: int = 0
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


class _Round:
    """One twin, with its homes."""

    def __init__(self, key: Key, twin: TwinModel, options: TwinOptions, root: int):
        self.key, self._is_filled = key, bool(options.fill)
        self.rig = TwinRig("soak", key, twin, options, root, expendable=True)
        self.home = go_home(self.rig)
        self._named: dict[str, Home | str] = {}
        self._actions: list[NextAction] | None = None
        self.faults: list[HomeFault] = []

    def terms(self, operation: Operation) -> CampaignTerms:
        """What is cut: all of it, or a sample where a key is filled, whose content takes long to list."""
        processes = len(os.sched_getaffinity(0))
        if self._is_filled:
            return CampaignTerms(
                beside=Beside(FULL_CUTS, (), self.actions, second=False), processes=processes
            )
        return CampaignTerms(
            beside=Beside(None, self._homes_of(operation), self.actions), processes=processes
        )

    @property
    def actions(self) -> list[NextAction]:
        if self._actions is None:
            every = self.key.next_actions
            lacking = missing_of(self.rig, self.home, every)
            self._actions = [action for action in every if lacking[action.name] is None]
        return self._actions

    def _homes_of(self, operation: Operation) -> list[tuple[Home, int | None]]:
        found: list[tuple[Home, int | None]] = []
        for name, cuts in in_turn(self.key, operation.name).items():
            if name not in self._named:
                try:
                    self._named[name] = go_to_home(self.rig, self.home, name)
                except HomeFault as fault:
                    self._named[name] = str(fault)
                    self.faults.append(fault)
            if isinstance(home := self._named[name], Home):
                found.append((home, cuts))
        return found


def _round(key: Key, twin: TwinModel, options: TwinOptions, root: int, found: Soak, cuts: int) -> None:
    this = _Round(key, twin, options, root)
    for operation in key.operations.values():
        if found.cuts >= cuts or missing(this.rig, this.home, operation):
            continue
        campaign = Campaign(this.rig, operation, this.home, this.terms(operation))
        try:
            campaign.run()
        except KeyFault as fault:
            # In one home; what was cut before it in others counts.
            found.alarms.append((getattr(fault, "replay", None), f"{operation.name}: {fault}"))
        result = campaign.result
        _count(found, result.rows)
        found.states += result.distinct_states
        found.operations += 1
        found.alarms += [
            (finding.first, f"{operation.name}: {finding.item} {finding.outcome}: {finding.text}")
            for finding in result.findings
        ]
    found.alarms += [(fault.replay, str(fault)) for fault in this.faults]


def _count(found: Soak, rows: list[Row]) -> None:
    streams = Counter(row["stream"] for row in rows)
    found.cuts += len(rows)
    found.nested += streams["nested"]
    found.homes += streams["home"]
    found.actions += streams["next"]


def _tell(found: Soak, out: TextIO) -> None:
    out.write(
        f"\n{found.cuts:,} cuts, {found.nested:,} of them second cuts in a row, {found.homes:,} from other homes, "
        f"{found.actions:,} before an owner's action; {found.states:,} distinct states, "
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
