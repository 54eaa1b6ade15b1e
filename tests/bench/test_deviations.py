"""`[[deviation]]` of a bench: what it may say, and what it is of."""

from __future__ import annotations

from datetime import date

import pytest

from harness.base.errors import CallerError
from harness.bench.bench import parse_bench
from harness.bench.deviations import AcceptedDeviation, CaseName, accepted, is_within
from harness.bench.registry import discover

RIG = '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n'
DAY = date(2027, 1, 31)


def bench(tmp_path, deviation):
    return parse_bench(f"{RIG}[[deviation]]\n{deviation}\n", "b.toml", tmp_path / "b.toml", discover())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('reason = "so"\nuntil = 2027-01-31', "neither case nor clause"),
        ('case = "test_x"\nuntil = 2027-01-31', 'expected  "reason"'),
        ('case = "test_x"\nreason = "so"', 'expected  "until"'),
        ('case = "test_x"\nreason = "so"\nuntil = "soon"', "until"),
        ('case = "test_x"\nreason = ""\nuntil = 2027-01-31', "reason"),
        ('case = "test_x"\nreason = "so"\nuntil = 2027-01-31\nwhy = 1', "one of "),
        ('case = "test_x"\nreason = "so"\nuntil = 2027-01-31\nrig = "b"', 'found     "b"'),
    ],
)
def test_a_wrong_one_is_named_with_its_place(tmp_path, text, said):
    with pytest.raises(CallerError) as error:
        bench(tmp_path, text)
    assert str(error.value).startswith("b.toml: deviation number 1")
    assert said in str(error.value)
    if "why" in text:
        assert "until" in str(error.value).partition("expected")[2]


def test_it_holds_through_its_last_day(tmp_path):
    case = CaseName("conformance/test_u2f.py::test_x[a-7]", "a", "U2F raw, 5.1")
    (one,) = bench(tmp_path, 'case = "test_x"\nreason = "so"\nuntil = 2027-01-31').deviations
    assert accepted([one], case, DAY) is one
    assert accepted([one], case, date(2027, 2, 1)) is None


@pytest.mark.parametrize(
    ("name", "is_of"),
    [
        ("test_x", True),
        ("test_x[7]", True),
        ("test_x[a-7]", True),
        ("test_u2f.py::test_x[7]", True),
        ("conformance/test_u2f.py::test_x[a-7]", True),
        ("test_x[8]", False),
        ("test_", False),
        ("test_hid.py::test_x", False),
    ],
)
def test_how_a_case_is_named(name, is_of):
    case = CaseName("conformance/test_u2f.py::test_x[a-7]", "a", None)
    assert AcceptedDeviation(case=name, reason="so", until=DAY).names(case) is is_of


@pytest.mark.parametrize(
    ("section", "clause", "within"),
    [
        ("CTAP 2.1, 6.1.2 step 5", "CTAP 2.1, 6.1.2", True),
        ("CTAP 2.1, 6.1.2", "CTAP 2.1, 6.1.2", True),
        ("CTAP 2.1, 6.1.20", "CTAP 2.1, 6.1.2", False),
        ("CTAP 2.1, 6.1.2 step 12", "CTAP 2.1, 6.1.2 step 1", False),
        ("CTAP 2.1, 6.1.2 step 1.3", "CTAP 2.1, 6.1.2 step 1", True),
        (None, "CTAP 2.1, 6.1.2", False),
    ],
)
def test_what_lies_within_a_clause(section, clause, within):
    assert is_within(section, clause) is within
