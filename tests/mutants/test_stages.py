"""The stages of a trial, without a trial: what an operation and a suite say is put in."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.errors import KeyFault
from harness.bench.registry import discover
from harness.mutants import trial
from harness.mutants.choice import Mutant
from harness.mutants.edit import Edit
from harness.mutants.loading import Reached
from harness.mutants.processes import Told
from harness.mutants.results import NOT_BUILT, result_of, score_of, show_sum
from harness.mutants.suite_cases import Asked
from harness.mutants.traces import OperationTrace
from harness.mutants.trial import Setting, compare, try_mutant

KEY = "nitrokey-pro"
SOUND, OTHER = OperationTrace(["card 1"], ["erase"]), OperationTrace(["card 2"], ["erase"])


@pytest.fixture
def names():
    """The operations of a key."""
    return list(discover().keys[KEY].operations)


@pytest.fixture
def told(monkeypatch, tmp_path):
    """What a trial tells of a mutant that offers these operations, of which some are traced otherwise."""

    def run(sound, offers, others=()):
        def offered(rig, home):
            if isinstance(offers, Exception):
                raise offers
            return [SimpleNamespace(name=name) for name in offers]

        monkeypatch.setattr(trial, "go_home", lambda rig: object())
        monkeypatch.setattr(trial, "offered", offered)
        monkeypatch.setattr(
            trial, "trace_of", lambda rig, home, operation: OTHER if operation.name in others else SOUND
        )
        nothing = SimpleNamespace(run=lambda: SimpleNamespace(findings=[]))
        monkeypatch.setattr(trial, "Campaign", lambda *_: nothing)
        monkeypatch.setattr(trial, "in_fork", lambda work: Asked())
        found = {"stages": []}

        def tell(**entries):
            found["stages"] += [entries["stage"]] if "stage" in entries else []
            found.update(entries)

        setting = Setting(KEY, 1, {1: dict.fromkeys(sound, SOUND)})
        try_mutant(setting, Reached(), tmp_path, tell)
        return found

    return run


def test_a_suite_is_asked_of_two_halves_of_the_operations(told, names, tmp_path):
    half = names[: len(names) // 2]
    found = told(names, names, half)
    assert found["differs"].keys() == set(half)
    asked = [len(half), len(names) - len(half)]
    assert sorted(found["stages"][-2:]) == sorted(f"suite endurance, {count} operations" for count in asked)
    folders = Counter(path.name.rpartition("-")[0] for path in Path(tmp_path).iterdir())
    assert folders["endurance"] == 2


def test_a_key_that_does_not_say_what_it_offers_is_caught(told, names):
    """A run asks before it cuts, and fails the key."""
    found = told(names, KeyFault("no answer to get info"))
    assert found["caught"][0] == "what is offered"
    assert "no answer to get info" in found["caught"][1]


def test_an_operation_that_is_offered_no_longer_differs(told, names):
    found = told(names[:3], names[1:4])
    assert found["differs"] == {names[0]: "it is not offered", names[3]: "it is offered"}
    assert not any("40 cuts" in stage for stage in found["stages"])


def test_a_mutant_that_offers_less_is_not_equivalent(monkeypatch, names):
    monkeypatch.setattr(trial, "go_home", lambda rig: object())
    monkeypatch.setattr(trial, "traces_of", lambda rig, home, cut: iter([(names[0], SOUND)]))
    said = {}
    setting = Setting(KEY, 1, {seed: dict.fromkeys(names[:2], SOUND) for seed in (1, 2, 3)})
    compare(setting, Reached(), lambda **entries: said.update(entries))
    assert said["differs"] == {names[1]: "it is not offered"}


def test_a_mutant_of_which_no_twin_can_be_built_does_not_count(monkeypatch, tmp_path):
    """Such a key comes out of no factory: no law could see it."""

    def fails(*_, **__):
        raise ValueError("no such page")

    monkeypatch.setattr(trial, "TwinRig", fails)
    told = Told()
    with pytest.raises(ValueError, match="no such page"):
        try_mutant(Setting(KEY, 1, {}), Reached(), tmp_path, lambda **entries: told.entries.update(entries))
    told.entries["error"] = "Traceback\nValueError: no such page\n"
    result = result_of(Mutant(1, "m", "m.py", Edit("swap", 1, 0, 1, "a", "b")), told)
    assert result is not None
    assert (result.result, result.says) == (NOT_BUILT, "no twin can be built: ValueError: no such page")
    score = score_of([result], KEY, "", 1, "")
    assert (score.caught, score.counted, score.not_reached) == (0, 0, 0)
    out = StringIO()
    show_sum([result], score, out)
    assert "1 of which no twin can be built: not counted" in out.getvalue()
