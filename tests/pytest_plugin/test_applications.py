"""A suite says which application it asks; a key without it is not asked, and does not fail."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.plugin_api import Suite
from harness.bench.registry import discover
from harness.pytest_plugin.cases import lacking_application, rigs_asked

SUITES = [
    Suite("mine", "mine", Path("/suites/mine"), application="fido2"),
    Suite("any", "any", Path("/suites/any")),
]


def item(folder="mine", mark=None):
    marker = None if mark is None else pytest.mark.needs_application(*mark).mark
    return SimpleNamespace(
        path=Path(f"/suites/{folder}/test_it.py"),
        get_closest_marker=lambda name: marker if name == "needs_application" else None,
    )


KEY = discover().keys["fido2"]
CARD_ONLY = SimpleNamespace(applications=[SimpleNamespace(name="card")])


@pytest.mark.parametrize(
    ("asked", "key", "lacks"),
    [
        (item(), KEY, None),
        (item(), CARD_ONLY, "fido2"),
        (item("any"), CARD_ONLY, None),
        (item("elsewhere"), CARD_ONLY, None),
        (item(mark=("card",)), CARD_ONLY, None),
        (item(mark=("card",)), KEY, "card"),
        (item(mark=()), CARD_ONLY, None),
        (item("any", mark=("fido2", "card")), KEY, "card"),
    ],
)
def test_which_application_a_key_lacks_for_a_test(asked, key, lacks):
    assert lacking_application(asked, key, SUITES) == lacks


@pytest.mark.parametrize(
    ("asked", "rigs"),
    [
        (item(), ["key"]),
        (item("any"), ["key", "card"]),
        (item(mark=("card",)), ["card"]),
        # Nobody has it: then each rig says so.
        (item(mark=("serial",)), ["key", "card"]),
    ],
)
def test_a_case_is_asked_of_the_rigs_whose_key_has_its_application(asked, rigs):
    assert rigs_asked(asked, {"key": KEY, "card": CARD_ONLY}, SUITES) == rigs


def test_our_suites_say_what_they_ask():
    asked = {suite.name: suite.application for suite in discover().suites.values()}
    assert asked == {
        "conformance": "fido2",
        "downgrade": "update",
        "endurance": "",
        "lifecycle": "schsm",
        "loss": "openpgp",
        "openpgp": "openpgp",
        "pro": "pro",
        "schsm": "schsm",
    }
