"""What the tests of one process share: the bench, its rigs, their home states, their campaigns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.base.errors import CallerError, KeyFault, KeyharnessError, RigError, one_of
from harness.bench.bench import LoadedBench, load_bench
from harness.bench.registry import Plugins, discover
from harness.campaign.budget_split import BudgetSplit
from harness.campaign.common import Beside, CampaignTerms
from harness.campaign.home import Home, go_home, go_to_home, in_turn, missing_of, seeded
from harness.campaign.result import Result
from harness.campaign.rows import campaign_row, trace_row
from harness.campaign.timed_live import LiveCampaign
from harness.campaign.timed_twin import TimedCampaign
from harness.campaign.walk import Campaign
from harness.evidence.abnormal import Abnormal
from harness.evidence.port_log import PortLog
from harness.evidence.rundir import RunDir
from harness.model.operation import FRESH, NextAction, Operation
from harness.model.rig import Rig
from harness.model.row import Judged
from harness.safety import quarantine
from harness.safety.claim import Claims, port_of
from harness.safety.pins import handed_out
from harness.search.search import STRATEGIES, Strategy
from harness.search.stopping import Goal
from harness.twin.glass_box import glass_box
from harness.twin.recorder import recorder

CampaignProgress = Callable[[str, str, int, int], None]


def strategy_of(search: str | None) -> Strategy:
    """Return the strategy that --search names; "time" and None mean the hybrid."""
    return next((name for name in STRATEGIES if name == search), "hybrid")


CampaignKind = Callable[[Rig, Operation, Home, CampaignTerms], Campaign | LiveCampaign]


def campaign_kind(rig: Rig, search: str | None) -> CampaignKind:
    """Return the kind of campaign for a rig: a walk of all writes where they are recorded, or a search by time."""
    strategy = strategy_of(search)
    if search is None and recorder(rig) is not None:
        return Campaign
    return partial(LiveCampaign if glass_box(rig) is None else TimedCampaign, strategy=strategy)


@dataclass(frozen=True)
class Wanted:
    """The options of a run; an empty selection means everything.

    :ivar cuts: number of cuts over all operations; None means every modelled cut.
    :ivar budget_us: time over all operations; None means no limit.
    :ivar goal: the goal of each operation.
    :ivar search: how instants are chosen: a strategy of `harness.search.search`, or "time", which is the hybrid. None
        walks a twin flash operation by flash operation.
    :ivar quick: cases that wait for long are left out.
    :ivar require: the proof that a pass needs (`harness.report.proof.REQUIRABLE`); None needs none.
    :ivar homes: from which operations are cut; the first one is the main one. Empty: what the bench says.
    :ivar absent: rigs that were not there when the run was started; workers cannot look for each other's rigs.
    """

    bench: Path | None = None
    rigs: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    seed: int | None = None
    cuts: int | None = None
    workers: int = 1
    budget_us: int | None = None
    goal: Goal | None = None
    search: str | None = None
    require: str | None = None
    quick: bool = False
    absent: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing limits what is cut."""
        limits = (self.cuts, self.budget_us, self.goal, self.search)
        return not (self.rigs or self.operations or self.homes) and all(one is None for one in limits)


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


def default_seed() -> int:
    """Return today's date in UTC as a number, e.g. 20261120."""
    return int(f"{datetime.now(UTC):%Y%m%d}")


class Session:
    """The bench and the rigs of one process.

    :param purpose: what the rigs are claimed for; shown to others who want one.
    :param bench: a bench that is loaded already; else the one that `wanted` names.
    :param served: other programs will use the keys (`Driver.serve`).
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
        self._port_logs: list[PortLog] = []
        self._abnormal: list[Abnormal] = []
        self._homes: dict[str, Home] = {}
        self._homeless: dict[str, KeyharnessError] = {}
        self._named: dict[tuple[str, str], Home | str] = {}
        self._actions: dict[str, list[NextAction]] = {}
        self._no_homes: dict[tuple[str, str], KeyFault] = {}
        self._untold: list[KeyFault] = []
        self._missing: dict[str, dict[str, str | None]] = {}
        self._states: dict[tuple[str, str], Any] = {}
        self._shares: dict[str, BudgetSplit] = {}
        self.campaigns: dict[tuple[str, str], Campaign | LiveCampaign] = {}
        self.notes: list[str] = []
        self.pairs = self._select()

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

    def home(self, name: str) -> Home:
        """Return the rig's home state; bring the key there on first use."""
        if name in self._homeless:
            raise self._homeless[name]
        if name not in self._homes:
            self.claims.take(self.rig(name))
            try:
                self._homes[name] = go_home(self.rig(name))
            except KeyharnessError as error:
                # A second try would take as long and fail in the same way, for every test.
                self._homeless[name] = error
                raise
        return self._homes[name]

    def home_names(self, rig: str) -> list[str]:
        """The homes that are named for a rig, the main one first; empty if none is."""
        names = self.wanted.homes or tuple(self.bench.settings(rig).homes or ())
        return [name for name in dict.fromkeys(names) if name in self._homes_of_key(rig)]

    def named_home(self, rig: str, name: str) -> Home | str:
        """Return a rig's home of that name, or what the key does not offer of it; bring the key there on first use."""
        if (rig, name) not in self._named:
            self._named[rig, name] = go_to_home(self.rig(rig), self.home(rig), name)
        return self._named[rig, name]

    def main_home(self, rig: str) -> Home | str:
        """Return the home that campaigns of a rig start from, or what the key does not offer of it."""
        return self.named_home(rig, (self.home_names(rig) or [FRESH])[0])

    def other_homes(self, rig_name: str, operation: str) -> list[tuple[Home, int | None]]:
        """Return the other homes from which an operation is cut, with the number of cuts; None is every cut."""
        names = self.home_names(rig_name)
        chosen: list[tuple[str, int | None]]
        if names:
            chosen = [(name, self.bench.settings(rig_name).home_cuts) for name in names[1:]]
        else:
            chosen = [*in_turn(self.rig(rig_name).key, operation).items()]
        found = []
        for name, cuts in chosen:
            if (rig_name, name) in self._no_homes:
                continue
            try:
                home = self.named_home(rig_name, name)
            except KeyFault as fault:
                # Told once, when the operation has been cut from the homes that there are.
                self._no_homes[rig_name, name] = fault
                self._untold.append(fault)
                continue
            if isinstance(home, Home):
                found.append((home, cuts))
        return found

    def next_actions(self, rig_name: str) -> list[NextAction]:
        """Return what an owner of the rig's key can do after a cut."""
        if rig_name not in self._actions:
            rig = self.rig(rig_name)
            actions = rig.key.next_actions
            lacking = missing_of(rig, self.home(rig_name), actions)
            self._actions[rig_name] = [action for action in actions if lacking[action.name] is None]
        return self._actions[rig_name]

    def missing(self, rig_name: str, operation: str) -> str | None:
        """Describe what an operation needs and the rig's key does not offer; None if nothing is missing."""
        home = self.main_home(rig_name)
        if isinstance(home, str):
            return home
        if home.adapted(self.rig(rig_name).key.operations[operation]) is None:
            return f"it is not asked from the home {home.name}"
        if rig_name not in self._missing:
            rig = self.rig(rig_name)
            chosen = [rig.key.operations[name] for at, name in self.pairs if at == rig_name]
            self._missing[rig_name] = missing_of(rig, self.home(rig_name), chosen)
        return self._missing[rig_name][operation]

    def state(self, rig_name: str, name: str, make: Callable[[Rig], None]) -> None:
        """Bring a key into a named state. Where states can be copied, make it once and copy it from then on.

        The key is on afterwards.
        """
        rig = self.rig(rig_name)
        vault = rig.vault
        if vault is None:
            make(rig)
            return
        if (rig_name, name) not in self._states:
            with seeded(rig, "state", name):
                make(rig)
            rig.settle()
            rig.power.off()
            self._states[rig_name, name] = vault.snapshot()
        vault.restore(self._states[rig_name, name])
        rig.power.on()

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

    def campaign(
        self, rig_name: str, operation: str, run: RunDir, progress: CampaignProgress | None = None
    ) -> Result:
        """Run one campaign. Each judged cut is on the disk at once, however the campaign ends."""
        self.shares(rig_name).begin(lambda: run.begin_time(rig_name))
        with self._journalled(rig_name, operation, run) as (keep, kept):

            def show_progress(done: int, total: int) -> None:
                if progress is not None:
                    progress(rig_name, operation, done, total)

            make = campaign_kind(self.rig(rig_name), self.wanted.search)
            campaign = make(
                self.rig(rig_name),
                self.rig(rig_name).key.operations[operation],
                self._start(rig_name),
                CampaignTerms(
                    allowance=self.shares(rig_name).first(operation),
                    beside=self.beside(rig_name, operation),
                    processes=self.processes(),
                    on_progress=show_progress,
                    on_judged=keep,
                    earlier=kept,
                ),
            )
            self.campaigns[rig_name, operation] = campaign
            result = campaign.run()
            if self._untold:
                raise self._untold.pop()
            return result

    def _start(self, rig_name: str) -> Home:
        home = self.main_home(rig_name)
        if isinstance(home, str):
            raise CallerError(f'rig "{rig_name}" · home', found=home, expected="a home that the key offers")
        return home

    def beside(self, rig_name: str, operation: str) -> Beside:
        """Return what a campaign cuts besides its walk; nothing where it has a budget, or nobody sees the flash."""
        if self.shares(rig_name).limited or self.wanted.search is not None:
            return Beside()
        if glass_box(self.rig(rig_name)) is None:
            return Beside()
        wanted = self.bench.settings(rig_name)
        others, actions = self.other_homes(rig_name, operation), self.next_actions(rig_name)
        return Beside(wanted.cuts, others, actions, wanted.second_cuts)

    def rest(
        self, rig_name: str, run: RunDir, progress: CampaignProgress | None = None
    ) -> list[tuple[str, Result]]:
        """Spend the rest of a rig's budget where outcomes are new; return the operations that were continued."""
        self.shares(rig_name).begin(lambda: run.begin_time(rig_name))
        for operation in self.shares(rig_name).operations:
            key = rig_name, operation
            if key not in self.campaigns and run.journal_path(*key).exists():
                # Its first share was spent before the run was resumed: nothing is cut here.
                self.campaign(*key, run, progress)
        done = {
            name: campaign
            for name in self.shares(rig_name).operations
            if (campaign := self.campaigns.get((rig_name, name))) and campaign.result.complete
        }
        went_on: dict[str, Result] = {}

        def go_on(name: str, go: Callable[[], Result]) -> None:
            with self._journalled(rig_name, name, run) as (keep, _):
                done[name].on_judged = keep
                went_on[name] = go()

        if done:
            self.shares(rig_name).rest(done, go_on)
        return list(went_on.items())

    @contextmanager
    def _journalled(
        self, rig_name: str, operation: str, run: RunDir
    ) -> Iterator[tuple[Callable[[Sequence[Judged]], None], list[Judged]]]:
        """Yield (callback that keeps rows, rows kept before); write the campaign's result at the end."""
        rig = self.rig(rig_name)
        port_log = PortLog(rig, run.kernel_log(rig_name, operation))
        self._port_logs.append(port_log)
        abnormal = Abnormal(run.path, handed_out)
        self._abnormal.append(abnormal)
        with run.journal(rig_name, operation) as journal:
            try:
                keep = abnormal.keeping(port_log.keeping(journal.keep), port_log.files)
                yield keep, journal.kept
            finally:
                campaign = self.campaigns.get((rig_name, operation))
                # An operation whose share of the budget is 0 has no rows, and is named all the same.
                if campaign is not None and (campaign.result.rows or campaign.result.complete):
                    result = campaign.result
                    result.plugs = port_log.plugs(result.plugs)
                    run.note_campaign(rig_name, operation, campaign_row(result))
                    if (trace := trace_row(result)) is not None:
                        run.write_trace(rig_name, operation, trace)

    def take_abnormal(self) -> list[Path]:
        """Return the folders of what was kept since the last call."""
        kept, self._abnormal = self._abnormal, []
        return [folder for one in kept for folder in one.kept]

    def take_kernel_lines(self) -> list[str]:
        """Return the kernel's lines about cuts that failed since the last call."""
        port_logs, self._port_logs = self._port_logs, []
        return [text for port_log in port_logs for text in port_log.failed]

    def close(self) -> None:
        self.claims.release()
        for rig in self._rigs.values():
            rig.close()
