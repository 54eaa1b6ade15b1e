"""What Allure is told of a whole run: environment, executor, categories of failures and of cases that were not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.base.atomic_file import replace_file
from harness.base.errors import Blame
from harness.model.outcome import VIOLATIONS, Outcome
from harness.report import allure_history, files
from harness.report.allure_labels import BLAME_LABEL, OUTCOME_LABEL, TAG_LABEL
from harness.report.allure_readable import DEVIATION, NOT_OFFERED, NOT_RUN
from harness.report.files import Row, write_json
from harness.report.verdict_text import verdict_label
from harness.report.vocabulary import CLASSES

_BROKEN = ["failed", "broken"]
_BLAMES = {
    Blame.KEY: "The key's fault",
    Blame.RIG: "The rig's fault: not the key's",
    Blame.HARNESS: "Keyharness' fault: please report it",
    Blame.CALLER: "The caller's mistake",
}
_ERRORS = {
    Blame.KEY: "KeyFault",
    Blame.RIG: "RigError",
    Blame.HARNESS: "HarnessFault",
    Blame.CALLER: "CallerError",
}
_SKIPPED = (
    ("Deviation: does not fail the run", DEVIATION, "XFAIL"),
    ("Not offered by this key", NOT_OFFERED, NOT_OFFERED),
    ("Not run", NOT_RUN, None),
)
"""Category, tag and start of the message of each kind of case that Allure only knows as skipped."""


def write_results_about(run_dir: Path, head: Row) -> None:
    """Write Allure's files about the whole run: environment, executor, categories.

    :param head: run.json, or a summary.
    """
    write_about(run_dir / files.ALLURE_RESULTS, head)


def write_about(results: Path, head: Row) -> None:
    """As `write_results_about`, into a folder of results."""
    replace_file(results / "environment.properties", environment_properties(head))
    write_json(results / "executor.json", executor(head))
    write_json(results / "categories.json", categories())


def environment_properties(head: Row) -> str:
    """Format verdict, run, seed, bench and rigs as Java properties."""
    kinds = head.get("evidence_kind") or []
    rows: list[tuple[str, Any]] = [
        ("Verdict", verdict_label(head) if head.get("verdict") else None),
        ("Proof", head.get("proof")),
        ("Keyharness", head.get("version")),
        ("Run", head.get("run")),
        ("Seed", head.get("seed")),
        ("Bench", head.get("bench")),
        ("Evidence", kinds if isinstance(kinds, str) else ", ".join(kinds)),
    ]
    for rig in head.get("rigs") or []:
        parts = [
            rig.get("title") or rig.get("key"),
            rig.get("firmware"),
            rig.get("personality"),
            rig.get("transport"),
        ]
        rows.append((f"Rig {rig['name']}", ", ".join(str(part) for part in parts if part)))
    return "".join(
        f"{_escaped(name, ' =:')}={_escaped(str(value))}\n" for name, value in rows if value is not None
    )


def _escaped(text: str, more: str = "") -> str:
    for letter in ("\\", *more):
        text = text.replace(letter, "\\" + letter)
    return text.replace("\n", "\\n")


def executor(head: Row) -> Row:
    """Name what ran the tests, without host and user."""
    run = head.get("run")
    return {
        "name": "keyharness",
        "type": "keyharness",
        "buildName": run,
        "reportName": allure_history.entry_name(str(run)),
    }


def categories() -> list[Row]:
    """Return the categories for Allure 2, which looks at a failure's message: violation classes, then blame."""
    classes = [
        (f"Violation: {CLASSES[o].word}", rf"\bS[123] key\b[^\n]*\b{CLASSES[o].word}\b")
        for o in _violations()
    ]
    blames = [(name, rf"\b{_ERRORS[blame]}\b|\bblame: {blame}\b") for blame, name in _BLAMES.items()]
    return [
        # Java matches the whole message and JavaScript any part of it; no flag works in both.
        *(
            {"name": name, "matchedStatuses": _BROKEN, "messageRegex": rf"[\s\S]*(?:{pattern})[\s\S]*"}
            for name, pattern in [*classes, *blames]
        ),
        *(
            {"name": name, "matchedStatuses": ["skipped"], "messageRegex": rf"(?:Skipped: )?{pattern}[\s\S]*"}
            for name, _, pattern in _SKIPPED
            if pattern
        ),
    ]


def _violations() -> list[Outcome]:
    return [outcome for outcome in Outcome if outcome in VIOLATIONS]


def allure3_categories() -> list[Row]:
    """Return the categories for Allure 3, which looks at labels as well; the first match counts."""
    wanted = [(f"Violation: {CLASSES[o].word}", OUTCOME_LABEL, o.value) for o in _violations()]
    wanted += [(name, BLAME_LABEL, blame.value) for blame, name in _BLAMES.items()]
    by_message = {row["name"]: row["messageRegex"] for row in categories()}
    broken = [
        {
            "name": name,
            "matchers": [
                {"statuses": _BROKEN, "labels": {label: f"^{value}$"}},
                {"statuses": _BROKEN, "message": by_message[name]},
            ],
        }
        for name, label, value in wanted
    ]
    skipped = [
        {"name": name, "matchers": [{"statuses": ["skipped"], "labels": {TAG_LABEL: f"^{tag}$"}}]}
        for name, tag, _ in _SKIPPED
    ]
    return [*broken, *skipped]
