"""What the tests of one process share: the bench, its rigs, and their home states."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from harness.base.errors import CallerError, RigError, one_of
from harness.bench.bench import LoadedBench, load_bench
from harness.bench.registry import Plugins, discover
from harness.campaign.budget_split import BudgetSplit
from harness.model.operation import FRESH
from harness.model.rig import Rig
from harness.run.rig_homes import RigHomes
from harness.run.wanted import Wanted, default_seed
from harness.safety import quarantine
from harness.safety.claim import Claims, port_of


def _all_absent(errors: Sequence[RigError]) -> RigError:
    """One error for rigs of which none is there."""
    if len(errors) == 1:
        return errors[0]
    return RigError(
        f"none of the {len(errors)} rigs is there",
        found="\n".join(f"{error.what}: {error.found}" if error.found else error.what for error in errors),
        expected="at least one",
        mend=errors[0].mend,
    )


class Session:
    """The bench and the rigs of one process.

    :param purpose: what the rigs are claimed for; shown to others who want one.
    :param bench: a bench that is loaded already; else the one that `wanted` names.
    :param served: other programs will use the keys (`Driver.serve`).
    :ivar homes: the homes that keys are brought to.
    :ivar notes: what the report says of the run's selection, in sentences.
    """

    def __init__(
        self,
        wanted: Wanted,
        plugins: Plugins | None = None,
        purpose: str = "run",
        bench: LoadedBench | None = None,
        *,
        served: bool = False,
    ):
        self.wanted, self._served = wanted, served
        self.plugins = plugins or discover()
        self.bench: LoadedBench = bench or load_bench(wanted.bench, self.plugins)
        self.seed = default_seed() if wanted.seed is None else wanted.seed
        self.claims = Claims(self.bench.settings, purpose)
        self._rigs: dict[str, Rig] = {}
        self.absent: dict[str, RigError] = {}
        self.notes: list[str] = []
        self._shares: dict[str, BudgetSplit] = {}
        self.pairs = self._select()
        self.homes = RigHomes(
            wanted,
            self.bench,
            self.claims,
            rig=self.rig,
            names_of=self._homes_of_key,
            operations_of=lambda rig: [name for at, name in self.pairs if at == rig],
        )

    @property
    def rig_names(self) -> list[str]:
        if self.wanted.rigs:
            return list(self.wanted.rigs)
        every = self.bench.rigs
        # A bench of nothing but extra rigs has them all.
        usual = [name for name in every if not self.bench.settings(name).extra]
        return every if self.wanted.whole or not usual else usual

    def _select(self) -> list[tuple[str, str]]:
        """Return every selected (rig, operation), in the order of the bench and of the key."""
        for name in self.wanted.rigs:
            if name not in self.bench.rigs:
                raise CallerError(
                    f'rig "{name}"',
                    found=name,
                    expected=f"a rig of {self.bench.shown}: {one_of(name, self.bench.rigs)}",
                    mend="name one of these, or another bench with --bench",
                )
        pairs = []
        offered: set[str] = set()
        for rig in self.rig_names:
            names = self.bench.operations(rig)
            offered |= set(names)
            pairs += [
                (rig, name) for name in names if not self.wanted.operations or name in self.wanted.operations
            ]
        for name in self.wanted.operations:
            if name not in offered:
                raise CallerError(
                    f'operation "{name}"',
                    found=name,
                    expected=one_of(name, sorted(offered)),
                    mend="`keyharness list` shows the operations of each key",
                )
        homes = {home for rig in self.rig_names for home in self._homes_of_key(rig)}
        for name in self.wanted.homes:
            if name not in homes:
                raise CallerError(
                    f'home "{name}"',
                    found=name,
                    expected=one_of(name, sorted(homes)),
                    mend="`keyharness list` shows the homes of each key",
                )
        return pairs

    def _homes_of_key(self, rig: str) -> list[str]:
        return [FRESH, *self.plugins.keys[self.bench.key_name(rig)].homes]

    def rig(self, name: str) -> Rig:
        """Return a rig of the bench; make it on first use.

        :raises RigError: the rig is absent; raised again on each call.
        """
        if name in self.absent:
            raise self.absent[name]
        if name not in self._rigs:
            try:
                self._rigs[name] = self.bench.make(name, self.seed, served=self._served)
            except RigError as error:
                self.absent[name] = error
                raise
        return self._rigs[name]

    def port(self, name: str) -> str | None:
        """Return what only one process may use of a rig, also of one that is not there.

        :returns: None for a rig that every run makes anew.
        :raises RigError: the rig is not there, and the bench does not say where it would be.
        """
        try:
            return port_of(self.rig(name))
        except RigError:
            if (usb := self.bench.usb_port(name)) is None:
                raise
            return f"port usb:{usb}"

    def look_for_rigs(self, *, all_may_be_absent: bool = False) -> None:
        """Make the rigs of this run. One absent rig does not stop the others.

        :raises RigError: all rigs are absent; each is named.
        """
        for name in self.rig_names:
            if not self.is_elsewhere(name):
                with suppress(RigError):
                    self.rig(name)
        if len(self.absent) == len(self.rig_names) and not all_may_be_absent:
            raise _all_absent(list(self.absent.values()))

    def processes(self) -> int:
        """Return how many processes a campaign may use on this host."""
        return max(1, len(os.sched_getaffinity(0)) // self.wanted.workers)

    def shares(self, rig: str) -> BudgetSplit:
        """Return how the budget is split over a rig's operations."""
        if rig not in self._shares:
            wanted, of_rig = self.wanted, [name for at, name in self.pairs if at == rig]
            # What no cut can be made on takes no share from the others.
            pairs = [pair for pair in self.pairs if pair[0] == rig or self._can_be_cut(pair[0])]
            share, rest = divmod(wanted.cuts or 0, len(pairs) or 1)
            cuts = sum(share + (n < rest) for n, pair in enumerate(pairs) if pair[0] == rig)
            us = wanted.budget_us
            if us is not None:
                us = round(us * min(1.0, wanted.workers / (len({at for at, _ in pairs}) or 1)))
            # A rig of which no operation is wanted has nothing to split a budget over.
            split = (cuts if wanted.cuts is not None else None, us) if of_rig else (None, None)
            self._shares[rig] = BudgetSplit(of_rig, *split, wanted.goal)
        return self._shares[rig]

    def _can_be_cut(self, rig: str) -> bool:
        """Return whether a rig is there, expendable and not in quarantine, as far as that is known by now."""
        if rig in self.absent or rig in self.wanted.absent or not self.bench.is_expendable(rig):
            return False
        port = self.bench.usb_port(rig)
        return port is None or quarantine.quarantined(port) is None

    def is_elsewhere(self, name: str) -> bool:
        """Return whether another worker may be using the rig's board now; then the rig is not made here."""
        return self.wanted.workers > 1 and self.bench.is_actuated(name)

    def close(self) -> None:
        self.claims.release()
        for rig in self._rigs.values():
            rig.close()
