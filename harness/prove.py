"""Prove the judge: seed one known bug at a time into a twin, and see that a campaign catches it.

The sound twin must pass everything first; a judge that never fails and one that always fails prove nothing.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from typing import TextIO

from harness.campaign import Campaign
from harness.discovery import discover
from harness.errors import CallerError, KeyFault, one_of
from harness.home import go_home, missing
from harness.key import Key, Operation
from harness.session import default_seed
from harness.twin.model import Defect, TwinOptions
from harness.twin.rig import TwinRig

SUITE = "endurance"
AIMED_CUTS = 400
"""So many evenly spread cuts an operation where a defect shows on a personality of its own, whose operations can
be ten times as long."""
SOUND = "none: reference"


@dataclass(frozen=True)
class Proof:
    """What became of one defect.

    :ivar caught_by: "operation: item outcome", None if nothing was violated.
    :ivar cuts: judged until it was caught, or all if it was not.
    :ivar as_expected: caught for a defect, clean for the sound twin.
    """

    defect: str
    title: str
    source: str
    suite: str
    caught_by: str | None
    replay: str | None
    cuts: int
    states: int
    seconds: float
    as_expected: bool


def prove(key_name: str, only: tuple[str, ...], seed: int | None, as_json: bool, out: TextIO) -> int:
    """Try the sound twin and every defect; 0 if each behaves as expected, 1 if not.

    :raises CallerError: no such key or defect, or a key without a twin.
    """
    key = discover().key(key_name, f'key "{key_name}"')
    if key.twin is None:
        raise CallerError(f'key "{key_name}"', found="no twin", expected="a key with a simulated one")
    for name in only:
        if name not in key.twin.defects:
            raise CallerError(
                f'defect "{name}"',
                found=name,
                expected=one_of(name, list(key.twin.defects)),
                mend="`keyharness list` shows the defects",
            )
    root = default_seed() if seed is None else seed
    names = list(only) or ["", *key.twin.defects]
    proofs = []
    if not as_json:
        out.write(f"{key.title} · seed {root} · suite {SUITE}\n\n")
    for name in names:
        proof = _try(key, name, root)
        proofs.append(proof)
        if not as_json:
            _show(proof, out)
    missed = [proof for proof in proofs if not proof.as_expected]
    if as_json:
        out.write(json.dumps([asdict(proof) for proof in proofs], indent=1) + "\n")
    else:
        caught = sum(1 for proof in proofs if proof.caught_by and proof.as_expected)
        out.write(f"\n{caught} of {len(proofs) - ('' in names)} defects caught")
        out.write(", the sound twin is clean\n" if not missed and "" in names else "\n")
    return 1 if missed else 0


def _try(key: Key, defect: str, seed: int) -> Proof:
    assert key.twin is not None
    known = key.twin.defects.get(defect)
    started = time.monotonic()
    cuts = states = 0
    caught = replay = None
    options = TwinOptions(defects=(defect,) if defect else ())
    if known is not None and known.personality is not None:
        options = replace(options, personality=known.personality)
    rig = TwinRig("prove", key, options, seed, expendable=True)
    try:
        home = go_home(rig)
        for operation in _nearest_first(key, known):
            if missing(rig, home, operation):
                continue
            budget = AIMED_CUTS if known is not None and known.personality is not None else None
            campaign = Campaign(rig, operation, home, cuts=budget, processes=len(os.sched_getaffinity(0)))
            result = campaign.run()
            cuts, states = cuts + len(result.rows), states + result.distinct_states
            if result.findings:
                worst = min(result.findings, key=lambda finding: (finding.severity, finding.item))
                first = next(i for i, row in enumerate(result.rows) if row["id"] == worst.first)
                cuts += first + 1 - len(result.rows)
                caught = f"{operation.name}: {worst.item} {worst.outcome}"
                replay = worst.first
                break
    except KeyFault as fault:
        # A twin that does not even survive a clean power-off has been caught before the first cut.
        caught = f"before any cut: {fault.what}" + (f": {fault.found}" if fault.found else "")
    return Proof(
        defect=defect or SOUND,
        title=known.title if known else "our sound firmware, which must pass everything",
        source=known.source if known else "",
        suite=SUITE,
        caught_by=caught,
        replay=replay,
        cuts=cuts,
        states=states,
        seconds=round(time.monotonic() - started, 2),
        as_expected=(caught is not None) == bool(defect),
    )


def _nearest_first(key: Key, defect: Defect | None) -> list[Operation]:
    """The operations of the application that a defect is in come first: that is where it shows."""
    operations = list(key.operations.values())
    if defect is None or defect.application is None:
        return operations
    return sorted(operations, key=lambda operation: operation.application != defect.application)


def _show(proof: Proof, out: TextIO) -> None:
    if proof.defect == SOUND:
        verdict = "clean " if proof.as_expected else "ALARM "
    else:
        verdict = "caught" if proof.as_expected else "MISSED"
    spent = f"{proof.cuts:>6} cuts {proof.states:>6} states {proof.seconds:>6.1f} s"
    out.write(f"  {verdict}  {proof.defect:<26} {spent}   {proof.caught_by or ''}\n")
    out.flush()
