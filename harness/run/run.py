"""A run: start it, run its campaigns with their pictures and labels, and end it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import harness
from harness.base.errors import RigError
from harness.campaign.rows import campaign_row, trace_row
from harness.evidence.abnormal import TEXTS
from harness.evidence.case_archive import pack_cases
from harness.evidence.mutation_score import newest_score
from harness.evidence.rundir import RunDir
from harness.host.provenance import commit, host_facts
from harness.model.outcome import Severity
from harness.model.row import BEYOND
from harness.report.large_run import pack_clean
from harness.report.verdict_text import failure_text
from harness.run.head import run_head
from harness.run.ledger_entry import began, ended, enter_abandoned, note_identity, number_run, record
from harness.run.resume import asked_of, compare
from harness.run.rig_facts import rig_facts
from harness.run.run_campaigns import RunCampaigns
from harness.run.session import Session
from harness.twin.glass_box import glass_box

if TYPE_CHECKING:
    from harness.campaign.result import Result
    from harness.model.rig import Rig

NO_PICTURES = "KEYHARNESS_NO_PICTURES"


class Display(Protocol):
    """What shows a run to a person while it goes on."""

    def started(self, head: dict[str, Any]) -> None: ...

    def campaign(self, rig: str, operation: str, done: int, total: int) -> None: ...

    def campaign_done(self, row: dict[str, Any]) -> None: ...

    def finished(self, summary: dict[str, Any], run: Path) -> None: ...


class Run:
    """The run of this process."""

    def __init__(self, session: Session, path: Path, display: Display | None):
        self.session, self.dir, self._display = session, RunDir(path), display
        self._campaigns = RunCampaigns(session)

    def start(self, asked: Mapping[str, Any], *, resumed: bool = False) -> None:
        """Write run.json, if this is the first process of the run.

        :param asked: the options that only the launcher knows.
        :raises CallerError: a resumed run whose version, plugins or keys have changed.
        """
        session = self.session
        series = asked.get("series")
        asked = {name: value for name, value in asked.items() if name != "series"}
        head = {
            **run_head(session),
            **({"series": series} if series else {}),
            "asked": asked_of(session.wanted, session.bench.file, asked),
            "host": host_facts(),
            "commit": commit(),
            **self._scores(),
        }
        if resumed:
            compare(self.dir.path, head, self.dir.head())
        elif self.dir.start(head):
            enter_abandoned()
            number_run(self.dir)
            announce(self.dir.path, self._display)
        began(self.dir.path)

    def _scores(self) -> dict[str, list[str]]:
        """What `prove --random` said of this version and of the keys, for run.json; nothing if it was not run."""
        keys = dict.fromkeys(self.session.bench.key_name(name) for name in self.session.rig_names)
        found = [(key, newest_score(key, harness.__version__)) for key in keys]
        said = [f"{key}: {score.text}" for key, score in found if score is not None]
        return {"mutation_scores": said} if said else {}

    def note_key(self, rig: Rig) -> None:
        """Note which key is on a rig and how it describes itself, for the ledger and the report."""
        if glass_box(rig) is None:
            self.dir.note_rig(rig.info())
        self.dir.note_remarks(rig.name, rig.remark)
        self.dir.note_facts(rig.name, lambda: rig_facts(rig, self.session.plugins.updates))
        if rig.identity is not None:
            note_identity(self.dir, rig.name, rig.identity, rig.evidence_kind, rig.key.name)

    def label(self, rig: Rig, node: Any) -> None:
        """Label a test for Allure: suite, application, operation, rig, firmware, seed."""
        from harness.report import allure_labels

        name = node.callspec.params.get("operation")
        # A suite of others may have a parameter of this name that means something else.
        operation = rig.key.operations.get(name) if isinstance(name, str) else None
        allure_labels.label_case(
            suite=node.path.parent.name,
            application=operation.application if operation else node.path.stem.removeprefix("test_"),
            operation=operation.name if operation else None,
            title=operation.title if operation else None,
            rig=rig.name,
            firmware=rig.info().firmware,
            seed=self.session.seed,
            case=node.callspec.id,
        )

    def campaign(self, rig: str, operation: str) -> tuple[Result, str | None]:
        """Run one campaign; return its result, and why it failed (None if it did not)."""
        show = self._display.campaign if self._display else None
        try:
            result = self._campaigns.run(rig, operation, self.dir, show)
        finally:
            # If the key dies, there is no result, and the kernel log says most.
            self._show_kernel_log()
        row = campaign_row(result)
        if self._display:
            self._display.campaign_done(row)
        self._illustrate(result, row)
        return result, self._failure(row)

    def _show_kernel_log(self) -> None:
        """Attach the kernel's lines and the kept texts of cuts that failed since the last call."""
        from harness.report import allure_labels

        for text in self._campaigns.take_kernel_lines():
            allure_labels.attach_text(text, "kernel log")
        for folder in self._campaigns.take_abnormal():
            for path in sorted(folder.glob("*")):
                if path.is_file() and path.suffix in TEXTS:
                    text = path.read_text(encoding="utf-8", errors="replace")
                    allure_labels.attach_text(text, f"{folder.name}: {path.name}")

    def rest(self, rig: str) -> list[tuple[dict[str, Any], str]]:
        """Spend the rest of a rig's budget where outcomes are new.

        :returns: of each operation with a new violation its line of operations.jsonl, and why it failed.
        """
        show = self._display.campaign if self._display else None
        before = {pair: found_by(one.result) for pair, one in self._campaigns.done.items()}
        failures = []
        try:
            went_on = self._campaigns.rest(rig, self.dir, show)
        finally:
            self._show_kernel_log()
        for operation, result in went_on:
            row = campaign_row(result)
            if self._display:
                self._display.campaign_done(row)
            self._picture(result, row)
            if found_by(result) - before.get((rig, operation), set()) and (why := self._failure(row)):
                failures.append((row, why))
        return failures

    def _picture(self, result: Result, row: dict[str, Any]) -> None:
        """Draw the campaign's pictures, and attach them and its evidence to the test."""
        from harness.report import allure_labels

        if (trace := trace_row(result)) is not None and NO_PICTURES not in os.environ:
            from harness.report import pictures

            # The pictures show one trace: cuts from other homes, or with more after them, stand in the evidence.
            drawn = [one for one in result.rows if one["stream"] not in BEYOND]
            for picture in pictures.draw(self.dir.path, row, drawn, trace):
                allure_labels.attach_picture(picture, picture.stem.rpartition(".")[2])
        allure_labels.attach_evidence(result.rows)

    def _illustrate(self, result: Result, row: dict[str, Any]) -> None:
        """Attach the campaign's pictures, evidence, replay ids and violation classes to its test."""
        from harness.report import allure_labels

        self._picture(result, row)
        for finding in row["findings"]:
            allure_labels.attach_replay(finding["first"], self._bench)
        if row["findings"]:
            allure_labels.label_failure("key", [finding["outcome"] for finding in row["findings"]])

    @property
    def _bench(self) -> str | None:
        """The bench as a person types it; None for the default one."""
        return self.session.bench.shown if self.session.wanted.bench else None

    def _failure(self, row: dict[str, Any]) -> str | None:
        if not any(finding["severity"] != Severity.S3 for finding in row["findings"]):
            return None
        return failure_text(row, self._bench)


def found_by(result: Result) -> set[tuple[str, str]]:
    """Return (item, outcome) of each finding of a campaign so far."""
    return {(finding.item, finding.outcome) for finding in result.findings}


def announce(path: Path, display: Display | None) -> None:
    """Describe the run in Allure's results and on the display. A run that is continued has results already."""
    from harness.report import allure, allure_archive

    head = RunDir(path).head()
    allure_archive.unpack_for_more(path)
    allure.write_results_about(path, head)
    if display:
        display.started(head)


def finish(path: Path, *, complete: bool, interrupted: bool, display: Display | None) -> int:
    """End a run: merge its journals, make its summary and its report. Return the exit code."""
    run = RunDir(path)
    run.finish(complete=complete, interrupted=interrupted, duration_s=run.worked_s)
    if complete and not interrupted:
        # Before the page, which links to what there is.
        pack_cases(path)
    summary, code = make_report(path)
    if complete and not interrupted:
        run.pack()
        pack_clean(path, summary)
    if display is not None:
        display.finished(summary, path)
    try:
        record(path, summary["verdict"])
        ended(path)
    except RigError as error:
        sys.stderr.write(f"not entered into the ledger: {error}\n")
        # What was done to a real key must not be lost silently; a twin does not wear.
        if code == 0 and summary["evidence_kind"] != ["twin"]:
            return 3
    return code


def make_report(path: Path) -> tuple[dict[str, Any], int]:
    """Make summary.json, junit.xml and the pages from a run's files; return the summary and the exit code."""
    from harness.report.report import write_report
    from harness.report.summary import conclude

    RunDir(path).merge_again()
    summary, code = conclude(path)
    write_report(path, summary)
    return summary, code
