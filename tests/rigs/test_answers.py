"""Waits for a key's answer: they end with it, touch meanwhile, and never pass their limit."""

from __future__ import annotations

import pytest

from harness.base.clock import VirtualClock
from harness_rigs.answers import AnswerWait


class DueTouch:
    """A touch that is due at an instant, and notes when it was pressed."""

    def __init__(self, clock, due_us=None):
        self._clock, self.due_us, self.pressed_us = clock, due_us, []

    def press_if_due(self):
        if self.due_us is not None and self._clock.now_us >= self.due_us:
            self.due_us = None
            self.pressed_us.append(self._clock.now_us)


@pytest.fixture
def clock():
    return VirtualClock()


def nothing_until(clock, answer_us):
    """An answer at an instant; what waits for less gets nothing, later."""

    def take(limit_s):
        wait_us = min(round(limit_s * 1e6), answer_us - clock.now_us)
        clock.wait_us(wait_us)
        return "answer" if clock.now_us >= answer_us else None

    return take


def test_it_ends_with_the_answer(clock):
    answers = AnswerWait(clock, DueTouch(clock), 1.0)
    began_us = clock.now_us
    assert answers.until(nothing_until(clock, began_us + 300_000)) == "answer"
    assert (clock.now_us - began_us, answers.spent_us) == (300_000, 300_000)


def test_it_touches_when_that_is_due_and_goes_on_waiting(clock):
    touch = DueTouch(clock, clock.now_us + 200_000)
    answers = AnswerWait(clock, touch, 1.0)
    due_us = touch.due_us
    assert answers.until(nothing_until(clock, clock.now_us + 300_000)) == "answer"
    assert touch.pressed_us == [due_us]


def test_its_limit_is_no_answer(clock):
    answers = AnswerWait(clock, DueTouch(clock), 0.5)
    assert answers.until(nothing_until(clock, clock.now_us + 10_000_000)) is None
    assert answers.spent_us == 500_000
    assert answers.limit_words() == "no answer within 0.5 s"


def test_a_key_that_goes_ends_the_wait_and_its_time_counts(clock):
    answers = AnswerWait(clock, DueTouch(clock), 1.0)

    def gone(limit_s):
        clock.wait_us(40_000)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        answers.until(gone)
    assert answers.spent_us == 40_000


@pytest.mark.parametrize(
    ("apdu", "limit_s"),
    [
        ("0047800002B60000", 600),
        ("0047810002B60000", 30),
        ("0046010000", 600),
        ("0046810000", 600),
        ("00A4040000", 30),
        ("004801B100", 30),
    ],
    ids=[
        "OpenPGP makes",
        "OpenPGP reads",
        "HSM makes",
        "HSM makes 81",
        "SELECT",
        "HSM makes a symmetric key",
    ],
)
def test_a_card_may_take_long_for_a_key_pair_alone(clock, apdu, limit_s):
    assert AnswerWait(clock, DueTouch(clock), 30).limit_of(bytes.fromhex(apdu)) == limit_s


def test_a_longer_limit_of_the_rig_holds_for_a_key_pair_too(clock):
    assert AnswerWait(clock, DueTouch(clock), 900).limit_of(bytes.fromhex("0046010000")) == 900
