"""A secret among custodians: any that suffice put it together, fewer do not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_schsm.threshold import PRIME, SIZE, Part, divide, join


@given(st.binary(min_size=SIZE, max_size=SIZE), st.integers(1, 6), st.integers(0, 3), st.randoms())
def test_any_that_suffice_put_it_together(secret, needed, spare, shuffled):
    parts = divide(secret, needed, needed + spare, lambda n: shuffled.randrange(n))
    shuffled.shuffle(parts)
    assert join(parts[:needed]) == secret
    assert join(parts) == secret, "and more do no harm"


def test_one_too_few_fits_every_secret():
    """For whatever secret there is a last part that makes it: so those who lack one part know nothing."""
    numbers = random.Random(1)
    first, _ = divide(b"a secret", 2, 2, numbers.randrange)
    for secret in (bytes(SIZE), b"another.", b"\xff" * SIZE):
        at_zero = int.from_bytes(secret, "big")
        last = Part(2, (2 * first.value - at_zero) % PRIME)
        assert join([first, last]) == secret


@pytest.mark.parametrize("length", [0, 7, 9])
def test_another_length_is_no_secret(length):
    with pytest.raises(ValueError, match="8 bytes"):
        divide(bytes(length), 2, 3, lambda n: 1)


@pytest.mark.parametrize(("needed", "custodians"), [(0, 3), (4, 3), (1, 0)])
def test_as_many_are_needed_as_there_are_at_most(needed, custodians):
    with pytest.raises(ValueError, match="custodians"):
        divide(bytes(SIZE), needed, custodians, lambda n: 1)


def test_a_part_counts_once():
    parts = divide(b"a secret", 2, 3, lambda n: 5)
    for wrong in ([parts[0], parts[0]], []):
        with pytest.raises(ValueError, match="once"):
            join(wrong)
