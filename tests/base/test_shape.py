"""The shapes of stored values."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from harness.base.shape import DamagedFile, misfit, read_fitting, shape_of


@pytest.mark.parametrize(
    ("value", "shape", "wrong"),
    [
        (1, int, None),
        (True, int, "it is true, not a value of type int"),
        (1, float, None),
        (float("nan"), float, "it is NaN, not a finite number"),
        (10**400, float, f"it is 1{'0' * 59}, not a finite number"),
        (None, (str, None), None),
        (1, (str, None), "it is 1, not a value of type str"),
        ([1, "x"], [int], '[1] is "x", not a value of type int'),
        (["a", 1], [str, int], None),
        (["a"], [str, int], 'it is ["a"], not a list of 2'),
        ({"a": 1}, {"a": int, "b?": str}, None),
        ({"a": 1, "b": 2}, {"a": int, "b?": str}, "b is 2, not a value of type str"),
        ({}, {"a": int}, "no a"),
        ({"x": {"y": None}}, {"x": {"y": int}}, "x.y is null, not a value of type int"),
        ({"x": 1, "y": "z"}, {"*": int}, 'y is "z", not a value of type int'),
        ({}, {"*": int}, None),
        ([], {"a": int}, "it is [], not an object"),
        ({"b?": 2}, {"b?": str}, None),
        ([], [int], None),
        ({"a": [[1, "x"], [2, 3]]}, {"a": [[int, str]]}, "a[1][1] is 3, not a value of type str"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value, shape, wrong):
    assert misfit(value, shape) == wrong


@dataclass
class Record:
    name: str
    at: float | None
    parts: tuple[str, ...] = ()


def test_a_dataclass_has_a_shape():
    shape = shape_of(Record)
    assert misfit({"name": "x", "at": 1, "parts": ["a"]}, shape) is None
    assert misfit({"name": "x", "at": None}, shape) is None
    assert misfit({"name": "x"}, shape) == "no at"
    assert misfit({"name": "x", "at": 1.5, "parts": [1]}, shape) == "parts[0] is 1, not a value of type str"


@pytest.mark.parametrize("text", ["", "[" * 100_000, "9" * 5000, "[]", '{"a": "x"}', "\xff"])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "state.json"
    assert read_fitting(path, {"a": int}, "remove it") is None
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DamagedFile, match=r"state\.json") as error:
        read_fitting(path, {"a": int}, "remove it")
    assert error.value.mend == "remove it"
