"""Bench files that are written by Keyharness."""

from __future__ import annotations

import tomllib

import pytest

from harness.bench.toml_file import bench_text, rig_names, with_rig

RIG = {
    "name": "b",
    "expendable": True,
    "command": ["run", "--port", "{port}"],
    "env": {"PATH": "/bin", "odd key": 'a "quoted" \x7f word'},
    "power": {"driver": "lcus", "options": {"channels": [1, 2]}},
}
WRITTEN = """\
# my bench
name = "mine"   # of the lab

[[rig]]
name = "a"      # on the left
twin.version = "1.8.3"

[rig.power]     # a relay
driver = "lcus"
# the end
"""


def test_one_more_rig_leaves_everything_else_as_it_is():
    text = with_rig(WRITTEN, RIG)
    assert text.startswith(WRITTEN)
    before, after = tomllib.loads(WRITTEN), tomllib.loads(text)
    assert after == {**before, "rig": [*before["rig"], RIG]}


@pytest.mark.parametrize(
    "text",
    ["", 'name = "mine"', 'rig = [{name = "a"}]  # short\nname = "mine"\n'],
    ids=["empty", "open", "inline"],
)
def test_one_more_rig_in_files_of_other_shapes(text):
    before = tomllib.loads(text)
    assert tomllib.loads(with_rig(text, RIG)) == {**before, "rig": [*before.get("rig", []), RIG]}


def test_a_bench_is_written_with_its_nested_tables():
    text = bench_text("update", [RIG, {"name": "c"}], "Made by a test.")
    assert text.startswith("# Made by a test.\n")
    assert tomllib.loads(text) == {"name": "update", "rig": [RIG, {"name": "c"}]}


def test_the_names_of_rigs_are_read_from_files_that_are_not_checked():
    assert rig_names(WRITTEN) == ["a"]
    assert rig_names('[[rig]]\nkey = "x"\n') == []
    with pytest.raises(ValueError):
        rig_names("rig = [")
