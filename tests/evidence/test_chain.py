"""Lines of a journal are chained, through kills and resumptions, and evidence.jsonl has nothing of it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.evidence import chain
from harness.evidence.journal import Journal, line, merge, read_journal
from harness.evidence.rundir import RunDir
from harness.model.row import Judged

BEGINNING = chain.beginning("run-1", "rig", "op", None)
text = st.text(st.characters(codec="utf-8"), max_size=20)
rows = st.dictionaries(
    text.filter(lambda name: name not in ("note", "prev")), text | st.integers(), min_size=1, max_size=3
)


def linked(data: bytes, beginning: str = BEGINNING) -> bool:
    before = beginning
    for one in data.splitlines(keepends=True):
        if chain.split(one)[1] != before:
            return False
        before = chain.digest(one)
    return True


@given(rows, st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_a_line_without_its_digest_is_the_line_that_it_was(row, before):
    plain = line(row).encode()
    assert chain.split(chain.chained(plain, before)) == (plain, before)
    assert json.loads(chain.chained(plain, before)) == {**row, "prev": before}
    # What a key answered may look like it.
    assert chain.split(plain)[0] == plain


def test_a_journal_that_was_cut_off_goes_on_with_its_chain(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, beginning=BEGINNING) as journal:
        journal.keep([Judged({"n": 1}, {"writes": True}), Judged({"n": 2}, {})])
    with path.open("ab") as file:
        file.write(b'{"n":3,"pr')
    with Journal(path, beginning=BEGINNING) as journal:
        assert [one.row for one in journal.kept] == [{"n": 1}, {"n": 2}]
        assert journal.kept[0].note == {"writes": True}
        journal.keep([Judged({"n": 3}, {})])
    assert linked(path.read_bytes())
    assert not linked(path.read_bytes().replace(b'"n":1', b'"n":4'))
    out = tmp_path / "evidence.jsonl"
    assert merge([path.read_bytes()], out) == 3
    assert out.read_bytes() == b'{"n":1}\n{"n":2}\n{"n":3}\n'


def test_a_journal_of_an_older_version_is_chained_from_its_last_line_on(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n":1}\n')
    with Journal(path, beginning=BEGINNING) as journal:
        journal.keep([Judged({"n": 2}, {})])
    first, second = path.read_bytes().splitlines(keepends=True)
    assert chain.split(first) == (b'{"n":1}\n', None)
    assert chain.split(second)[1] == chain.digest(first)
    assert [one.row for one in read_journal(path)] == [{"n": 1}, {"n": 2}]


def test_the_plan_opens_the_chain(tmp_path):
    """The same run of another plan, or in a folder of another name, begins otherwise, or alike."""
    found = {}
    for name, plan in (("a", "0" * 64), ("b", "0" * 64), ("c", "1" * 64)):
        run = RunDir(tmp_path / name)
        run.path.mkdir()
        head = {"run": "run-1", "series": {"plan": "Q-1", "digest": plan}, "rigs": [], "order": []}
        (run.path / "run.json").write_text(json.dumps(head))
        with run.journal("rig", "op") as journal:
            journal.keep([Judged({"n": 1}, {})])
        found[name] = run.journal_path("rig", "op").read_bytes()
    assert found["a"] == found["b"] != found["c"]
    assert linked(found["c"], chain.beginning("run-1", "rig", "op", "1" * 64))


@given(st.lists(rows, max_size=6), st.booleans(), st.binary(max_size=8))
def test_an_archive_needs_no_digest_that_follows_from_other_lines(some, is_chained, end):
    lines, before = [], BEGINNING
    for one in some:
        text_ = line(one).encode()
        lines.append(chain.chained(text_, before) if is_chained else text_)
        before = chain.digest(lines[-1])
    for journal in (b"".join(lines), b"".join(lines) + end):
        short = chain.unlinked(journal)
        assert chain.linked(short) == journal
        assert chain.linked(journal) == journal
    if is_chained and len(some) > 2:
        kept = chain.unlinked(b"".join(lines)).splitlines(keepends=True)
        assert [chain.split(one)[1] is not None for one in kept[1:]] == [
            True,
            *[False] * (len(some) - 2),
            True,
        ]


@given(st.lists(rows, min_size=3, max_size=6, unique_by=str), st.data())
def test_what_is_changed_in_an_archive_breaks_the_chain(some, data):
    lines, before = [], BEGINNING
    for one in some:
        lines.append(chain.chained(line(one).encode(), before))
        before = chain.digest(lines[-1])
    kept = chain.unlinked(b"".join(lines)).splitlines(keepends=True)
    at = data.draw(st.integers(1, len(kept) - 1))
    how = data.draw(st.sampled_from(["removed", "changed", "repeated"]))
    kept[at : at + 1] = {
        "removed": [],
        "changed": [kept[at].replace(b"{", b'{"a":1,', 1)],
        "repeated": [kept[at], kept[at]],
    }[how]
    journal = chain.linked(b"".join(kept))
    last = chain.digest(journal.splitlines(keepends=True)[-1])
    assert not linked(journal) or last != before
