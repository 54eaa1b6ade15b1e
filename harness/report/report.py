"""Make everything that people and CI servers read of a run, from its files. It never makes a run fail."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.report import files
from harness.report.allure_page import generate
from harness.report.files import Damage, Row, read_rows
from harness.report.junit import write_junit
from harness.report.load import check_operation, read_cases, read_head
from harness.report.page import write_page


def write_report(
    run_dir: Path, summary: Row, runs_dir: Path | None = None, *, environ: Mapping[str, str] = os.environ
) -> None:
    """Write junit.xml, allure-results.zip, allure.html and index.html. What cannot be made is named on stderr.

    :param summary: the run's summary, already written.
    :param runs_dir: the folder with the history of runs; by default the one that holds the run's folder.
    """
    unread = Damage()  # the summary names it
    cases = list(read_cases(run_dir, unread))
    operations = list({(row["rig"], row["operation"]): row for row in _operations(run_dir, unread)}.values())
    required = (read_head(run_dir, unread).get("asked") or {}).get("require")
    try:
        write_junit(run_dir, summary, cases, operations, required)
        why = generate(run_dir, summary, operations, cases, runs_dir, environ=environ)
        write_page(run_dir, why, summary)
    except OSError as error:
        sys.stderr.write(
            f"the report is not whole: {error}\n  mend      `keyharness report {run_dir.name}`\n"
        )
    except ImportError as error:
        sys.stderr.write(
            f"the report's pages were not made: {error}\n"
            f"  mend      install Keyharness again, with what it needs; then `keyharness report {run_dir.name}`\n"
        )


def _operations(run_dir: Path, unread: Damage) -> list[Row]:
    return list(read_rows(run_dir / files.OPERATIONS, unread, check_operation))
