"""The campaigns of a run: each is run, goes on with the rest of a budget, and is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.campaign.common import Beside, CampaignTerms
from harness.campaign.home import Home
from harness.campaign.result import Result
from harness.campaign.rows import campaign_row, trace_row
from harness.campaign.timed_live import LiveCampaign
from harness.campaign.timed_twin import TimedCampaign
from harness.campaign.walk import Campaign
from harness.evidence.abnormal import Abnormal
from harness.evidence.port_log import PortLog
from harness.evidence.rundir import RunDir
from harness.model.operation import Operation
from harness.model.rig import Rig
from harness.model.row import Judged
from harness.run.session import Session
from harness.safety.pins import handed_out
from harness.search.search import STRATEGIES, Strategy
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


class RunCampaigns:
    """The campaigns of one session.

    :ivar done: the campaigns that were run in this process, by (rig, operation).
    """

    def __init__(self, session: Session):
        self._session = session
        self._port_logs: list[PortLog] = []
        self._abnormal: list[Abnormal] = []
        self.done: dict[tuple[str, str], Campaign | LiveCampaign] = {}

    def run(
        self, rig_name: str, operation: str, run: RunDir, progress: CampaignProgress | None = None
    ) -> Result:
        """Run one campaign. Each judged cut is on the disk at once, however the campaign ends."""
        self._session.shares(rig_name).begin(lambda: run.begin_time(rig_name))
        with self._journalled(rig_name, operation, run) as (keep, kept):

            def show_progress(done: int, total: int) -> None:
                if progress is not None:
                    progress(rig_name, operation, done, total)

            make = campaign_kind(self._session.rig(rig_name), self._session.wanted.search)
            campaign = make(
                self._session.rig(rig_name),
                self._session.rig(rig_name).key.operations[operation],
                self._session.homes.start(rig_name),
                CampaignTerms(
                    allowance=self._session.shares(rig_name).first(operation),
                    beside=self.beside(rig_name, operation),
                    processes=self._session.processes(),
                    on_progress=show_progress,
                    on_judged=keep,
                    earlier=kept,
                ),
            )
            self.done[rig_name, operation] = campaign
            result = campaign.run()
            if self._session.homes.untold:
                raise self._session.homes.untold.pop()
            return result

    def beside(self, rig_name: str, operation: str) -> Beside:
        """Return what a campaign cuts besides its walk; nothing where it has a budget, or nothing records the key."""
        if self._session.shares(rig_name).limited or self._session.wanted.search is not None:
            return Beside()
        if recorder(self._session.rig(rig_name)) is None:
            return Beside()
        wanted = self._session.bench.settings(rig_name)
        homes = self._session.homes
        others, actions = homes.other_homes(rig_name, operation), homes.next_actions(rig_name)
        return Beside(wanted.cuts, others, actions, wanted.second_cuts)

    def rest(
        self, rig_name: str, run: RunDir, progress: CampaignProgress | None = None
    ) -> list[tuple[str, Result]]:
        """Spend the rest of a rig's budget where outcomes are new; return the operations that were continued."""
        self._session.shares(rig_name).begin(lambda: run.begin_time(rig_name))
        for operation in self._session.shares(rig_name).operations:
            key = rig_name, operation
            if key not in self.done and run.journal_path(*key).exists():
                # Its first share was spent before the run was resumed: nothing is cut here.
                self.run(*key, run, progress)
        done = {
            name: campaign
            for name in self._session.shares(rig_name).operations
            if (campaign := self.done.get((rig_name, name))) and campaign.result.complete
        }
        went_on: dict[str, Result] = {}

        def go_on(name: str, go: Callable[[], Result]) -> None:
            with self._journalled(rig_name, name, run) as (keep, _):
                done[name].on_judged = keep
                went_on[name] = go()

        if done:
            self._session.shares(rig_name).rest(done, go_on)
        return list(went_on.items())

    @contextmanager
    def _journalled(
        self, rig_name: str, operation: str, run: RunDir
    ) -> Iterator[tuple[Callable[[Sequence[Judged]], None], list[Judged]]]:
        """Yield (callback that keeps rows, rows kept before); write the campaign's result at the end."""
        rig = self._session.rig(rig_name)
        port_log = PortLog(rig, run.kernel_log(rig_name, operation))
        self._port_logs.append(port_log)
        abnormal = Abnormal(run.path, handed_out)
        self._abnormal.append(abnormal)
        with run.journal(rig_name, operation) as journal:
            try:
                keep = abnormal.keeping(port_log.keeping(journal.keep), port_log.files)
                yield keep, journal.kept
            finally:
                # A campaign may find out about its rig what nobody knew before.
                run.note_remarks(rig_name, rig.remark)
                campaign = self.done.get((rig_name, operation))
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
