"""A run: its campaigns, its pictures and labels while it goes on, and its end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from harness.base.errors import RigError
from harness.campaign.rows import campaign_row, trace_row
from harness.evidence.rundir import RunDir
from harness.model.key import Severity
from harness.report.verdict_text import failure_text
from harness.run.ledger_entry import began, ended, enter_abandoned, note_identity, record
from harness.run.resume import asked_of, compare, working_s
from harness.run.session import Session
from harness.twin.glass_box import glass_box

if TYPE_CHECKING:
    from harness.campaign.result import Result
    from harness.model.rig import Rig


class Display(Protocol):
    """Whoever shows the run to a person."""

    def started(self, head: dict[str, Any]) -> None: ...

    def campaign(self, rig: str, operation: str, done: int, total: int) -> None: ...

    def campaign_done(self, row: dict[str, Any]) -> None: ...

    def finished(self, summary: dict[str, Any], run: Path) -> None: ...


class Run:
    """The run of this process."""

    def __init__(self, session: Session, path: Path, display: Display | None):
        self.session, self.dir, self._display = session, RunDir(path), display

    def start(self, asked: Mapping[str, Any], *, resumed: bool = False) -> None:
        """Write what is known before anything was done; the first process of a run does that.

        :param asked: what only the launcher knows of what was asked for.
        :raises CallerError: a run is taken up that would go on as another one.
        """
        session = self.session
        head = {**session.head(), "asked": asked_of(session.wanted, session.bench.file, asked)}
        if resumed:
            compare(self.dir.path, head, self.dir.head())
        elif self.dir.start(head):
            enter_abandoned()
            announce(self.dir.path, self._display)
        began(self.dir.path)

    def note_key(self, rig: Rig) -> None:
        """Keep which key was on a rig and what it said of itself, for the ledger and the report."""
        if glass_box(rig) is None:
            self.dir.note_rig(rig.info())
        if rig.identity is not None:
            note_identity(self.dir, rig.name, rig.identity, rig.evidence_kind, rig.key.name)

    def label(self, rig: Rig, node: Any) -> None:
        """Put a test where it belongs in Allure: suite, application and operation, with what it ran on."""
        from harness.report import allure_labels

        name = node.callspec.params.get("operation")
        operation = rig.key.operations[name] if name else None
        allure_labels.label_case(
            suite=node.path.parent.name,
            application=operation.application if operation else node.path.stem.removeprefix("test_"),
            operation=name,
            title=operation.title if operation else None,
            rig=rig.name,
            firmware=rig.info().firmware,
            seed=self.session.seed,
            case=node.callspec.id,
        )

    def campaign(self, rig: str, operation: str) -> tuple[Result, str | None]:
        """Run one campaign; the second value is why it failed, None if it did not."""
        show = self._display.campaign if self._display else None
        try:
            result = self.session.campaign(rig, operation, self.dir, show)
        finally:
            # A campaign that a dead key ends returns no result, and its kernel log says most.
            self._show_kernel_log()
        row = campaign_row(result)
        if self._display:
            self._display.campaign_done(row)
        self._illustrate(result, row)
        return result, self._failure(row)

    def _show_kernel_log(self) -> None:
        """Attach what the kernel said during the cuts that failed since the last time."""
        from harness.report import allure_labels

        for text in self.session.take_kernel_lines():
            allure_labels.attach_text(text, "kernel log")

    def rest(self, rig: str) -> str | None:
        """Spend what is left of a rig's budget where outcomes are new; why that failed, None if it did not."""
        show = self._display.campaign if self._display else None
        before = {pair: found_by(one.result) for pair, one in self.session.campaigns.items()}
        failures = []
        try:
            went_on = self.session.rest(rig, self.dir, show)
        finally:
            self._show_kernel_log()
        for operation, result in went_on:
            row = campaign_row(result)
            if self._display:
                self._display.campaign_done(row)
            self._illustrate(result, row)
            if found_by(result) - before.get((rig, operation), set()) and (why := self._failure(row)):
                failures.append(why)
        return "\n".join(failures) or None

    def _illustrate(self, result: Result, row: dict[str, Any]) -> None:
        """Draw the campaign, and attach what a reader of the report wants to see."""
        from harness.report import allure_labels, pictures

        if (trace := trace_row(result)) is not None:
            for picture in pictures.draw(self.dir.path, row, result.rows, trace):
                allure_labels.attach_picture(picture, picture.stem.rpartition(".")[2])
        allure_labels.attach_evidence(result.rows)
        for finding in row["findings"]:
            allure_labels.attach_replay(finding["first"], self._bench)
        if row["findings"]:
            allure_labels.label_failure("key", [finding["outcome"] for finding in row["findings"]])

    @property
    def _bench(self) -> str | None:
        """The bench as it is to be typed; None for the default one."""
        return self.session.bench.shown if self.session.wanted.bench else None

    def _failure(self, row: dict[str, Any]) -> str | None:
        if not any(finding["severity"] != Severity.S3 for finding in row["findings"]):
            return None
        return failure_text(row, self._bench)


def found_by(result: Result) -> set[tuple[str, str]]:
    """(item, outcome) of what a campaign has found so far."""
    return {(finding.item, finding.outcome) for finding in result.findings}


def announce(path: Path, display: Display | None) -> None:
    """Say what the run is: in Allure's results and on the display."""
    from harness.report import allure

    head = RunDir(path).head()
    allure.write_results_about(path, head)
    if display:
        display.started(head)


def finish(path: Path, *, complete: bool, interrupted: bool, display: Display | None) -> int:
    """End a run: merge its journals, derive the summary, make the report. Returns the exit code."""
    run = RunDir(path)
    run.finish(complete=complete, interrupted=interrupted, duration_s=working_s(path))
    summary, code = make_report(path)
    if display is not None:
        display.finished(summary, path)
    try:
        record(path, summary["verdict"])
        ended(path)
    except RigError as error:
        sys.stderr.write(f"not entered into the ledger: {error}\n")
        # What was done to a real key must not be forgotten silently; a twin has nothing to remember.
        if code == 0 and summary["evidence_kind"] != ["twin"]:
            return 3
    return code


def make_report(path: Path) -> tuple[dict[str, Any], int]:
    """Derive summary.json and index.html from a run's files; returns the summary and the exit code."""
    from harness.report import allure
    from harness.report.summary import conclude

    RunDir(path).merge_again()
    summary, code = conclude(path)
    allure.generate(path, path.parent)
    return summary, code
