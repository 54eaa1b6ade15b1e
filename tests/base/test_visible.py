"""Text from outside never reaches a terminal as something that it obeys."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.base.visible import shortened, visible


@given(st.text(st.characters(codec=None)))
def test_what_is_shown_prints_and_can_be_written(text):
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    if text.isprintable():
        assert shown == text


def test_escapes_can_be_told_apart():
    assert visible("a\x1b[31m\u202eb\u2028\udcff\U000e0001") == r"a\x1b[31m\u202eb\u2028\udcff\U000e0001"
    assert visible("one\ntwo\r", keep="\n") == "one\ntwo\\x0d"


@given(st.text(max_size=100), st.integers(8, 50))
def test_both_ends_of_a_long_text_stay(text, longest):
    short = shortened(text, longest)
    assert short == text or (len(text) > longest and short.startswith(text[: longest // 2]))
    assert len(short) <= longest + 40


def test_an_error_shows_neither_escapes_nor_a_page_of_digits():
    error = pickle.loads(pickle.dumps(CallerError("bench \x1b]0;x\x07", found="9" * 5000, mend="one\ntwo")))
    assert "\x1b" not in str(error)
    assert len(str(error)) < 1300
    assert "one\n            two" in str(error)
