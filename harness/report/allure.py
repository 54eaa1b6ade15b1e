"""Make the report's page: Allure's, with Node, or else our own.

Allure's page is used only if it loads nothing over the network. Otherwise, or if something is missing or fails,
`harness.report.page` makes a page that says why. A report never makes a run fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from harness.base.atomic_file import replace_file
from harness.base.errors import Blame
from harness.host.scratch import new_folder
from harness.model.key import VIOLATIONS, Outcome
from harness.report import allure_history, files, page
from harness.report.allure_labels import BLAME_LABEL, OUTCOME_LABEL
from harness.report.files import Damage, Row, read_object, write_json
from harness.report.node_js import Node, find_tools
from harness.report.offline import loads, offline
from harness.report.vocabulary import CLASSES

GENERATE_S_MAX = 120
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


def write_results_about(run_dir: Path, head: Row) -> None:
    """Write Allure's files about the whole run: environment, executor, categories.

    :param head: run.json, or a summary.
    """
    results = run_dir / files.ALLURE_RESULTS
    replace_file(results / "environment.properties", environment_properties(head))
    write_json(results / "executor.json", executor(head))
    write_json(results / "categories.json", categories())


def environment_properties(head: Row) -> str:
    """Format run, seed, bench and rigs as Java properties."""
    kinds = head.get("evidence_kind") or []
    rows: list[tuple[str, Any]] = [
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
        {"name": name, "matchedStatuses": _BROKEN, "messageRegex": rf"[\s\S]*(?:{pattern})[\s\S]*"}
        for name, pattern in [*classes, *blames]
    ]


def _violations() -> list[Outcome]:
    return [outcome for outcome in Outcome if outcome in VIOLATIONS]


def _allure3_categories() -> list[Row]:
    """Return the categories for Allure 3, which looks at labels as well; the first match counts."""
    wanted = [(f"Violation: {CLASSES[o].word}", OUTCOME_LABEL, o.value) for o in _violations()]
    wanted += [(name, BLAME_LABEL, blame.value) for blame, name in _BLAMES.items()]
    by_message = {row["name"]: row["messageRegex"] for row in categories()}
    return [
        {
            "name": name,
            "matchers": [
                {"statuses": _BROKEN, "labels": {label: f"^{value}$"}},
                {"statuses": _BROKEN, "message": by_message[name]},
            ],
        }
        for name, label, value in wanted
    ]


def generate(
    run_dir: Path, previous_runs_dir: Path | None = None, *, environ: Mapping[str, str] = os.environ
) -> Path:
    """Make index.html of a run. A lack of Node, Allure, results or files raises nothing.

    :param previous_runs_dir: the folder with the history of runs; by default the one that holds the run's folder.
    """
    runs_dir = previous_runs_dir or run_dir.parent
    tools = find_tools(environ)
    why = list(tools.missing)
    if not any((run_dir / files.ALLURE_RESULTS).glob("*-result.json")):
        why.append("the run left no results for Allure")
    if not why and tools.node and tools.cli:
        try:
            return _made_by_allure(run_dir, runs_dir, tools.node, tools.cli)
        except _Failed as error:
            why.append(str(error))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            why.append(f"Allure's page could not be made: {error}")
    return page.write_page(run_dir, why)


class _Failed(Exception):
    """Allure's page could not be made, or must not be used."""


def _made_by_allure(run_dir: Path, runs_dir: Path, node: Node, cli: Path) -> Path:
    head = read_object(run_dir / files.RUN, Damage()) or {}
    run, started = str(head.get("run") or run_dir.name), head.get("started")
    scratch = new_folder("allure")
    try:
        past = scratch / files.HISTORY
        allure_history.lay_out(runs_dir, run, started, past)
        settings = json.loads(
            (resources.files("harness.report") / "data" / "allurerc.json").read_text("utf-8")
        )
        settings |= {
            "name": allure_history.entry_name(run),
            "output": str(scratch / "out"),
            "historyPath": str(past),
            "categories": {"rules": _allure3_categories()},
        }
        write_json(scratch / "allurerc.json", settings)
        _run_allure(node, cli, run_dir, scratch / "allurerc.json")
        made = scratch / "out" / files.INDEX
        if not made.is_file():
            raise _Failed("Allure ended without an error and without a page")
        html = offline(made.read_text("utf-8"))
        if reaching := loads(html):
            raise _Failed(
                f"Allure's page would load {reaching[0]}, and a report tells nobody that it is read"
            )
        replace_file(run_dir / files.INDEX, html)
        allure_history.take_in(runs_dir, run, started, past)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return run_dir / files.INDEX


def _run_allure(node: Node, cli: Path, run_dir: Path, config: Path) -> None:
    # Allure reads a path argument as a pattern, so results are named relative to its working folder.
    command = [str(node.program), str(cli), "generate", f"./{files.ALLURE_RESULTS}", "--config", str(config)]
    done = subprocess.run(
        command,
        cwd=run_dir,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=GENERATE_S_MAX,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        log = run_dir / files.LOGS / "allure.log"
        replace_file(log, f"{done.stdout}\n{done.stderr}")
        raise _Failed(
            f"Allure ended with exit code {done.returncode}; {files.LOGS}/{log.name} has what it said"
        )
