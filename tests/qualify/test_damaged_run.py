"""What reads the folder of a run that something has damaged."""

from __future__ import annotations

import json

import pytest

from harness.base.shape import DamagedFile
from harness.qualify.counted import operations_rows
from harness.report.load import whole_head

HEAD = {
    "run": "20261120-093012-7c1e",
    "seed": 1,
    "rigs": [{"name": "a", "key": "nitrokey3-mini"}],
    "order": [],
}


@pytest.mark.parametrize(
    "damage",
    [
        *({"seed": "1"}, {"seed": None}, {"run": 3}, {"rigs": [{"name": "a"}]}, {"version": []}, {"host": 7}),
        *({"series": "x"}, {"series": {"digest": 1}}),
    ],
)
def test_a_damaged_head_is_named(tmp_path, damage):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(HEAD))
    assert whole_head(tmp_path) == HEAD
    path.write_text(json.dumps(HEAD | damage))
    with pytest.raises(DamagedFile, match=r"run\.json") as refused:
        whole_head(tmp_path)
    assert str(tmp_path) in refused.value.what


def test_lines_that_no_campaign_wrote_are_left_out(tmp_path):
    whole = {"rig": "a", "operation": "x.y", "cuts": 3}
    lines = [
        whole,
        {"rig": "a"},
        3,
        whole | {"findings": [0.5]},
        whole | {"timing": 1},
        whole | {"cuts": "3"},
    ]
    (tmp_path / "operations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert operations_rows(tmp_path) == [whole]
