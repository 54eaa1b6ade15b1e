"""Our page of a run: one file that opens on the verdict, holds everything, and lets the browser load nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.base.atomic_file import replace_file
from harness.report import files, vocabulary
from harness.report.causes import failures_of
from harness.report.files import Damage, Row, read_object, read_rows
from harness.report.load import check_operation, read_cases, read_head
from harness.report.node_js import INSTALL_COMMAND
from harness.report.page_facts import rigs_of, run_facts
from harness.report.page_pictures import Picture, pictures_of
from harness.report.page_view import findings_view, operations_view, reasons_view, wear_view
from harness.report.rendering import allowed, data_text, render
from harness.report.summary import build_summary
from harness.report.verdict_text import LABELS, proofs, verdict_label
from harness.report.vocabulary import counted

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {}; form-action 'none'"
_NO_TOOLS = ("no Node", "npm package")
_FILES = {
    files.SUMMARY: "the run as one object",
    files.EVIDENCE: "one line for each cut",
    files.OPERATIONS: "one line for each campaign",
    files.RESULTS: "one line for each case",
    files.JUNIT: "the cases for CI",
    files.ALLURE_ARCHIVE: "the input of Allure's page",
    f"{files.LOGS}/": "traces and logs",
    f"{files.PICTURES}/": "the pictures",
    f"{files.ABNORMAL}/": "what abnormal cuts left",
}


def write_page(run_dir: Path, why_no_allure: Sequence[str] = (), summary: Row | None = None) -> Path:
    """Write index.html of a run, from the run's files.

    :param why_no_allure: reasons why Allure's page is not there.
    :param summary: the run's summary; made from its files if there is none.
    """
    unread = Damage()
    summary = summary or read_object(run_dir / files.SUMMARY, unread) or build_summary(run_dir)
    cases = list(read_cases(run_dir, unread))
    operations = list(read_rows(run_dir / files.OPERATIONS, unread, check_operation))
    html = page(
        summary,
        cases,
        pictures_of(run_dir, summary),
        why_no_allure,
        titles={(row["rig"], row["operation"]): str(row.get("title") or "") for row in operations},
        head=read_head(run_dir, unread),
        run_dir=run_dir,
    )
    replace_file(run_dir / files.INDEX, html)
    return run_dir / files.INDEX


def page(
    summary: Row,
    cases: Sequence[Row] = (),
    pictures: Mapping[tuple[str, str], Sequence[Picture]] | None = None,
    why_no_allure: Sequence[str] = (),
    *,
    titles: Mapping[tuple[str, str], str] | None = None,
    head: Row | None = None,
    run_dir: Path | None = None,
) -> str:
    """Make a run's page.

    :param cases: rows of results.jsonl. :param pictures: as `pictures_of` returns them.
    :param titles: (rig, operation) -> the operation in words. :param head: run.json.
    :param run_dir: the run's folder, whose files are linked; without it none is.
    """
    shown = pictures or {}
    script = data_text("page.js")
    wear, more_wear = wear_view(summary)
    label, (_, tone) = verdict_label(summary), LABELS[summary["verdict"]]
    # A run that was continued has a case twice; the last row counts.
    last = {(case["nodeid"], case.get("rig")): case for case in cases}
    operations = operations_view(summary, titles or {}, shown)
    return render(
        "page.html",
        policy=_POLICY.format(allowed(script)),
        style=data_text("page.css"),
        script=script,
        summary=summary,
        label=label,
        tone=tone,
        kind=vocabulary.evidence_sentence(summary["evidence_kind"], summary["rigs"]),
        proofs=proofs(summary),
        weakest=_weakest(summary),
        findings=findings_view(summary, shown),
        failures=failures_of(last.values()),
        operations=operations,
        pictured=[op for op in operations if op.pictures],
        rigs=rigs_of(run_dir, summary, head or {}),
        facts=run_facts(summary, head or {}),
        not_offered=reasons_view([*last.values()], "not_offered"),
        not_run=reasons_view([*last.values()], "skipped"),
        wear=wear,
        more_wear=more_wear,
        estimated=any(part.how == "estimated" for part in wear),
        why_no_allure=why_no_allure,
        install=INSTALL_COMMAND if any(said in why for why in why_no_allure for said in _NO_TOOLS) else "",
        allure=files.ALLURE_PAGE if run_dir and (run_dir / files.ALLURE_PAGE).exists() else None,
        files={name: said for name, said in _FILES.items() if run_dir and (run_dir / name).exists()},
    )


def _weakest(summary: Row) -> str:
    """Say which operation has the weakest proof; empty if no operation was cut, or if none is weaker than others."""
    operations = [op for op in summary["operations"] if not op["violations"]]
    if not operations:
        return ""
    least = vocabulary.weakest(operations)
    if least is None:
        return ""  # all are exhaustive, and the proofs say so
    proved = vocabulary.bound_sentence(least)
    return f"{least['operation']}: {proved or counted(least['cuts'], 'cut') + ', which bound nothing'}"
