"""Cases of the suites of cards: the sound twins pass them, and a key that is wrong in one place fails them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from harness_schsm.twin import elementary, generate, pins, use
from support.trial_card import TrialCard, change


@dataclass(frozen=True)
class Wrong:
    """A defect, and the case that fails for it.

    :ivar function: the part of the firmware that has it, where `old` is `new`.
    """

    case: str
    function: Any
    old: str
    new: str
    parameters: dict[str, Any] = field(default_factory=dict)


HSM = {
    "unblocking gives three tries": Wrong(
        "schsm/test_pins::test_unblocking_gives_as_many_tries_as_were_set_up",
        pins.reset_retry,
        "full = bytes([configuration.retries])",
        "full = bytes([3])",
        {"retries": 5, "pin": ""},
    ),
    "the right PIN gives three tries": Wrong(
        "schsm/test_pins::test_the_right_pin_gives_as_many_tries_back_as_were_set_up",
        pins._full,
        "else configuration.retries",
        "else 3",
        {"retries": 5},
    ),
    "the list of files ends early": Wrong(
        "schsm/test_files::test_every_file_is_listed_however_many_there_are",
        elementary.enumerate_objects,
        "for fid in found)",
        "for fid in found[:40])",
        {"count": 60},
    ),
    "a salt of 20 bytes": Wrong(
        "schsm/test_keys::test_pss_with_a_hash_that_the_card_computes",
        use._sign_rsa,
        "len(digest)",
        "20",
        {"number": 3},
    ),
    "key domain 2 is filed as 0": Wrong(
        "schsm/test_dkek::test_a_key_leaves_under_the_dkek_of_its_own_domain",
        generate.restrictions,
        "algorithms, number)",
        "algorithms, number if number != 2 else 0)",
    ),
}
EVERY = [pytest.param("nitrokey-hsm2", wrong, id=name) for name, wrong in HSM.items()]


@pytest.mark.parametrize(("key", "wrong"), EVERY)
def test_a_sound_key_passes(key, wrong):
    card = TrialCard(key)
    assert card.asked(wrong.case, **wrong.parameters) == "passed", card.said


@pytest.mark.parametrize(("key", "wrong"), EVERY)
def test_a_wrong_key_fails(monkeypatch, key, wrong):
    card = TrialCard(key)
    change(monkeypatch, wrong.function, wrong.old, wrong.new)
    assert card.asked(wrong.case, **wrong.parameters) == "failed", card.said
