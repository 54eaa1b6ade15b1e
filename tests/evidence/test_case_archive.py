"""The cases of a large run, packed: what is made of them is the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.base.shape import DamagedFile
from harness.evidence import case_archive
from harness.evidence.case_archive import ARCHIVE, CASES, case_lines, pack_cases, unpack_cases
from harness.report.load import read_run
from harness.report.report import write_report
from harness.report.summary import conclude
from harness.run.resume import cases_done, cases_failed, take_up
from support.paths import ABSENT
from support.report import sample

NO_ALLURE = {"KEYHARNESS_ALLURE": str(ABSENT)}
MADE = ("summary.json", "junit.xml")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return sample.failing().write(tmp_path_factory.mktemp("cases") / "run")


@pytest.fixture
def run(made, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(case_archive, "ABOVE", 1)
    run = Path(shutil.copytree(made, tmp_path / "run"))
    (run / "journal").mkdir(exist_ok=True)
    return run


def reported(run: Path) -> dict[str, bytes]:
    summary, _ = conclude(run)
    write_report(run, summary, environ=NO_ALLURE)
    return {name: (run / name).read_bytes() for name in MADE}


def test_a_small_run_stays_as_it_was_written(made, tmp_path):
    run = Path(shutil.copytree(made, tmp_path / "run"))
    pack_cases(run)
    assert not (run / ARCHIVE).exists()
    assert case_lines(run) == (made / CASES).read_bytes()


def test_the_report_is_the_same(run):
    lines, before = (run / CASES).read_bytes(), reported(run)
    done, failed = cases_done(run), cases_failed(run)
    assert failed
    pack_cases(run)
    assert not (run / CASES).exists()
    assert (run / ARCHIVE).stat().st_size < len(lines) / 3
    assert case_lines(run) == lines
    assert reported(run) == before
    assert (cases_done(run), cases_failed(run)) == (done, failed)
    page = (run / "index.html").read_text()
    assert f'href="{CASES}"' not in page, "it links only to what there is"


def test_a_kill_costs_nothing(run):
    lines = (run / CASES).read_bytes()
    pack_cases(run)
    shutil.copy(run / ARCHIVE, run / "kept.zip")
    unpack_cases(run)
    assert (run / CASES).read_bytes() == lines
    assert not (run / ARCHIVE).exists()
    # Killed after the archive was written, or before it was removed: both are there.
    shutil.move(run / "kept.zip", run / ARCHIVE)
    more = lines + json.dumps({"nodeid": "a/test_b.py::test_c", "outcome": "passed"}).encode() + b"\n"
    (run / CASES).write_bytes(more)
    assert case_lines(run) == more
    unpack_cases(run)
    assert case_lines(run) == more
    unpack_cases(run)
    pack_cases(run)
    pack_cases(run)
    assert case_lines(run) == more


def test_a_run_that_goes_on_has_them_in_plain_text(run):
    lines, head = (run / CASES).read_bytes(), json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**head, "order": []}))
    pack_cases(run)
    take_up(run)
    assert (run / CASES).read_bytes() == lines


@pytest.mark.parametrize("damage", [b"", b"PK", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_archive_is_named(run, damage):
    pack_cases(run)
    (run / ARCHIVE).write_bytes(damage)
    with pytest.raises(DamagedFile, match=r"cases\.zip"):
        case_lines(run)
    with pytest.raises(DamagedFile, match=r"cases\.zip"):
        take_up(run)
    found = read_run(run)
    assert found.cases == []
    assert [said for said in found.damage.sentences if said.startswith(ARCHIVE)]
