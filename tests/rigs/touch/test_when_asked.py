"""When a key is touched: after it has asked, once for each time it asks, and never outside a request of ours."""

from __future__ import annotations

import pytest

from harness.base.clock import VirtualClock
from harness_rigs.touch.when_asked import TouchWhenAsked

CHANNEL = bytes(4)
DELAY_US = 200_000


def first(command):
    return (CHANNEL + bytes([command, 0, 1, 0])).ljust(64, b"\0")


def keepalive(status):
    return (CHANNEL + bytes([0xBB, 0, 1, status])).ljust(64, b"\0")


CBOR, MSG, PROCESSING, UP_NEEDED = first(0x90), first(0x83), keepalive(1), keepalive(2)
CONTINUATION = (CHANNEL + bytes([0])).ljust(64, b"\0")


class Noted(TouchWhenAsked):
    """Notes presses and releases; `can_press` as the test says."""

    def __init__(self, clock, can_press=True):
        super().__init__(clock)
        self.presses, self.is_pressed, self._can_press = 0, False, can_press

    @property
    def can_press(self):
        return self._can_press

    def press(self):
        self.presses, self.is_pressed = self.presses + 1, True

    def release(self):
        self.is_pressed = False


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def touch(clock):
    return Noted(clock)


def pass_by(touch, clock):
    clock.wait_us(DELAY_US)
    touch.press_if_due()


def test_a_keepalive_asks_and_the_answer_ends_the_touch(touch, clock):
    with touch.pressing(delay_us=DELAY_US):
        touch.sent(CBOR)
        touch.received(PROCESSING)
        assert touch.due_us is None
        touch.received(UP_NEEDED)
        touch.press_if_due()
        assert touch.presses == 0, "the delay has not passed"
        pass_by(touch, clock)
        touch.received(UP_NEEDED)
        assert (touch.presses, touch.is_pressed, touch.due_us) == (1, True, None)
        touch.received(CBOR)
        assert not touch.is_pressed


def test_a_key_that_asks_again_is_touched_again(touch, clock):
    with touch.pressing(delay_us=DELAY_US):
        for _ in range(2):
            touch.sent(CBOR)
            touch.sent(CONTINUATION)
            touch.received(UP_NEEDED)
            pass_by(touch, clock)
    assert touch.presses == 2


@pytest.mark.parametrize("ask", [lambda touch: touch.sent(MSG), lambda touch: touch.asked_of_a_card()])
def test_u2f_and_cards_ask_by_the_request_itself(touch, clock, ask):
    with touch.pressing(delay_us=DELAY_US):
        ask(touch)
        pass_by(touch, clock)
    assert touch.presses == 1


def test_nothing_is_touched_outside_of_pressing(touch, clock):
    touch.sent(MSG)
    touch.received(UP_NEEDED)
    pass_by(touch, clock)
    with touch.pressing(delay_us=DELAY_US):
        touch.sent(MSG)
    pass_by(touch, clock)
    assert touch.presses == 0


def test_what_cannot_press_is_never_due(clock):
    touch = Noted(clock, can_press=False)
    with touch.pressing(delay_us=DELAY_US):
        touch.sent(MSG)
        assert touch.due_us is None
