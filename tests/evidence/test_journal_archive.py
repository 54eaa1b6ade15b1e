"""The journals of a complete run, packed: the same evidence is made of them again."""

from __future__ import annotations

import json
import zipfile
from types import SimpleNamespace

import pytest

from harness.base.shape import DamagedFile
from harness.evidence import journal_archive
from harness.evidence.journal import line
from harness.evidence.rundir import RunDir
from harness.qualify.statement import run_head
from harness.run.resume import take_up

NAMES = ("reset", "login", "change/pin")


@pytest.fixture
def run(tmp_path):
    """A run with three campaigns, whose journals have notes that evidence.jsonl does not."""
    made = RunDir(tmp_path / "run")
    order = [["mini", name] for name in NAMES]
    made.start({"rigs": [{"name": "mini"}], "order": order})
    for name in NAMES:
        rows = [{"id": f"{name}{n}", "note": {"hit_us": n}, "text": "\u2028 and such"} for n in range(50)]
        made.journal_path("mini", name).write_text("".join(map(line, rows)), encoding="utf-8")
        made.note_campaign("mini", name, {"rig": "mini", "operation": name, "cuts": 50})
    made.merge_again()
    return made


def test_small_journals_stay_as_they_were_written(run):
    before = sorted(path.name for path in (run.path / "journal").iterdir())
    run.pack()
    assert sorted(path.name for path in (run.path / "journal").iterdir()) == before


def test_evidence_is_made_again_from_the_archive(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    evidence = run.path / "evidence.jsonl"
    before = evidence.read_bytes()
    assert before.count(b"\n") == 150
    run.pack()
    assert not list((run.path / "journal").glob("*.jsonl"))
    evidence.unlink()
    run.merge_again()
    assert evidence.read_bytes() == before
    packed = (run.path / "journal" / "rows.zip").read_bytes()
    run.pack()
    assert (run.path / "journal" / "rows.zip").read_bytes() == packed, "nothing is left to pack"


def test_a_kill_while_the_packed_files_are_removed_costs_nothing(run, monkeypatch):
    """Rows and results of campaigns whose files had gone already were missing afterwards."""
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    outs = [run.path / "evidence.jsonl", run.path / "operations.jsonl"]
    before = [out.read_bytes() for out in outs]
    rows = run.journal_path("mini", NAMES[-1])
    last = [rows, rows.with_suffix(".result.json")]
    kept = [path.read_bytes() for path in last]
    run.pack()
    for path, body in zip(last, kept, strict=True):
        path.write_bytes(body)
    run.merge_again()
    assert [out.read_bytes() for out in outs] == before


def test_what_a_kill_left_changes_no_digest_of_a_run(run, monkeypatch):
    """A campaign whose share of a budget was 0 has an empty journal."""
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    run.journal_path("mini", NAMES[1]).write_text("")
    counted = SimpleNamespace(folder=run.path, run=run.name)
    before, last = run_head(counted), run.journal_path("mini", NAMES[-1])
    body = last.read_bytes()
    run.pack()
    assert run_head(counted) == before
    last.write_bytes(body)
    assert run_head(counted) == before


def test_a_damaged_archive_and_a_file_that_a_kill_left_cost_nothing(run, monkeypatch):
    """evidence.jsonl was made of the one journal that was left."""
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    evidence, last = run.path / "evidence.jsonl", run.journal_path("mini", NAMES[-1])
    before, body = evidence.read_bytes(), last.read_bytes()
    run.pack()
    last.write_bytes(body)
    archive = run.path / "journal" / "rows.zip"
    archive.write_bytes(archive.read_bytes()[:40])
    run.merge_again()
    assert evidence.read_bytes() == before


def test_a_packed_run_that_goes_on_keeps_its_rows(run, monkeypatch):
    """`pytest --kh-resume` asks more cases of a run that came to its end."""
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    evidence, operations = run.path / "evidence.jsonl", run.path / "operations.jsonl"
    head = json.loads((run.path / "run.json").read_text())
    head["order"].append(["mini", "late"])
    (run.path / "run.json").write_text(json.dumps(head))
    before = [evidence.read_bytes(), operations.read_bytes()]
    run.pack()
    take_up(run.path)
    assert not list((run.path / "journal").glob("*.zip"))
    with run.journal("mini", NAMES[0]) as journal:
        assert len(journal.kept) == 50
    with run.journal("mini", "late") as journal:
        journal.append([{"id": "late1"}])
    run.note_campaign("mini", "late", {"rig": "mini", "operation": "late", "cuts": 1})
    for _ in range(2):
        run.merge_again()
        after = [evidence.read_bytes(), operations.read_bytes()]
        assert [new.startswith(old) for new, old in zip(after, before, strict=True)] == [True, True]
        assert [new.count(b"\n") - old.count(b"\n") for new, old in zip(after, before, strict=True)] == [1, 1]
        run.pack()


def test_what_could_not_be_read_again_is_not_packed(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    for limit, too_small in (("BYTES_MAX", 100), ("FILES_MAX", 2)):
        with monkeypatch.context() as limited:
            limited.setattr(journal_archive, limit, too_small)
            run.pack()
        assert not list((run.path / "journal").glob("*.zip"))


def test_results_are_packed_beside_the_rows_and_made_again(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    operations = run.path / "operations.jsonl"
    before = operations.read_bytes()
    assert [json.loads(row)["operation"] for row in before.splitlines()] == list(NAMES)
    run.pack()
    assert not list((run.path / "journal").glob("*.result.json"))
    operations.unlink()
    run.merge_again()
    assert operations.read_bytes() == before
    archive = run.path / "journal" / "results.zip"
    archive.write_bytes(archive.read_bytes()[:40])
    run.merge_again()
    assert operations.read_bytes() == before
    operations.unlink()
    with pytest.raises(DamagedFile, match="an archive that cannot be read"):
        run.merge_again()


def test_a_damaged_archive_costs_no_evidence(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    run.pack()
    evidence, archive = run.path / "evidence.jsonl", run.path / "journal" / "rows.zip"
    before, whole = evidence.read_bytes(), archive.read_bytes()
    # Bytes at the ends of the archive and within it: names, sizes, sums, compressed data.
    for at in range(0, len(whole), 11):
        archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :])
        run.merge_again()
        assert evidence.read_bytes() == before, at
    archive.write_bytes(whole[: len(whole) // 2])
    run.merge_again()
    assert evidence.read_bytes() == before
    evidence.unlink()
    with pytest.raises(DamagedFile, match="an archive that cannot be read"):
        run.merge_again()


def test_an_endless_archive_is_refused(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    run.pack()
    (run.path / "evidence.jsonl").unlink()
    monkeypatch.setattr(journal_archive, "BYTES_MAX", 100)
    with pytest.raises(DamagedFile, match="bytes"):
        run.merge_again()


def test_only_journals_are_packed(run, monkeypatch):
    monkeypatch.setattr(journal_archive, "ABOVE", 1)
    run.note_facts("mini", lambda: {"identity": "uuid:1"})
    run.note_facts("mini", lambda: {"identity": "another"})
    run.pack()
    with zipfile.ZipFile(run.path / "journal" / "rows.zip") as archive:
        assert len(archive.namelist()) == 3
    assert json.loads(run.facts_path("mini").read_text()) == {"identity": "uuid:1"}
