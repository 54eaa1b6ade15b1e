"""The journals of a complete run, packed: the same evidence is made of them again."""

from __future__ import annotations

import json
import zipfile

import pytest

from harness.base.shape import DamagedFile
from harness.evidence import journal_archive
from harness.evidence.journal import line
from harness.evidence.rundir import RunDir

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
