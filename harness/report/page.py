"""Our own page of a run: one file without a script, that stands in where Allure's cannot be made.

Everything is inside it, pictures included. It loads nothing, and tells the browser to load nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from harness.base.atomic_file import replace_file
from harness.report import files, vocabulary
from harness.report.files import Damage, Row, read_object, read_rows
from harness.report.load import check_case
from harness.report.node_js import INSTALL_COMMAND
from harness.report.summary import build_summary
from harness.report.text import duration, operation_name, several_rigs
from harness.report.verdict import blame_of
from harness.report.verdict_text import LABELS, finding_lines, proofs, replay_command
from harness.report.vocabulary import CLASSES, is_violation, number, percent

CASES_MAX = 200
PICTURES_BYTES_MAX = 60_000_000
"""All pictures together: beyond it they are linked to, for a page has to open."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"
_PICTURE_NAMES = {files.CUT_MAP: "cut map", files.FLASH_RASTER: "flash raster", files.RISK: "risk"}


def write_page(run_dir: Path, why: Sequence[str] = ()) -> Path:
    """Write index.html of a run from its files.

    :param why: why it is not Allure's page.
    """
    unread = Damage()
    summary = read_object(run_dir / files.SUMMARY, unread) or build_summary(run_dir)
    cases = [
        case
        for case in read_rows(run_dir / files.RESULTS, unread, check_case)
        if case["outcome"] in ("failed", "error")
    ]
    replace_file(run_dir / files.INDEX, page(summary, cases, _pictures(run_dir, summary), why))
    return run_dir / files.INDEX


def page(
    summary: Row,
    cases: Sequence[Row] = (),
    pictures: Mapping[tuple[str, str], Sequence[tuple[str, str]]] | None = None,
    why: Sequence[str] = (),
) -> str:
    """A run's page.

    :param cases: the test cases that failed or broke.
    :param pictures: (rig, operation) -> names and addresses of its pictures.
    :param why: why it is not Allure's.
    """
    style = (resources.files("harness.report") / "data" / "page.css").read_text("utf-8")
    title = f"Keyharness {summary['run']}: {LABELS[summary['verdict']][0].lower()}"
    body = [
        _head(summary),
        _stand_in(why),
        _findings(summary),
        _reasons(summary),
        _cases(cases),
        _suites(summary),
        _operations(summary),
        _shown(summary, pictures or {}),
        _rigs(summary),
        _wear(summary),
        _files(),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _pictures(run_dir: Path, summary: Row) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pictures as addresses that hold them. An <img> is a world of its own: their ids cannot clash."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    left = PICTURES_BYTES_MAX
    for op in summary["operations"]:
        names = op["rig"], op["operation"]
        for kind, called in _PICTURE_NAMES.items():
            path = files.picture_path(run_dir, *names, kind)
            try:
                drawn = path.read_bytes()
            except OSError:
                continue
            left -= len(drawn)
            inside = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
            address = inside if left > 0 else f"{files.PICTURES}/{path.name}"
            found.setdefault(names, []).append((called, address))
    return found


def _head(summary: Row) -> str:
    label = LABELS[summary["verdict"]][0]
    keys = vocabulary.keys_in(summary["rigs"])
    kind = vocabulary.evidence_sentence(summary["evidence_kind"], keys)
    if not summary["complete"]:
        kind += " · cut short"
    facts = [
        f"keyharness {summary['version']}" if summary["version"] else None,
        f"bench {summary['bench']}" if summary["bench"] else None,
        f"seed {summary['seed']}" if summary["seed"] is not None else None,
        summary["started"],
        f"took {duration(summary['duration_s'])}" if summary["duration_s"] is not None else None,
    ]
    said = "".join(f"<p>{escape(line)}</p>" for line in proofs(summary))
    known = escape(" · ".join(fact for fact in facts if fact))
    return (
        f"<h1>Run {escape(summary['run'])}<small>{known}</small></h1>\n"
        f'<div class="verdict {summary["verdict"]}"><p><strong>{label}</strong>{escape(kind)}</p>{said}</div>'
    )


def _stand_in(why: Sequence[str]) -> str:
    if not why:
        return ""
    return (
        f'<p class="aside">This page stands in for Allure\'s report, because {escape("; ".join(why))}. '
        f"With Node 20 or newer (on PATH, or <code>pip install 'keyharness[html]'</code>), "
        f"<code>{escape(INSTALL_COMMAND)}</code> gets Allure once; then make the report again.</p>"
    )


def _findings(summary: Row) -> str:
    if not summary["violations"]:
        return ""
    operations = {(op["rig"], op["operation"]): op for op in summary["operations"]}
    cards = []
    for found in summary["violations"]:
        operation = operations.get((found["rig"], found["operation"]))
        first, *rest = finding_lines(found, operation, several=several_rigs(summary))
        replay = (
            f"<pre>{escape(replay_command(found['first'], summary['bench']))}</pre>" if found["first"] else ""
        )
        cards.append(
            f'<div class="finding {found["severity"]}"><h3><span>{found["severity"]} {found["blame"]}</span>'
            f"{escape(first)}</h3>{''.join(f'<p>{escape(line)}</p>' for line in rest)}{replay}</div>"
        )
    return "<h2>What was found</h2>\n" + "\n".join(cards)


def _reasons(summary: Row) -> str:
    if not summary["reasons"]:
        return ""
    return "<h2>Why</h2>\n<ul>" + "".join(f"<li>{escape(why)}</li>" for why in summary["reasons"]) + "</ul>"


def _cases(cases: Sequence[Row]) -> str:
    if not cases:
        return ""
    rows = [
        [
            _text(case["nodeid"]),
            _text(case["outcome"]),
            _text(blame_of(case)),
            _text(case.get("reason") or ""),
        ]
        for case in cases[:CASES_MAX]
    ]
    more = f"<p>… and {len(cases) - CASES_MAX} more in {files.RESULTS}</p>" if len(cases) > CASES_MAX else ""
    return f"<h2>Cases that failed</h2>\n{_table(['case', 'outcome', 'blame', 'reason'], rows)}{more}"


def _suites(summary: Row) -> str:
    if not summary["suites"]:
        return ""
    rows = [
        [
            _text(name),
            _number(suite["passed"]),
            _number(suite["failed"], bad=True),
            _number(suite["error"], bad=True),
            _number(suite["not_offered"]),
            _number(suite["skipped"]),
        ]
        for name, suite in summary["suites"].items()
    ]
    return "<h2>Suites</h2>\n" + _table(
        ["suite", "#passed", "#failed", "#broken", "#not offered", "#not run"], rows
    )


def _operations(summary: Row) -> str:
    operations: Sequence[Row] = summary["operations"]
    if not operations:
        return ""
    several = several_rigs(summary)
    rows = [
        [
            _text(operation_name(op["rig"], op["operation"], several)),
            _number(op["cuts"]),
            _number(op["distinct_states"]),
            f'<td>{_share(op["outcomes"] or {})}<span class="said">{_said(op["outcomes"] or {})}</span></td>',
            _number(op["violations"], bad=True),
            _text(vocabulary.proof(op)),
        ]
        for op in operations
    ]
    columns = ["operation", "#cuts", "#states", "what came of them", "#violations", "proof"]
    return "<h2>Operations</h2>\n" + _table(columns, rows)


def _share(outcomes: Mapping[str, int]) -> str:
    whole = sum(outcomes.values()) or 1
    parts = "".join(
        f'<span style="width:{100 * count / whole:.2f}%;background:{CLASSES[name].colour}" '
        f'title="{CLASSES[name].word}: {number(count)}, {percent(count, whole)}"></span>'
        for name, count in vocabulary.in_order(outcomes)
    )
    return f'<div class="share">{parts}</div>'


def _said(outcomes: Mapping[str, int]) -> str:
    shown = zip(vocabulary.in_order(outcomes), vocabulary.shares(outcomes))
    return " · ".join(
        f"<b>{escape(said)}</b>" if is_violation(name) else escape(said) for (name, _), said in shown
    )


def _shown(summary: Row, pictures: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> str:
    several = several_rigs(summary)
    parts = []
    for op in summary["operations"]:
        shown = pictures.get((op["rig"], op["operation"]))
        if not shown:
            continue
        name = operation_name(op["rig"], op["operation"], several)
        said = ", ".join(vocabulary.shares(op["outcomes"] or {}))
        figures = "".join(
            f'<figure><img alt="{kind} of {escape(name)}: {escape(said)}" src="{escape(address)}"></figure>'
            for kind, address in shown
        )
        opened = " open" if op["violations"] else ""
        parts.append(
            f'<details{opened}><summary>{escape(name)}<span class="said">'
            f"{_said(op['outcomes'] or {})}</span></summary>{figures}</details>"
        )
    return "<h2>Pictures</h2>\n" + "\n".join(parts) if parts else ""


def _rigs(summary: Row) -> str:
    if not summary["rigs"]:
        return ""
    columns = ["name", "key", "firmware", "personality", "transport", "expendable"]
    yes = {True: "yes", False: "no", None: ""}
    rows = [
        [
            _text(yes.get(rig[column], rig[column]) if column == "expendable" else rig[column])
            for column in columns
        ]
        for rig in summary["rigs"]
    ]
    return "<h2>Rigs</h2>\n" + _table(columns, rows)


def _wear(summary: Row) -> str:
    if not summary["wear"]:
        return ""
    rows = [
        [
            _text(part["rig"]),
            _text(part["what"]),
            _number(part["used"]),
            _number(part["limit"]),
            _text(percent(part["used"], part["limit"]) if part["limit"] else ""),
            _text("estimated: what a real key would have spent" if part["estimated"] else "counted"),
        ]
        for part in summary["wear"]
    ]
    return "<h2>Wear</h2>\n" + _table(["rig", "what", "#used", "#limit", "share", ""], rows)


def _files() -> str:
    names = [files.SUMMARY, files.EVIDENCE, files.OPERATIONS, files.RESULTS, "junit.xml", f"{files.LOGS}/"]
    links = "".join(f'<a href="{name}">{name}</a>' for name in names)
    return f'<h2>Files</h2>\n<p class="files">{links}</p>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """:param columns: titles; those that begin with # are of numbers. Cells are <td> elements."""
    head = "".join(
        f'<th class="n">{c[1:]}</th>' if c.startswith("#") else f"<th>{escape(c)}</th>" for c in columns
    )
    body = "".join(f"<tr>{''.join(row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}</table></div>'


def _text(value: Any) -> str:
    return f"<td>{escape('' if value is None else str(value))}</td>"


def _number(value: float | None, *, bad: bool = False) -> str:
    if value is None:
        return '<td class="n">–</td>'
    return f'<td class="n{" bad" if bad and value else ""}">{number(value)}</td>'
