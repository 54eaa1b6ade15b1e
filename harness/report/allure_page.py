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

from harness.base.atomic_file import replace_file
from harness.host.scratch import new_folder
from harness.report import allure_archive, allure_history, files
from harness.report.allure import allure3_categories, write_about
from harness.report.allure_compact import compact
from harness.report.allure_readable import make_readable
from harness.report.files import Damage, Row, read_object, write_json
from harness.report.node_js import Node, find_tools
from harness.report.offline import loads, offline
from harness.report.rendering import render
from harness.report.verdict import EXIT_CODES, PASS
from harness.report.verdict_text import LABELS, verdict_block, verdict_label

GENERATE_S_MAX = 120
_GATE = re.compile(r'd\("widgets/quality-gate\.json","[A-Za-z0-9+/=]*"\)')
_BODY = re.compile(r"<body\b[^>]*>")


def generate(
    run_dir: Path,
    summary: Row,
    operations: Sequence[Row],
    cases: Sequence[Row] | None = None,
    previous_runs_dir: Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> list[str]:
    """Make allure-results.zip and allure.html of a run; return why there is no page: an empty list if there is one.

    A lack of Node, Allure, results or files raises nothing.

    :param summary: the run's summary. :param operations: lines of operations.jsonl.
    :param cases: rows of results.jsonl; None if they are not known.
    :param previous_runs_dir: the folder with the history of runs; by default the one that holds the run's folder.
    """
    scratch = new_folder("allure")
    damage = Damage()
    try:
        results = scratch / files.ALLURE_RESULTS
        why = _prepare(run_dir, results, summary, operations, cases, damage)
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
    run_dir: Path,
    results: Path,
    summary: Row,
    operations: Sequence[Row],
    cases: Sequence[Row] | None,
    damage: Damage,
) -> list[str]:
    """Collect a run's results, make them readable and pack them; return why there are none."""
    allure_archive.collect(run_dir, results, damage)
    if not any(results.glob("*-result.json")):
        return ["the run left no results for Allure"]
    make_readable(results, summary, operations, cases)
    # The titles of rigs stand in run.json only.
    head = read_object(run_dir / files.RUN, Damage()) or {}
    write_about(results, {**summary, "rigs": _rigs(summary, head)})
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
        "categories": {"rules": allure3_categories()},
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
