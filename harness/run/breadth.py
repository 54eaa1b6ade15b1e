"""Run every operation of every sound personality on many seeds: uncut, and with a few cuts each.

A seed draws PINs, keys, names and the order of files, so a fault may show on one seed in fifty and nowhere else.
`harness.run.soak` goes deep on few seeds; this goes wide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TextIO

from harness.base.errors import KeyFault
from harness.base.json_document import json_document
from harness.campaign.common import CampaignTerms
from harness.campaign.home import Home, go_home, go_to_home, missing
from harness.campaign.walk import Campaign
from harness.model.key import Key
from harness.model.operation import FRESH, Operation
from harness.model.outcome import Outcome
from harness.search.stopping import Allowance
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rig import TwinRig

CUTS = 20
"""Evenly spread cuts into each operation."""
SEEDS = 200
UNCUT_LABEL = "end"
"""The label of the cut after everything: of an operation that ran to its end."""


@dataclass
class Tried:
    """One seed on one personality.

    :ivar home: from which every operation began. :ivar uncut: operations that ran uncut. :ivar cuts: judged cuts.
    :ivar alarms: (replay id or None, text) of each violation: the judge or the twin is wrong.
    """

    seed: int
    personality: str
    home: str = FRESH
    uncut: int = 0
    cuts: int = 0
    states: int = 0
    alarms: list[tuple[str | None, str]] = field(default_factory=list)


def every_operation(
    key: Key, twin: TwinModel, seeds: Sequence[int], *, thinned: bool = False
) -> Iterator[Tried]:
    """Yield what each seed showed on each sound personality; the homes of the key take turns, unless it is thinned.

    :param thinned: take one personality a seed, in turn, and cut only every tenth of its operations, others on
        each seed; all of them still run uncut. For a check of a minute instead of hours.
    """
    for number, seed in enumerate(seeds):
        personalities = [twin.sound[number % len(twin.sound)]] if thinned else twin.sound
        homes = [FRESH] if thinned else [FRESH, *key.homes]
        for place, personality in enumerate(personalities):
            home = homes[(number + place) % len(homes)]
            yield _one_seed(key, twin, seed, personality, home, (number, 10) if thinned else (0, 1))


def _one_seed(
    key: Key, twin: TwinModel, seed: int, personality: str, named: str, turn: tuple[int, int]
) -> Tried:
    tried = Tried(seed, personality, named)
    rig = TwinRig("soak", key, twin, TwinOptions(personality=personality), seed, expendable=True)
    try:
        fresh = go_home(rig)
        home = go_to_home(rig, fresh, named)
    except KeyFault as fault:
        tried.alarms.append((getattr(fault, "replay", None), str(fault)))
        return tried
    if isinstance(home, str):
        # What the key does not offer of it leaves the fresh one.
        home, tried.home = fresh, FRESH
    offered = [
        one
        for one in key.operations.values()
        if home.adapted(one) is not None and not missing(rig, fresh, one)
    ]
    which, of = turn
    for number, operation in enumerate(offered):
        _one_operation(rig, home, operation, CUTS if number % of == which % of else 0, tried)
    return tried


def _one_operation(rig: TwinRig, home: Home, operation: Operation, cuts: int, tried: Tried) -> None:
    campaign = Campaign(rig, operation, home, CampaignTerms(_allowance(cuts), len(os.sched_getaffinity(0))))
    try:
        if not cuts:
            row, breaches = campaign.replay(UNCUT_LABEL)
            found = [(row["id"], breach.item, breach.outcome, breach.text) for breach in breaches]
            if Outcome(row["outcome"]).is_violation and not found:
                found = [(row["id"], "the key", Outcome(row["outcome"]), "")]
        else:
            result = campaign.run()
            found = [(one.first, one.item, one.outcome, one.text) for one in result.findings]
            tried.cuts += len(result.rows) - 1
            tried.states += result.distinct_states
    except KeyFault as fault:
        found = []
        tried.alarms.append((getattr(fault, "replay", None), f"{operation.name}: {fault}"))
    tried.uncut += 1
    tried.alarms += [
        (replay, f"{operation.name}: {item} {outcome}: {text}") for replay, item, outcome, text in found
    ]


def _allowance(cuts: int) -> Allowance:
    """As many cuts, and the operation to its end."""
    return Allowance(cuts + 1)


def show_every_operation(key: Key, twin: TwinModel, seeds: Sequence[int], as_json: bool, out: TextIO) -> int:
    """Try every operation and tell what was found; return 0 if nothing was violated, 1 if something was."""
    tried: list[Tried] = []
    for one in every_operation(key, twin, seeds):
        tried.append(one)
        if not as_json:
            out.write(
                f"  seed {one.seed:<10} {one.personality:<14} {one.home:<14} {one.uncut:>4} operations "
                f"{one.cuts:>6} cuts\n"
            )
            out.writelines(f"    ALARM  {text}   {replay}\n" for replay, text in one.alarms)
            # Written at once: a person may end it early.
            out.flush()
    alarms = sum(len(one.alarms) for one in tried)
    if as_json:
        out.write(json_document("prove", operations=[asdict(one) for one in tried]))
    else:
        out.write(
            f"\n{len(seeds):,} seeds, {sum(one.uncut for one in tried):,} uncut operations, "
            f"{sum(one.cuts for one in tried):,} cuts, {sum(one.states for one in tried):,} distinct states\n"
        )
        out.write(
            f"{alarms} ALARMS on a sound twin: the judge or the twin is wrong\n"
            if alarms
            else "no false alarm\n"
        )
    return 1 if alarms else 0
