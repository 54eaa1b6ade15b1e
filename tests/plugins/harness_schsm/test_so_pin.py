"""One text, two codes: how client libraries read an SO-PIN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_schsm.so_pin import as_embedded, as_opensc


@given(st.text("0123456789", min_size=16, max_size=16))
def test_digits_are_the_same_to_both(text):
    assert as_opensc(text) == as_embedded(text) == bytes.fromhex(text)


@given(st.text("0123456789abcdefABCDEF", min_size=16, max_size=16))
def test_a_letter_makes_another_code(text):
    assert as_opensc(text) == bytes.fromhex(text)
    assert (as_embedded(text) == as_opensc(text)) == text.isdigit()


def test_the_documented_example():
    assert as_embedded("ABCDEF0123456789") == bytes.fromhex("0123450123456789")


@pytest.mark.parametrize(
    "text", ["", "3537", "353736323138383", "35373632313838300", "35373632313838 0", "G" * 16]
)
def test_what_is_no_so_pin_is_refused(text):
    for read in (as_opensc, as_embedded):
        with pytest.raises(ValueError, match="16 hex digits"):
            read(text)
