"""How long a run has worked: kept through kills, whatever happens to the clock of the host."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.rundir import RunDir
from harness.evidence.worked_time import WorkedTime, noted_s

SPANS = st.lists(st.tuples(st.floats(0, 1e5), st.booleans()), max_size=20)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@given(SPANS)
def test_what_was_noted_before_a_kill_is_counted_and_nothing_else(tmp_path_factory, spans):
    path = tmp_path_factory.mktemp("run") / "run.time"
    clock, worked_s = Clock(), 0.0
    for span_s, note in spans:
        work = WorkedTime.begin(path, clock)
        assert work.before_s == pytest.approx(worked_s, abs=1e-4)
        clock.now_s += span_s
        if note:
            # Another process of the run does it.
            WorkedTime(path, clock).note()
            worked_s += span_s
        clock.now_s += 3600
    assert noted_s(path) == pytest.approx(worked_s, abs=1e-4)


@pytest.mark.parametrize("content", ["", "1 2", "x y z\n", "\x00" * 60])
def test_a_damaged_file_begins_anew(tmp_path, content):
    path = tmp_path / "run.time"
    path.write_text(content)
    assert WorkedTime.begin(path, Clock()).before_s == 0


def head(**more):
    return {"rigs": [], "order": [["mini", "a"]], **more}


def test_each_row_of_evidence_notes_the_time(tmp_path):
    run = RunDir(tmp_path)
    assert run.start(head())
    assert run.begin_time("mini") == 0
    with run.journal("mini", "a") as journal:
        journal.append([{"id": "1"}])
        noted = WorkedTime(tmp_path / "journal" / "mini.time").seconds
    assert 0 < noted_s(tmp_path / "journal" / "mini.time") <= noted
    assert 0 < noted_s(tmp_path / "journal" / "run.time") <= run.worked_s


def test_a_clock_that_is_set_does_not_change_what_a_run_has_worked(tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    run.start(head())
    now_s = time.time()
    for jump_s in (-86_400.0, 86_400.0 * 365):
        monkeypatch.setattr(time, "time", lambda jump_s=jump_s: now_s + jump_s)
        os.utime(tmp_path / "run.json", (now_s + jump_s, now_s + jump_s))
        assert 0 <= run.worked_s < 3600


def test_what_the_first_version_noted_for_a_rig_still_counts(tmp_path):
    journal = tmp_path / "journal" / "mini.a.jsonl"
    journal.parent.mkdir()
    journal.touch()
    os.utime(journal, (1040, 1040))
    noted = tmp_path / "journal" / "mini.time.json"
    noted.write_text(json.dumps({"spent_s": 10, "at": 1000}))
    os.utime(noted, (1000, 1000))
    assert RunDir(tmp_path).begin_time("mini") == 50
    assert RunDir(tmp_path).begin_time("mini") == 50


LINE_ENDS = "one\u2028two\u2029three\x85four\x0bfive\x1csix\udcff"
"""What str.splitlines, and only that, takes for ends of lines; and a byte of a folder's name that is no UTF-8."""


def test_any_text_in_a_row_is_read_back_and_merged(tmp_path):
    run = RunDir(tmp_path)
    run.start(head())
    rows = [{"id": "1", "was": LINE_ENDS}, {"id": "2", "note": {"said": LINE_ENDS}}]
    with run.journal("mini", "a") as journal:
        journal.append(rows)
    with run.journal("mini", "a") as journal:
        assert [one.row["id"] for one in journal.kept] == ["1", "2"]
        assert journal.kept[0].row["was"] == LINE_ENDS
    run.merge_again()
    merged = (tmp_path / "evidence.jsonl").read_bytes().splitlines()
    assert [json.loads(text) for text in merged] == [rows[0], {"id": "2"}]
