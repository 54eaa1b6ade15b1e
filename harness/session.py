"""What the tests of one process share: the bench, its rigs, their home states, and where evidence goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import harness
from harness.bench import LoadedBench, load_bench
from harness.campaign import Campaign
from harness.custody import Custody
from harness.discovery import Plugins, discover
from harness.errors import CallerError, KeyharnessError, one_of
from harness.evidence import Row, is_covering
from harness.home import Home, go_home, missing_of, seeded
from harness.live import LiveCampaign
from harness.portlog import PortLog
from harness.rig import Rig
from harness.rundir import RunDir
from harness.verdicts import Result

CampaignProgress = Callable[[str, str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What the caller asked for; empty selections mean everything.

    :ivar cuts: a budget over all operations in equal shares, None for every modelled cut.
    """

    bench: Path | None = None
    rigs: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    seed: int | None = None
    cuts: int | None = None
    workers: int = 1


def default_seed() -> int:
    """Today's date in UTC, e.g. 20261120."""
    return int(f"{datetime.now(UTC):%Y%m%d}")


class Session:
    """Benches and rigs of one process."""

    def __init__(self, wanted: Wanted, plugins: Plugins | None = None, purpose: str = "run"):
        self.wanted = wanted
        self.plugins = plugins or discover()
        self.bench: LoadedBench = load_bench(wanted.bench, self.plugins)
        self.seed = default_seed() if wanted.seed is None else wanted.seed
        self.custody = Custody(self.bench, purpose)
        self._rigs: dict[str, Rig] = {}
        self._homes: dict[str, Home] = {}
        self._homeless: dict[str, KeyharnessError] = {}
        self._missing: dict[str, dict[str, str | None]] = {}
        self._states: dict[tuple[str, str], Any] = {}
        self.pairs = self._select()

    @property
    def rig_names(self) -> list[str]:
        return list(self.wanted.rigs) or self.bench.rigs

    def _select(self) -> list[tuple[str, str]]:
        """Every selected (rig, operation), in the order of the bench and of the key."""
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
        return pairs

    def rig(self, name: str) -> Rig:
        if name not in self._rigs:
            self._rigs[name] = self.bench.make(name, self.seed)
        return self._rigs[name]

    def home(self, name: str) -> Home:
        """The rig's home state, laid down once a process."""
        if name in self._homeless:
            raise self._homeless[name]
        if name not in self._homes:
            self.custody.take(self.rig(name))
            try:
                self._homes[name] = go_home(self.rig(name))
            except KeyharnessError as error:
                # It would take as long and end the same way for every test.
                self._homeless[name] = error
                raise
        return self._homes[name]

    def missing(self, rig_name: str, operation: str) -> str | None:
        """What the operation needs and the rig's key does not offer, in words; None if nothing is missing."""
        if rig_name not in self._missing:
            rig = self.rig(rig_name)
            chosen = [rig.key.operations[name] for at, name in self.pairs if at == rig_name]
            self._missing[rig_name] = missing_of(rig, self.home(rig_name), chosen)
        return self._missing[rig_name][operation]

    def state(self, rig_name: str, name: str, make: Callable[[Rig], None]) -> None:
        """Bring a key into a named state, once a process where states can be copied, and copy it ever after.

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
            rig.power.off()
            self._states[rig_name, name] = vault.snapshot()
        vault.restore(self._states[rig_name, name])
        rig.power.on()

    def processes(self) -> int:
        """How many processes a campaign may use on this host."""
        return max(1, len(os.sched_getaffinity(0)) // self.wanted.workers)

    def cuts_for(self, rig: str, operation: str) -> int | None:
        """An operation's share of the budget."""
        if self.wanted.cuts is None:
            return None
        share, rest = divmod(self.wanted.cuts, len(self.pairs) or 1)
        return share + (self.pairs.index((rig, operation)) < rest)

    def head(self) -> dict[str, Any]:
        """run.json: what is known before anything was cut."""
        for name in self.rig_names:
            if self.rig(name).glass is None and self.rig(name).expendable:
                # What going home finds out about the rig belongs there; what goes wrong is told by each test.
                with suppress(KeyharnessError):
                    self.home(name)
        infos = [self.rig(name).info() for name in self.rig_names]
        kinds = {self.rig(name).evidence_kind for name in self.rig_names}
        return {
            "version": harness.__version__,
            "seed": self.seed,
            "bench": self.bench.shown,
            "started": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "evidence_kind": sorted(kinds),
            "rigs": [
                {
                    "name": info.name,
                    "key": info.key,
                    "title": info.title,
                    "firmware": info.firmware,
                    "personality": info.personality,
                    "transport": info.transport,
                    "expendable": info.expendable,
                }
                for info in infos
            ],
            "order": [list(pair) for pair in self.pairs],
        }

    def campaign(
        self, rig_name: str, operation: str, run: RunDir, progress: CampaignProgress | None = None
    ) -> Result:
        """Run one campaign, journalling as it goes; what was done is on disk however it ends."""
        rig = self.rig(rig_name)
        port_log = PortLog(rig, run.kernel_log(rig_name, operation))
        with run.journal(rig_name, operation) as journal:
            kind = LiveCampaign if rig.glass is None else Campaign
            campaign = kind(
                rig,
                rig.key.operations[operation],
                self.home(rig_name),
                cuts=self.cuts_for(rig_name, operation),
                processes=self.processes(),
                on_progress=(lambda done, total: progress(rig_name, operation, done, total))
                if progress
                else None,
                on_judged=port_log.keeping(journal.keep),
                earlier=journal.kept,
            )
            try:
                return campaign.run()
            finally:
                result = getattr(campaign, "result", None)
                if result is not None and result.rows:
                    result.plugs, result.kernel_lines = port_log.plugs(), port_log.failed
                    run.note_campaign(rig_name, operation, campaign_row(result))
                    if result.trace is not None:
                        run.write_trace(rig_name, operation, trace_row(result))

    def close(self) -> None:
        self.custody.release()
        for rig in self._rigs.values():
            rig.close()


def campaign_row(result: Result) -> Row:
    """A line of operations.jsonl."""
    judged = len(result.rows)
    covering = sum(1 for row in result.rows if is_covering(row))
    return {
        "rig": result.rig.name,
        "operation": result.operation.name,
        "title": result.operation.title,
        "cuts": judged,
        "planned": result.planned,
        "covering_cuts": covering,
        "distinct_states": result.distinct_states,
        "exhaustive": result.exhaustive and result.complete,
        "outcomes": result.outcomes,
        "violations": result.violations,
        "missed": result.missed or {"whole operation": [0, judged]},
        "bound": result.bound,
        "window_ms": result.window_ms,
        "timing": result.timing,
        "plugs": result.plugs,
        "live_checked": result.live_checked,
        "duration_s": round(result.duration_s, 3),
        "observe_s": round(result.observe_s, 3),
        "complete": result.complete,
        "wear": result.wear,
        "spent": {
            name: amount * judged
            for name, amount in (
                ("pin_tries", result.operation.cost.pin_tries),
                ("touches", result.operation.cost.touches),
            )
            if amount
        },
        "findings": [
            {
                "severity": finding.severity.value,
                "blame": "key",
                "item": finding.item,
                "law": finding.law,
                "outcome": finding.outcome.value,
                "count": finding.count,
                "covering_count": finding.covering,
                "of": covering,
                "first": finding.first,
                "where": finding.where,
                "text": finding.text,
            }
            for finding in sorted(result.findings, key=lambda f: (f.severity, -f.count, f.item))
        ],
    }


def trace_row(result: Result) -> Row:
    """What the pictures need of the recorded run; times from its start."""
    trace = result.trace
    assert trace is not None
    start = trace.start_us
    return {
        "ops": [
            {
                "chip": op.chip,
                "kind": op.kind,
                "page": op.page,
                "start_us": op.start_us - start,
                "end_us": op.end_us - start,
            }
            for op in trace.ops
        ],
        "marks": [{"name": mark.name, "at_us": mark.at_us - start} for mark in trace.marks],
        "start_us": 0,
        "end_us": trace.end_us - start,
    }
