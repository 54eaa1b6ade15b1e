"""Which rows of evidence count: towards coverage, and as judged."""

from __future__ import annotations

import pytest

from harness.model.row import is_covering, is_judged, is_unresolved

ROW = {"stream": "cover", "outcome": "old", "landed": True, "blame": None, "planned": {"marker": "start"}}


@pytest.mark.parametrize(
    ("change", "covering", "judged"),
    [
        ({}, True, True),
        ({"outcome": "missed", "landed": False}, False, False),
        ({"landed": None}, False, False),
        ({"landed": None, "outcome": "lost", "blame": "key"}, False, True),
        ({"stream": "refine"}, False, True),
        ({"planned": {"marker": "end"}}, False, True),
        ({"stream": "exhaustive", "planned": {"flash_op": 1, "phase": "before"}}, True, True),
    ],
)
def test_an_unresolved_cut_is_neither_covering_nor_a_pass(change, covering, judged):
    row = {**ROW, **change}
    assert (is_covering(row), is_judged(row)) == (covering, judged)
    assert is_unresolved(row) == (row["landed"] is None)
