"""Labels and attachments of a test in Allure's results; without allure-pytest these functions do nothing.

The rig is part of a test's identity, and so of its history. Firmware and seed are not: a test's history shows what
another firmware changed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.base.visible import encodable
from harness.model.outcome import Severity
from harness.report.allure_identity import keep_history_ids
from harness.report.verdict_text import replay_command

SEVERITIES: Mapping[str, str] = {Severity.S1: "blocker", Severity.S2: "critical", Severity.S3: "minor"}
BLAME_LABEL, OUTCOME_LABEL, TAG_LABEL = "blame", "outcome", "tag"


def active() -> bool:
    """Return whether allure-pytest writes results in this process."""
    commons = sys.modules.get("allure_commons")
    return commons is not None and bool(commons.plugin_manager.get_plugins())


def label_case(
    *,
    suite: str,
    application: str | None = None,
    operation: str | None = None,
    title: str | None = None,
    description: str | None = None,
    case: str | None = None,
    rig: str | None = None,
    firmware: str | None = None,
    seed: int | None = None,
    severity: str | None = None,
) -> None:
    """Label the running test: epic = suite, feature = application, story = operation.

    :param case: pytest's id of the parameters. Allure represents bytes by their type alone, so without the id
        two cases that differ only there would look like one case that ran twice.
    """
    if not active():
        return
    keep_history_ids()
    dynamic = _allure().dynamic
    dynamic.epic(suite)
    for value, say in ((application, dynamic.feature), (operation, dynamic.story), (title, dynamic.title)):
        if value:
            say(value)
    if description:
        dynamic.description(description)
    if severity:
        dynamic.severity(SEVERITIES[Severity(severity)])
    for name, identity in (("case", case), ("rig", rig)):
        if identity:
            dynamic.parameter(name, identity)
    for name, known in (("firmware", firmware), ("seed", seed)):
        if known is not None:
            dynamic.parameter(name, known, excluded=True)


def label_failure(blame: str, outcomes: Iterable[str] = ()) -> None:
    """Label a failure of the running test with its blame and its violation classes."""
    if not active():
        return
    dynamic = _allure().dynamic
    for name, value in failure_labels(blame, outcomes):
        dynamic.label(name, value)


def failure_labels(blame: str, outcomes: Iterable[str]) -> list[tuple[str, str]]:
    """Return the labels of a failure, as (name, value): its blame and its violation classes, and tags of these."""
    labels = [(BLAME_LABEL, str(blame)), (TAG_LABEL, f"blame: {blame}")]
    for outcome in dict.fromkeys(map(str, outcomes)):
        labels += [(OUTCOME_LABEL, outcome), (TAG_LABEL, outcome)]
    return labels


def attach_evidence(rows: Iterable[Mapping[str, Any]], name: str = "evidence") -> None:
    """Attach lines of evidence as text, which the report can show."""
    if active():
        from harness.evidence.journal import line

        _attach("".join(map(line, rows)), name, "text/plain", "jsonl")


def attach_picture(path: Path, name: str) -> None:
    """Attach a cut map or a flash raster."""
    if active() and path.is_file():
        kind = "image/png" if path.suffix == ".png" else "image/svg+xml"
        _attach(path.read_bytes(), name, kind, path.suffix.lstrip("."))


def attach_replay(replay_id: str, bench: str | None = None) -> None:
    """Attach the command that repeats one cut."""
    if active():
        _attach(f"{replay_command(replay_id, bench)}\n", "replay", "text/plain", "txt")


def attach_text(text: str, name: str) -> None:
    """Attach text, such as a log."""
    if active():
        _attach(text, name, "text/plain", "txt")


def _attach(body: str | bytes, name: str, kind: str, extension: str) -> None:
    body = encodable(body) if isinstance(body, str) else body
    _allure().attach(body, name=name, attachment_type=kind, extension=extension)


def _allure() -> Any:
    return importlib.import_module("allure")
