"""A row of evidence says what an earlier one says already by its number, and nothing of it is lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.journal import Journal, line, merge, read_journal
from harness.evidence.repeats import Repeats, restored
from harness.model.row import Judged

VALUES = (
    st.none()
    | st.integers(0, 3)
    | st.sampled_from(["current", "new", "absent"])
    | st.lists(st.integers(0, 9))
)
CHANGED = st.dictionaries(
    st.sampled_from(["fido2.pin", "fido2.pin_retries", "x"]),
    st.lists(VALUES, min_size=2, max_size=2),
    max_size=3,
)
ROWS = st.lists(
    st.fixed_dictionaries({"changed": CHANGED, "blame": st.sampled_from([None, None, "key", "rig"])})
    | st.just({"operation": "of a version without the field"}),
    max_size=30,
)
PAIR = {"fido2.pin": ["current", "new"], "fido2.sign_count": [[81, 93], [83, 95]]}


def clean(**fields):
    return {"blame": None, "changed": PAIR, **fields}


@given(ROWS, st.integers(0, 30))
def test_rows_that_are_read_are_those_that_were_written(tmp_path_factory, rows, until):
    """Also if the process ended on the way: the next one goes on in the same journal."""
    path = tmp_path_factory.mktemp("run") / "a.jsonl"
    for part in (rows[:until], rows[until:]):
        with Journal(path) as journal:
            journal.keep(Judged(row, {"n": 1}) for row in part)
    assert [one.row for one in read_journal(path)] == rows
    whole = Repeats()
    written = [dict(whole.shortened(row)) for row in rows]
    out = path.with_name("evidence.jsonl")
    merge([path.read_bytes()], out)
    assert out.read_text() == "".join(map(line, written)), "an interruption changes no byte"
    assert restored(json.loads(text) for text in out.read_text().splitlines()) == rows


@given(ROWS)
def test_no_row_becomes_longer(rows):
    written = Repeats()
    assert all(len(line(written.shortened(row))) <= len(line(row)) for row in rows)


def test_what_somebody_is_to_blame_for_is_said_in_full():
    repeats = Repeats()
    first, bad, again = (dict(repeats.shortened(row)) for row in (clean(), clean(blame="key"), clean()))
    assert first == clean()
    assert bad == clean(blame="key")
    assert again == clean(changed={}, like=0)


def test_a_row_that_names_a_later_one_stays_as_it_is():
    for at in (0, 1, -1, "0", None, True):
        rows = [clean(changed={}, like=at), clean()]
        assert restored(rows) == rows
