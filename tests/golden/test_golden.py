"""What users, CI servers and Allure's history rely on is what the golden files say; see renew.py."""

from __future__ import annotations

import sys

import pytest

from golden.renew import GOLDEN, HERE, Version

LONG = ("wheel_files.txt",)


@pytest.fixture(scope="module")
def version() -> Version:
    return Version(sys.executable)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in GOLDEN]
)
def test_it_is_as_the_golden_file_says(name, version):
    golden = (HERE / name).read_text(encoding="utf-8")
    assert GOLDEN[name](version) == golden, f"meant? then: python tests/golden/renew.py {name}"


def test_there_is_no_other_golden_file():
    assert {file.name for file in HERE.glob("*.txt")} == set(GOLDEN)
