"""Allure's page of a run, made with Node, and Allure's results in one archive.

The page is kept only if it loads nothing over the network. If something is missing or fails, there is no page, and
our own says why. A report never makes a run fail.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from harness.base.atomic_file import replace_file
from harness.base.errors import Blame
from harness.host.scratch import new_folder
from harness.model.key import VIOLATIONS, Outcome
from harness.report import allure_archive, allure_history, files
from harness.report.allure_compact import compact
from harness.report.allure_labels import BLAME_LABEL, OUTCOME_LABEL, TAG_LABEL
from harness.report.allure_readable import DEVIATION, NOT_OFFERED, NOT_RUN, make_readable
from harness.report.files import Damage, Row, read_object, write_json
from harness.report.node_js import Node, find_tools
from harness.report.offline import loads, offline
from harness.report.rendering import render
from harness.report.verdict import EXIT_CODES, PASS
from harness.report.verdict_text import LABELS, verdict_block, verdict_label
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
_SKIPPED = (
    ("Deviation: does not fail the run", DEVIATION, "XFAIL"),
    ("Not offered by this key", NOT_OFFERED, NOT_OFFERED),
    ("Not run", NOT_RUN, None),
)
"""Category, tag and start of the message of each kind of case that Allure only knows as skipped."""
_GATE = re.compile(r'd\("widgets/quality-gate\.json","[A-Za-z0-9+/=]*"\)')
_BODY = re.compile(r"<body\b[^>]*>")


def write_results_about(run_dir: Path, head: Row) -> None:
    """Write Allure's files about the whole run: environment, executor, categories.

    :param head: run.json, or a summary.
    """
    _write_about(run_dir / files.ALLURE_RESULTS, head)


def _write_about(results: Path, head: Row) -> None:
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


def _allure3_categories() -> list[Row]:
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


def generate(
    run_dir: Path,
    summary: Row,
    operations: Sequence[Row],
    previous_runs_dir: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Make allure-results.zip and allure.html of a run; return why there is no page: an empty list if there is one.

    A lack of Node, Allure, results or files raises nothing.

    :param summary: the run's summary. :param operations: lines of operations.jsonl.
    :param previous_runs_dir: the folder with the history of runs; by default the one that holds the run's folder.
    """
    scratch = new_folder("allure")
    damage = Damage()
    try:
        results = scratch / files.ALLURE_RESULTS
        why = _prepare(run_dir, results, summary, operations, damage)
        tools = find_tools(environ)
        why = [*why, *damage.sentences, *tools.missing]
        if not why and tools.node and tools.cli:
            _make_page(run_dir, previous_runs_dir or run_dir.parent, summary, scratch, tools.node, tools.cli)
            return []
    except _Failed as error:
        why = [str(error)]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        why = [f"Allure's page could not be made: {error}"]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    # A page of before would show what the run was then.
    (run_dir / files.ALLURE_PAGE).unlink(missing_ok=True)
    return why


def _prepare(
    run_dir: Path, results: Path, summary: Row, operations: Sequence[Row], damage: Damage
) -> list[str]:
    """Collect a run's results, make them readable and pack them; return why there are none."""
    allure_archive.collect(run_dir, results, damage)
    if not any(results.glob("*-result.json")):
        return ["the run left no results for Allure"]
    make_readable(results, summary, operations)
    # The titles of rigs stand in run.json only.
    head = read_object(run_dir / files.RUN, Damage()) or {}
    _write_about(results, {**summary, "rigs": _rigs(summary, head)})
    _write_verdict(results, summary)
    allure_archive.pack(results, run_dir)
    shutil.rmtree(run_dir / files.ALLURE_RESULTS, ignore_errors=True)
    return []


def _rigs(summary: Row, head: Row) -> list[Row]:
    titles = {rig.get("name"): rig.get("title") for rig in head.get("rigs") or [] if isinstance(rig, dict)}
    return [{**rig, "title": titles.get(rig["name"])} for rig in summary["rigs"]]


def _write_verdict(results: Path, summary: Row) -> None:
    """Write the verdict as Allure's file about the whole run, so that its page has it, too."""
    attached = "verdict-attachment.txt"
    text = "\n".join(verdict_block(summary, width=100)) + "\n"
    replace_file(results / attached, text)
    errors = [] if summary["verdict"] == PASS else [{"message": _verdict_line(summary), "trace": text}]
    attachments = [{"name": "verdict", "source": attached, "type": "text/plain"}]
    write_json(results / "verdict-globals.json", {"errors": errors, "attachments": attachments})


def _verdict_line(summary: Row) -> str:
    return ": ".join([verdict_label(summary), *summary["reasons"][:1]])


class _Failed(Exception):
    """Allure's page could not be made, or must not be used."""


def _make_page(run_dir: Path, runs_dir: Path, summary: Row, scratch: Path, node: Node, cli: Path) -> None:
    """Let Allure make its page of the results in `scratch`.

    :raises _Failed, OSError, subprocess.SubprocessError, ValueError: there is no page, or none that may be used.
    """
    run, started = str(summary["run"]), summary.get("started")
    past = scratch / files.HISTORY
    allure_history.lay_out(runs_dir, run, started, past)
    settings = json.loads((resources.files("harness.report") / "data" / "allurerc.json").read_text("utf-8"))
    settings |= {
        "name": allure_history.entry_name(run),
        "output": str(scratch / "out"),
        "historyPath": str(past),
        "categories": {"rules": _allure3_categories()},
    }
    write_json(scratch / "allurerc.json", settings)
    _run_allure(node, cli, scratch, run_dir / files.LOGS / "allure.log")
    made = scratch / "out" / files.INDEX
    if not made.is_file():
        raise _Failed("Allure ended without an error and without a page")
    html = offline(made.read_text("utf-8"))
    if reaching := loads(html):
        raise _Failed(f"Allure's page would load {reaching[0]}, and a report tells nobody that it is read")
    replace_file(run_dir / files.ALLURE_PAGE, compact(with_verdict(html, summary)))
    allure_history.take_in(runs_dir, run, started, past)


def with_verdict(html: str, summary: Row) -> str:
    """Put the verdict and a link to our page above Allure's page, and make its quality gate say the verdict."""
    passed = summary["verdict"] == PASS
    gate = {
        "rule": "verdict",
        "success": passed,
        "expected": PASS,
        "actual": summary["verdict"],
        "message": f"{_verdict_line(summary)} (exit code {EXIT_CODES[summary['verdict']]})",
    }
    widget = base64.b64encode(json.dumps({"default": [gate]}).encode()).decode()
    html = _GATE.sub(lambda _: f'd("widgets/quality-gate.json","{widget}")', html, count=1)
    banner = render(
        "allure_banner.html",
        summary=summary,
        label=verdict_label(summary),
        tone=LABELS[summary["verdict"]][1],
        index=files.INDEX,
    )
    return _BODY.sub(lambda body: body[0] + banner, html, count=1)


def _run_allure(node: Node, cli: Path, scratch: Path, log: Path) -> None:
    # Allure reads a path argument as a pattern, so results are named relative to its working folder.
    command = [str(node.program), str(cli), "generate", f"./{files.ALLURE_RESULTS}"]
    command += ["--config", str(scratch / "allurerc.json")]
    done = subprocess.run(
        command,
        cwd=scratch,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=GENERATE_S_MAX,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        replace_file(log, f"{done.stdout}\n{done.stderr}")
        raise _Failed(
            f"Allure ended with exit code {done.returncode}; {files.LOGS}/{log.name} has what it said"
        )
