"""Our own page of a run, for when Allure's cannot be made: one file without scripts.

It holds everything, pictures included, and has a policy that lets the browser load nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.report import files, page_tables, vocabulary
from harness.report.causes import failures_of
from harness.report.files import Damage, Row, read_object, read_rows
from harness.report.load import check_case
from harness.report.node_js import INSTALL_COMMAND
from harness.report.page_tables import number_cell, outcome_shares, table, text_cell
from harness.report.summary import build_summary
from harness.report.text import duration, operation_name, several_rigs
from harness.report.verdict_text import LABELS, finding_lines, proofs, replay_command, verdict_label
from harness.report.vocabulary import counted

CASES_MAX = 200
PICTURES_BYTES_MAX = 60_000_000
"""Size of all embedded pictures; further ones are linked, so that a browser can open the page."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'"
_PICTURE_NAMES = {files.CUT_MAP: "cut map", files.FLASH_RASTER: "flash raster", files.RISK: "risk"}


def write_page(run_dir: Path, why: Sequence[str] = ()) -> Path:
    """Write index.html of a run, from the run's files.

    :param why: reasons why it is not Allure's page.
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
    """Make a run's page.

    :param cases: the test cases that failed or broke.
    :param pictures: (rig, operation) -> names and addresses of its pictures.
    :param why: reasons why it is not Allure's page.
    """
    style = (resources.files("harness.report") / "data" / "page.css").read_text("utf-8")
    title = f"Keyharness {summary['run']}: {LABELS[summary['verdict']][0].lower()}"
    body = [
        _head(summary),
        _stand_in(why),
        _findings(summary),
        _reasons(summary),
        _cases(cases),
        _deviations(summary),
        _notes(summary),
        page_tables.suite_table(summary),
        page_tables.operation_table(summary),
        _shown(summary, pictures or {}),
        page_tables.rig_table(summary),
        page_tables.wear_table(summary),
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
    """Return the pictures as data URLs. Ids in an <img> cannot clash with those of other pictures."""
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
    label = escape(verdict_label(summary))
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
    """Show the cases that failed, one row for each cause."""
    return _groups("Cases that failed", failures_of(cases))


def _deviations(summary: Row) -> str:
    return _groups("Deviations, which do not fail the run", summary.get("deviations") or [])


def _groups(title: str, groups: Sequence[Row]) -> str:
    if not groups:
        return ""
    rows = [
        [
            number_cell(group["count"]),
            text_cell(group["kind"]),
            text_cell(group["blame"]),
            text_cell(group["clause"]),
            text_cell(group["text"]),
            _nodes(group),
        ]
        for group in groups[:CASES_MAX]
    ]
    left = len(groups) - CASES_MAX
    more = f"<p>… and {counted(left, 'more cause')}; {files.RESULTS} has them</p>" if left > 0 else ""
    return f"<h2>{title}</h2>\n{table(['#cases', '', 'blame', 'clause', 'reason', 'cases'], rows)}{more}"


def _nodes(group: Row) -> str:
    left = group["count"] - len(group["cases"])
    shown = "<br>".join(escape(nodeid) for nodeid in group["cases"])
    return f"<td>{shown}{f'<br>… and {left} more in {files.RESULTS}' if left else ''}</td>"


def _notes(summary: Row) -> str:
    notes = summary.get("notes") or []
    return (
        "<h2>Notes</h2>\n<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>"
        if notes
        else ""
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
            f"{outcome_shares(op['outcomes'] or {})}</span></summary>{figures}</details>"
        )
    return "<h2>Pictures</h2>\n" + "\n".join(parts) if parts else ""


def _files() -> str:
    names = [files.SUMMARY, files.EVIDENCE, files.OPERATIONS, files.RESULTS, "junit.xml", f"{files.LOGS}/"]
    links = "".join(f'<a href="{name}">{name}</a>' for name in names)
    return f'<h2>Files</h2>\n<p class="files">{links}</p>'
