"""Prove that the judge works: seed one known bug at a time into a twin, and check that a campaign catches it.

The sound twin must pass everything first: a judge that always fails proves nothing, either.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from typing import TextIO

import harness
from harness.base.errors import CallerError, KeyFault, RigError, one_of
from harness.base.json_document import json_document
from harness.bench.bench import key_name
from harness.bench.registry import discover
from harness.campaign.common import Beside, CampaignTerms
from harness.campaign.home import Home, HomeFault, go_home, go_to_home, in_turn, missing
from harness.campaign.paired_writes import drifts
from harness.campaign.recording import UncutFault
from harness.campaign.result import Finding, Result
from harness.campaign.walk import Campaign
from harness.host.provenance import commit
from harness.model.key import Key
from harness.model.operation import Operation
from harness.model.outcome import Severity
from harness.run.wanted import default_seed
from harness.search.stopping import Allowance
from harness.twin.model import TwinModel, TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.trace import twin_trace

SUITE = "endurance"
FIRST_CUTS = 40
"""Evenly spread cuts into each operation in the first round, in which most bugs show."""
ELSEWHERE_CUTS = 100
"""Cuts into each operation of the other sound personalities."""
AIMED_CUTS = 400
"""Cuts in the second round for a defect that shows on a personality of its own, whose operations can be ten times as
long. For a defect in the first sound personality the second round does every cut."""
SAMPLED = 2
"""Cuts into each operation from the fresh home, where another home or an action of the owner is looked at."""
SOUND = "none: "

Shape = tuple[tuple[object, ...], ...]
"""Flash operations and marks of an uncut run."""


@dataclass(frozen=True)
class Proof:
    """Result for one defect, or for a sound twin.

    :ivar caught_by: "operation: item outcome"; None if nothing was violated.
    :ivar cuts: cuts that were judged until it was caught; all cuts if it was not.
    :ivar as_expected: whether a defect was caught, or the sound twin was clean.
    """

    defect: str
    personality: str
    title: str
    source: str
    suite: str
    caught_by: str | None
    replay: str | None
    cuts: int
    states: int
    seconds: float
    as_expected: bool


def prove(
    given: str | None,
    only: tuple[str, ...],
    seed: int | None,
    as_json: bool,
    out: TextIO,
    long_cuts: int | None = None,
    seeds: int | None = None,
) -> int:
    """Try the sound twin and every defect; return 0 if each behaves as expected, 1 if not.

    :param given: name of the key; None means that of the default bench.
    :param only: names of defects; all of them if empty.
    :param long_cuts: cut only the sound twin, this number of times (see `harness.run.soak`).
    :param seeds: run only every operation of the sound twins, on this number of seeds (see `harness.run.breadth`).
    :raises CallerError: no such key or defect, or a key without a twin.
    """
    plugins = discover()
    name = key_name(given, plugins)
    twin, key = plugins.twin(name), plugins.keys[name]
    for name in only:
        if name not in twin.defects:
            raise CallerError(
                f'defect "{name}"',
                found=name,
                expected=one_of(name, list(twin.defects)),
                mend="`keyharness list` shows the defects",
            )
    root = default_seed() if seed is None else seed
    if seeds is not None:
        from harness.run.breadth import show_every_operation

        if not as_json:
            out.write(
                f"{key.title} · every operation of every sound personality on {seeds:,} seeds from {root}\n\n"
            )
        return show_every_operation(key, twin, range(root, root + seeds), as_json, out)
    if long_cuts is not None:
        from harness.run.soak import soak

        if not as_json:
            out.write(f"{key.title} · seed {root} · {long_cuts:,} cuts into the sound twin\n\n")
        return soak(key, twin, root, long_cuts, as_json, out)
    trials = [_Trial(key, twin, name, root) for name in only or twin.defects]
    if not only:
        trials = [*(_Trial(key, twin, "", root, personality) for personality in twin.sound), *trials]
    proofs = []
    if not as_json:
        out.write(f"{key.title} · seed {root} · suite {SUITE}\n\n")
    for trial in trials:
        proof = trial.run()
        proofs.append(proof)
        if not as_json:
            _show(proof, out)
    missed = [proof for proof in proofs if not proof.as_expected]
    bugs = [proof for proof in proofs if not proof.defect.startswith(SOUND)]
    caught = sum(1 for proof in bugs if proof.as_expected)
    if not only:
        _note_score(key.name, caught, len(bugs))
    if as_json:
        out.write(json_document("prove", proofs=[asdict(proof) for proof in proofs]))
    else:
        out.write(f"\n{caught} of {len(bugs)} defects caught")
        out.write(", the sound twin is clean\n" if not missed and not only else "\n")
    return 1 if missed else 0


def _note_score(key: str, caught: int, of: int) -> None:
    """Enter the score into the ledger: a qualification says how good its tool was."""
    from harness.evidence.ledger import Ledger, now
    from harness.evidence.ledger_runs import note_score

    row = {"version": harness.__version__, "commit_id": commit(), "key": key, "at": now()}
    try:
        with Ledger() as ledger:
            note_score(ledger, {**row, "caught": caught, "of": of})
    except RigError as error:
        sys.stderr.write(f"the score is not entered into the ledger: {error}\n")


@lru_cache(maxsize=4096)
def _shape(key_name: str, options: TwinOptions, seed: int, operation: str) -> Shape:
    """The shape of the sound twin, to which a twin with a defect is compared."""
    return _sound(key_name, options.personality, seed).shape(operation)


@lru_cache(maxsize=8)
def _sound(key_name: str, personality: str, seed: int) -> _Trial:
    plugins = discover()
    return _Trial(plugins.keys[key_name], plugins.twin(key_name), "", seed, personality)


def _shape_of(recording: object) -> Shape:
    trace = twin_trace(recording)
    ops = [(op.chip, op.kind, op.page, op.offset, len(op.data)) for op in trace.ops]
    return (*ops, *((mark.name,) for mark in trace.marks))


class _Trial:
    """One twin on trial, with a defect or sound."""

    def __init__(self, key: Key, twin: TwinModel, defect: str, seed: int, personality: str = ""):
        self.key, self.twin, self.seed = key, twin, seed
        self.known = twin.defects.get(defect)
        own = self.known.personality if self.known else None
        default = twin.sound[0]
        self.options = TwinOptions(
            personality=own or personality or default, defects=(defect,) if defect else ()
        )
        self.all_cuts = self.options.personality == default
        self.rig = TwinRig("prove", key, twin, self.options, seed, expendable=True)
        self.cuts = self.states = 0

    @cached_property
    def home(self) -> Home:
        return go_home(self.rig)

    def run(self) -> Proof:
        started = time.monotonic()
        caught = replay = None
        try:
            found = self._search()
        except KeyFault as fault:
            # A twin that does not survive a clean power-off is caught before the first cut.
            caught = f"before any cut: {fault.what}" + (f": {fault.found}" if fault.found else "")
            replay = fault.replay if isinstance(fault, UncutFault | HomeFault) else None
        else:
            if found is not None:
                caught, replay = found
        known = self.known
        return Proof(
            defect=known.name if known else f"{SOUND}{self.options.personality}",
            personality=self.options.personality,
            title=known.title if known else "our sound firmware, which must pass everything",
            source=known.source if known else "",
            suite=SUITE,
            caught_by=caught,
            replay=replay,
            cuts=self.cuts,
            states=self.states,
            seconds=round(time.monotonic() - started, 2),
            as_expected=(caught is not None) == (known is not None),
        )

    def shape(self, operation: str) -> Shape:
        """Empty if something is wrong before the first cut; the campaign reports that."""
        try:
            return _shape_of(Campaign(self.rig, self.key.operations[operation], self.home).prepare().trace)
        except KeyFault:
            return ()

    def _search(self) -> tuple[str, str | None] | None:
        """Return what is found first, and its replay id: the worst finding of a campaign, or a leak of paired writes.

        A remark (S3) is returned if the operations that differ from the sound twin's show nothing else.

        :raises UncutFault: no cut of the first round found anything, and something is wrong without a cut.
        """
        uncut: UncutFault | None = None
        remark: tuple[str, str] | None = None
        differing: set[str] = set()
        offered = [one for one in self.key.operations.values() if not missing(self.rig, self.home, one)]
        if self.known is None:
            rounds: tuple[int | None, ...] = (None if self.all_cuts else ELSEWHERE_CUTS,)
            left = offered
        else:
            rounds = (FIRST_CUTS, None if self.all_cuts else AIMED_CUTS)
            left, differing = self._differing_first(offered)
            if (found := self._beside(left)) is not None:
                return found
        for cuts in rounds:
            again = []
            for operation in left:
                if uncut is not None and operation.name not in differing:
                    # What else the defect may lead to is sought where it shows only.
                    raise uncut
                if remark is not None and operation.name not in differing:
                    return remark
                try:
                    result = self._campaign(operation, cuts)
                except UncutFault as fault:
                    uncut = uncut or fault
                    continue
                if self._fails(result) and self._is_of_the_defect(operation, cuts):
                    return self._worst(operation, result)
                if remark is None and self._only_remarked(result):
                    remark = _said(operation, result.findings[0])
                if not result.exhaustive:
                    again.append(operation)
            if uncut is not None:
                raise uncut
            if remark is not None:
                return remark
            if cuts == rounds[0] and (leak := self._leak()) is not None:
                return f"paired writes: {leak}", None
            left = again
        return None

    def _leak(self) -> str | None:
        """What hundreds of paired writes take of a store, in words; None if nothing."""
        return next((drift.text for drift in drifts(self.rig, self.home) if drift.text), None)

    def _beside(self, operations: list[Operation]) -> tuple[str, str] | None:
        """Look where the defect says that it shows: from a home, or after an action of the owner.

        The cuts are those that a run without a budget makes there, so that such a run finds the same.
        """
        known = self.known
        if known is None or not (known.home or known.next_action):
            return None
        for operation in operations:
            homes = []
            for name, cuts in in_turn(self.key, operation.name).items():
                home = go_to_home(self.rig, self.home, name) if name == known.home else None
                if isinstance(home, Home):
                    homes.append((home, cuts))
            actions = self.key.next_actions if known.next_action else ()
            if not homes and not actions:
                continue
            result = self._campaign(operation, None, Beside(SAMPLED, homes, actions, second=False))
            if self._fails(result):
                return self._worst(operation, result)
        return None

    def _only_remarked(self, result: Result) -> bool:
        sound = self.options.personality in self.twin.sound
        return sound and bool(result.findings) and not self._fails(result)

    def _fails(self, result: Result) -> bool:
        """Whether a run would fail by it. A remark (S3) catches no defect; of a sound twin it is an alarm."""
        return any(self.known is None or one.severity != Severity.S3 for one in result.findings)

    def _worst(self, operation: Operation, result: Result) -> tuple[str, str]:
        """What the worst finding says, and its replay id; the cuts after its first one do not count."""
        worst = min(result.findings, key=lambda finding: (finding.severity, finding.item))
        first = [i for i, row in enumerate(result.rows) if row["id"] == worst.first]
        # What the uncut run shows needs no cut.
        self.cuts += (first[0] + 1 if first else 0) - len(result.rows)
        return _said(operation, worst)

    def _campaign(self, operation: Operation, cuts: int | None, beside: Beside | None = None) -> Result:
        terms = CampaignTerms(Allowance(cuts), len(os.sched_getaffinity(0)), beside=beside or Beside())
        result = Campaign(self.rig, operation, self.home, terms).run()
        self.cuts += len(result.rows)
        self.states += result.distinct_states
        return result

    def _is_of_the_defect(self, operation: Operation, cuts: int | None) -> bool:
        """On a personality that is not sound, a violation counts only if it is gone without the defect."""
        if self.known is None or self.options.personality in self.twin.sound:
            return True
        control = _sound(self.key.name, self.options.personality, self.seed)
        return not self._fails(control._campaign(operation, cuts))

    def _differing_first(self, operations: list[Operation]) -> tuple[list[Operation], set[str]]:
        """Sort operations: those whose uncut run differs from the sound twin's first, then those of its application.

        This is an order only: a bug may show although nothing differs before a cut.

        :returns: the sorted operations, and the names of those that differ.
        """
        sound = replace(self.options, defects=())

        differing = {
            operation.name
            for operation in operations
            if self.shape(operation.name) != _shape(self.key.name, sound, self.seed, operation.name)
        }

        def rank(operation: Operation) -> tuple[bool, bool]:
            assert self.known is not None
            return operation.name not in differing, self.known.application not in (
                None,
                operation.application,
            )

        return sorted(operations, key=rank), differing


def _said(operation: Operation, finding: Finding) -> tuple[str, str]:
    """What a finding says, and its replay id."""
    return f"{operation.name}: {finding.item} {finding.outcome}", finding.first


def _show(proof: Proof, out: TextIO) -> None:
    if proof.defect.startswith(SOUND):
        verdict = "clean " if proof.as_expected else "ALARM "
    else:
        verdict = "caught" if proof.as_expected else "MISSED"
    spent = f"{proof.cuts:>6} cuts {proof.states:>6} states {proof.seconds:>6.1f} s"
    out.write(f"  {verdict}  {proof.defect:<26} {spent}   {proof.caught_by or ''}\n")
    out.flush()
