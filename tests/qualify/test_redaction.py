"""The public part of an export names nobody, and says everything else."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

from harness.qualify.plan import Plan
from harness.qualify.redaction import _marks, _masked

PLAN = {
    "schema": 1,
    "id": "Q-1",
    "product": {
        "key": "nitrokey3-mini",
        "hardware": "B",
        "chosen": "by Jane Roe",
        "sample": [{"identity": "usb-4711"}],
    },
    "firmware": {
        "version": "1.8.3",
        "carried": [{"operation": "o", "plan": "Q-0", "reason": "the same (Jane Roe)", "by": "Jane Roe"}],
    },
    "bench": [{"file": "lab.toml", "kind": "hardware"}],
    "roles": {"executor": "Jane", "reviewer": "B", "approver": "Jane Roe"},
    "exclude": [{"run": "r", "reason": "Jane Roe's hub died", "by": "B"}],
}
STATEMENT = {
    "samples": [{"key": "usb-4711", "used": 3}, {"key": "usb-4712", "used": 4}],
    "runs": {"counted": [{"keys": ["usb-4711", "usb-4712"]}], "excluded": [{"reason": "Janet", "by": "Zoe"}]},
    "waivers": [{"approver": ["Jane", "Max"], "impact": "none"}],
    "deviations": ["run r (fail) is left out: Jane Roe's hub died (B)"],
}


@pytest.fixture
def marks():
    return _marks(Plan.model_validate(PLAN).model_dump(mode="json"), STATEMENT)


def test_people_and_keys_have_marks_the_same_for_the_same(marks):
    shown = _masked(deepcopy(STATEMENT), marks)
    assert shown["samples"][0]["key"] == shown["runs"]["counted"][0]["keys"][0] == "[key 1]"
    assert shown["samples"][1]["used"] == 4
    first, second = shown["waivers"][0]["approver"]
    plan = _masked(PLAN, marks)
    assert plan["roles"]["executor"] == first != second
    assert plan["firmware"]["carried"][0]["by"] == plan["roles"]["approver"] == marks["Jane Roe"]
    text = json.dumps([shown, plan])
    for name in ("Jane Roe", '"Jane"', "Max", "Zoe", "usb-47"):
        assert name not in text


def test_names_in_sentences_go_and_other_words_stay(marks):
    shown = _masked(STATEMENT, marks)
    assert shown["deviations"] == [f"run r (fail) is left out: {marks['Jane Roe']}'s hub died (B)"]
    assert shown["runs"]["excluded"][0]["reason"] == "Janet"
    plan = _masked(PLAN, marks)
    # A person of one letter goes from its field; the hardware's revision stays.
    assert plan["product"]["hardware"] == "B"
    assert plan["roles"]["reviewer"] == marks["B"]
