"""Try a list of mutants, side by side, and compare those that nothing catches with the sound twin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.base.errors import CallerError, HarnessFault
from harness.mutants.catalogue import modules_from, tell_catalogue
from harness.mutants.choice import Module, Mutant
from harness.mutants.processes import Told, run_side_by_side
from harness.mutants.results import Result, compared, result_of
from harness.mutants.traces import SEEDS
from harness.mutants.trial import Setting, Tell, compare, put_in, sound_traces, traces_from, try_mutant

SOUND_LIMIT_S = 600.0
"""Processor time for the traces of the sound twin, and for the comparison of one mutant with them."""


@dataclass(frozen=True)
class Code:
    """The code of a key's twin.

    :ivar digest: of all code; another digest, other results.
    """

    key: str
    title: str
    modules: dict[str, Module]
    digest: str


class Trials:
    """Tries mutants in processes.

    :param folder: an empty one, for what they write.
    :param processes: how many run at the same time. :param limit_s: processor time of one trial.
    """

    def __init__(self, folder: Path, processes: int, limit_s: float):
        self._folder, self._processes, self._limit_s = folder, processes, limit_s
        self._log = folder / "output.log"
        # What trials do is no work of this user: no ledger, no lock and no report of it stays.
        self._state = str(folder / "state")

    def _quietly(self, work: Callable[[Tell], None], tell: Tell) -> None:
        os.environ["XDG_STATE_HOME"] = self._state
        os.environ["KEYHARNESS_NO_PICTURES"] = "1"
        os.environ.pop("KEYHARNESS_LEDGER", None)
        work(tell)

    def _side_by_side(
        self, jobs: Iterator[tuple[int, Callable[[Tell], None]]], limit_s: float
    ) -> Iterator[tuple[int, Told]]:
        quiet = ((number, partial(self._quietly, work)) for number, work in jobs)
        return run_side_by_side(quiet, self._processes, limit_s, self._log)

    def _whole(self, told: Told) -> dict[str, Any]:
        """What a process told that has to come to its end.

        :raises HarnessFault: it did not.
        """
        if told.ended or "error" in told.entries:
            raise HarnessFault("a process ended early", found=told.ended or told.entries["error"])
        return told.entries

    def load(self, given: str | None) -> Code:
        """Find out about the code, and import what it needs from other packages.

        :raises CallerError: no such key, or a key without a twin that says where its code is.
        """
        ((_, told),) = self._side_by_side(iter([(0, partial(tell_catalogue, given))]), SOUND_LIMIT_S)
        entries = self._whole(told)
        if usage := entries.get("usage"):
            what, found, expected, mend = usage
            raise CallerError(what, found=found, expected=expected, mend=mend)
        for name in entries["loaded"]:
            # Some names are aliases, which cannot be imported; a trial imports what is left.
            with suppress(ImportError):
                import_module(name)
        modules = {module.name: module for module in modules_from(entries["modules"])}
        return Code(entries["key"], entries["title"], modules, entries["digest"])

    def results(self, code: Code, seed: int, mutants: Sequence[Mutant]) -> Iterator[Result]:
        """Try mutants, and compare those that are not caught with the sound twin."""
        seeds = range(seed, seed + SEEDS)
        traced = self._side_by_side(((one, _sound(code.key, one)) for one in seeds), SOUND_LIMIT_S)
        sound = {one: traces_from(self._whole(told)["traces"]) for one, told in traced}
        setting = Setting(code.key, seed, sound)
        by_number = {mutant.number: mutant for mutant in mutants}

        def trial(mutant: Mutant) -> tuple[int, Callable[[Tell], None]]:
            return mutant.number, partial(self._try, setting, code.modules[mutant.module], mutant)

        def comparison(mutant: Mutant) -> tuple[int, Callable[[Tell], None]]:
            return mutant.number, partial(_compare, setting, code.modules[mutant.module], mutant)

        for number, told in self._side_by_side(map(trial, mutants), self._limit_s):
            mutant = by_number[number]
            result = result_of(mutant, told)
            if result is None:
                ((_, again),) = self._side_by_side(iter([comparison(mutant)]), SOUND_LIMIT_S)
                result = compared(mutant, told, again)
            yield result

    def _try(self, setting: Setting, module: Module, mutant: Mutant, tell: Tell) -> None:
        folder = self._folder / f"mutant-{mutant.number}"
        folder.mkdir()
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        try_mutant(setting, put_in(module, mutant), folder, tell)


def _sound(key: str, seed: int) -> Callable[[Tell], None]:
    return lambda tell: sound_traces(key, seed, tell, cut=True)


def _compare(setting: Setting, module: Module, mutant: Mutant, tell: Tell) -> None:
    compare(setting, put_in(module, mutant), tell)
