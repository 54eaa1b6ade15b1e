"""Try one mutant: would the harness say that the key fails? And if it does not, what does the mutant do otherwise?

Each function here runs in a process of its own (`harness.mutants.processes`) and tells what it finds as it goes on, so
that a process that is ended has said what it knew.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from harness.base.errors import Blame, KeyFault
from harness.base.signals import end_with
from harness.bench.registry import Plugins, discover
from harness.campaign.common import CampaignTerms
from harness.campaign.home import Home, go_home
from harness.campaign.walk import Campaign
from harness.model.outcome import Severity
from harness.mutants.choice import Module, Mutant, changed
from harness.mutants.loading import Reached, load_instead
from harness.mutants.suite_cases import Asked, ask, bench_of
from harness.mutants.traces import (
    SEEDS,
    OperationTrace,
    Traces,
    differing,
    offered,
    otherwise_offered,
    trace_of,
    traces_of,
)
from harness.pytest_plugin.cases import blame_of
from harness.run.prove import SUITE
from harness.search.stopping import Allowance
from harness.twin.board import Board
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig

BUILD = "build"
"""The stage before there is a twin."""
FIRST_CUTS = 40
"""Evenly spread cuts into each operation whose uncut run differs, before anything else is tried."""

Tell = Callable[..., None]
"""Called with what was found, as keywords whose values are JSON-able."""


@dataclass(frozen=True)
class Setting:
    """What all trials of one list of mutants have in common.

    :ivar key: name of the key. :ivar sound: what the sound twin does, by seed; that of the first seed is compared.
    """

    key: str
    seed: int
    sound: Mapping[int, Traces]

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + SEEDS)


def put_in(module: Module, mutant: Mutant) -> Reached:
    """Load the mutant from now on; Python's errors halt its firmware, as they would halt a compiled one."""
    reached = Reached()
    load_instead(module.name, changed(module.source, mutant.edit), mutant.edit.line, reached)
    Board.panics = (*Board.panics, Exception)
    return reached


def sound_traces(key: str, seed: int, tell: Tell, *, cut: bool) -> None:
    """Trace the sound twin: tells {operation: trace}."""
    rig = _rig(discover(), key, seed)
    found = {name: asdict(one) for name, one in traces_of(rig, go_home(rig), cut=cut)}
    tell(traces=found)


def traces_from(told: Mapping[str, Any]) -> Traces:
    """What `sound_traces` told."""
    return {name: OperationTrace(**one) for name, one in told.items()}


def _rig(plugins: Plugins, key: str, seed: int) -> TwinRig:
    model = plugins.twin(key)
    return TwinRig("mutant", plugins.keys[key], model, TwinOptions(model.sound[0]), seed, expendable=True)


def try_mutant(setting: Setting, reached: Reached, folder: Path, tell: Tell) -> None:
    """Tell `caught` (by what, what it says) as soon as the harness would fail the key, cheapest first.

    Besides it tells `stage` (what is tried now), `differs` {operation: what differs}, and `harness` (what went wrong
    that the harness would not blame on the key).
    """
    tell(stage=BUILD)
    plugins = discover()
    stages = _Stages(plugins, setting, reached, folder, tell)
    for stage in (stages.look, stages.first_cuts, stages.suites, stages.every_cut):
        # Without a home no case and no operation is asked: a run would only repeat what went wrong.
        if stage() or not stages.at_home:
            break
    tell(reached=bool(reached))


class _Stages:
    """The stages of a trial; each returns whether the mutant was caught."""

    def __init__(self, plugins: Plugins, setting: Setting, reached: Reached, folder: Path, tell: Tell):
        self._plugins, self._setting, self._reached = plugins, setting, reached
        self._folder, self._tell = folder, tell
        self._key = plugins.keys[setting.key]
        self._rig = _rig(plugins, setting.key, setting.seed)
        self._home: Home | None = None
        self._differs: dict[str, str] = {}

    @property
    def at_home(self) -> bool:
        return self._home is not None

    def _caught(self, by: str, text: str) -> bool:
        self._tell(caught=[by, " ".join(text.split())[:300]], reached=bool(self._reached))
        return True

    def _failed(self, by: str, error: Exception) -> bool:
        """Whether an error is the key's fault, as a run would say."""
        if blame_of(error, self._key) == Blame.KEY:
            return self._caught(by, f"{type(error).__name__}: {error}")
        self._tell(harness=f"{by}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return False

    def look(self) -> bool:
        """Go home and run every operation uncut."""
        self._tell(stage="home")
        try:
            self._home = go_home(self._rig)
        except Exception as error:
            return self._failed("home", error)
        sound = self._setting.sound[self._setting.seed]
        try:
            operations = offered(self._rig, self._home)
        except Exception as error:
            return self._failed("what is offered", error)
        for operation in operations:
            self._tell(stage=f"{operation.name} uncut")
            try:
                trace = trace_of(self._rig, self._home, operation)
            except KeyFault as fault:
                return self._caught(f"{operation.name} uncut", f"{fault.what} {fault.found or ''}")
            except Exception as error:
                if self._failed(f"{operation.name} uncut", error):
                    return True
                self._differs[operation.name] = "it ends with an error"
                continue
            self._differs |= differing(sound, {operation.name: trace})
        other = otherwise_offered(sound, (operation.name for operation in operations))
        self._tell(differs=self._differs | other)
        return False

    def first_cuts(self) -> bool:
        """Cut the operations whose uncut run differs, a few times each."""
        assert self._home is not None, "the look went home"
        for name in self._differs:
            self._tell(stage=f"{name}, {FIRST_CUTS} cuts")
            terms = CampaignTerms(Allowance(FIRST_CUTS))
            try:
                result = Campaign(self._rig, self._key.operations[name], self._home, terms).run()
            except Exception as error:
                if self._failed(name, error):
                    return True
                continue
            for one in result.findings:
                if one.severity != Severity.S3:
                    return self._caught(name, f"{one.item} {one.outcome}")
        return False

    def suites(self) -> bool:
        """Ask the cases of every suite of the key, without those that cut."""
        applications = {one.name for one in self._key.applications}
        wanted = [
            suite
            for suite in self._plugins.suites.values()
            if suite.name != SUITE and (not suite.application or suite.application in applications)
        ]
        return any(self._asked(suite.name) for suite in wanted)

    def every_cut(self) -> bool:
        """Cut every operation as a run does: those that differ first."""
        others = [name for name in self._key.operations if name not in self._differs]
        return any(self._asked(SUITE, names) for names in (list(self._differs), others) if names)

    def _asked(self, name: str, operations: Sequence[str] = ()) -> bool:
        self._tell(stage=f"suite {name}" + (f", {len(operations)} operations" if operations else ""))
        suite = self._plugins.suites[name]
        # One suite is asked twice, perhaps both times of as many operations.
        folder = Path(mkdtemp(prefix=f"{name}-", dir=self._folder))
        bench = bench_of(self._setting.key, folder)
        said = in_fork(lambda then: ask(suite, bench, self._setting.seed, folder, then, operations))
        if said is not None and said.caught:
            return self._caught(name, said.caught)
        if said is None or said.harness:
            self._tell(harness=f"suite {name}: {said.harness if said else 'the process ended'}")
        return False


def in_fork(work: Callable[[Callable[[Asked], None]], None]) -> Asked | None:
    """Ask a suite in a process of its own; None if the process ended without a word."""
    read, write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        # A trial that is ended ends here, too.
        end_with(parent, signal.SIGKILL)
        os.close(read)

        def then(asked: Asked) -> None:
            os.write(write, json.dumps(asdict(asked)).encode())

        try:
            work(then)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return Asked(**json.loads(said)) if said else None


def compare(setting: Setting, reached: Reached, tell: Tell) -> None:
    """Compare a mutant with the sound twin on all seeds, uncut and after cuts; stop at the first difference.

    Tells `differs`, empty if nothing does: then the mutant is equivalent, as far as traces can tell.
    """
    plugins = discover()
    for seed in setting.seeds:
        rig = _rig(plugins, setting.key, seed)
        if found := _first_difference(setting.sound[seed], traces_of(rig, go_home(rig), cut=True)):
            tell(differs=found, reached=bool(reached))
            return
    tell(differs={}, reached=bool(reached))


def _first_difference(sound: Traces, traces: Iterator[tuple[str, OperationTrace]]) -> dict[str, str]:
    """What differs first, by its operation; nothing is traced after that."""
    traced = []
    for name, trace in traces:
        traced.append(name)
        if found := differing(sound, {name: trace}):
            return found
    return otherwise_offered(sound, traced)
