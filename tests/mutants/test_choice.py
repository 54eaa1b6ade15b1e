"""The same seed gives the same mutants, spread over rules and modules."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest

from harness.bench.registry import discover
from harness.mutants.choice import RULES, Module, choose
from harness.twin.model import HasCode
from support.paths import ROOT

MODULES = [
    Module(f"harness_schsm.twin.{file.stem}", file.name, file.read_text())
    for file in sorted(ROOT.glob("plugins/harness_schsm/twin/*.py"))
]


def test_a_longer_list_begins_with_the_shorter_one():
    long, short = choose(MODULES, 7, 60), choose(MODULES, 7, 20)
    assert long[:20] == short
    assert [mutant.number for mutant in long] == list(range(1, 61))


def test_the_order_of_the_modules_does_not_count():
    assert choose(MODULES, 7, 30) == choose(MODULES[::-1], 7, 30)


def test_another_seed_chooses_others():
    assert choose(MODULES, 7, 30) != choose(MODULES, 8, 30)


def test_mutants_are_spread():
    chosen = choose(MODULES, 7, 60)
    assert len({(one.module, one.edit.start, one.edit.after) for one in chosen}) == 60
    assert len({one.edit.rule for one in chosen}) >= len(RULES) - 2
    assert max(Counter(one.edit.rule for one in chosen).values()) <= 6
    with_code = [one for one in MODULES if "def " in one.source]
    assert len({one.module for one in chosen}) > len(with_code) / 2


def test_there_are_no_more_than_the_rules_find():
    module = Module("one", "one.py", "def f(a, b):\n    return a == b\n")
    (only,) = choose([module], 1, 100)
    assert only.where == "one.py:2"


@pytest.mark.parametrize("key", sorted(discover().twins))
def test_every_key_of_ours_says_where_its_firmware_is_written(key):
    """Modules that exist, without the lists of its defects."""
    model = discover().twins[key]
    assert isinstance(model, HasCode)
    names = model.code()
    assert len(names) == len(set(names)) > 5
    for name in names:
        assert find_spec(name) is not None, name
        assert not name.endswith((".defects", ".model"))
