"""The tap: when a mark is dated."""

from __future__ import annotations

from harness.base.clock import VirtualClock
from harness.model.tap import Tap


def test_what_the_key_sent_is_dated_by_its_arrival_and_not_by_its_reading():
    clock = VirtualClock(1000)
    tap = Tap(clock)
    tap.mark("request-sent")
    clock.now_us = 9000
    tap.arrived_us = 2000
    assert tap.mark("keepalive", 1).at_us == 2000
    assert tap.mark("response", 0).at_us == 2000
    assert tap.mark("request-sent").at_us == 9000, "what is sent to the key has not arrived from it"


def test_no_answer_is_dated_before_its_request_or_after_its_reading():
    clock = VirtualClock(5000)
    tap = Tap(clock)
    tap.mark("request-sent")
    clock.now_us = 6000
    tap.arrived_us = 4000
    assert tap.mark("response", 0).at_us == 5000, "the clock of the kernel was set meanwhile"
    tap.arrived_us = 7000
    assert tap.mark("response", 0).at_us == 6000


def test_a_cleared_tap_knows_of_no_packet():
    clock = VirtualClock(5000)
    tap = Tap(clock)
    tap.arrived_us = 4000
    tap.clear()
    assert tap.mark("response", 0).at_us == 5000
