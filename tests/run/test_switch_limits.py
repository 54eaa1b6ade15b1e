"""What calibration accepts of a switch, and what it says of a busy host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.base.clock import MonotonicClock
from harness.base.errors import RigError
from harness.bench.calibration import Calibration
from harness.model.instant import CutInstant
from harness.model.tap import Mark
from harness.run.switch_limits import HostBusyError, host_lateness_us, require_fit
from harness.run.talk_to_cut import DECAY_US, release_of

RELAY = Calibration(
    "mini-1",
    "usb 1-1.4.1; power lcus, lcus /dev/ttyUSB0 channel 1",
    "2026-11-29T10:00:00Z",
    cycles=30,
    gone_most_ms=260.0,
    release_ms=(4.2, 9.5),
    lead_ms=6.0,
    release_jitter_ms=1.1,
    late_p99_ms=0.3,
    host_late_ms=0.2,
    off_s=0.3,
)


@pytest.mark.parametrize(
    ("figures", "found", "mend"),
    [
        (
            {"release_ms": (340.0, 352.5)},
            "longest delay until the power is gone: 352.5 ms",
            "see to the relay",
        ),
        ({"release_jitter_ms": 41.0}, "spread of this delay: 41 ms", "see to the relay"),
        ({"late_p99_ms": 900.0}, "order taken late: 900 ms", "a hub or board of its own"),
        ({"gone_most_ms": 1500.0}, "longest time until the key is gone: 1500 ms", "see to the relay"),
        ({"off_s": 6.4}, "time that the key has to rest: 6400 ms", "bleed resistor"),
    ],
)
def test_a_figure_beyond_its_limit_is_refused_and_named(figures, found, mend):
    require_fit(RELAY)
    with pytest.raises(RigError) as refused:
        require_fit(replace(RELAY, **figures))
    assert not isinstance(refused.value, HostBusyError)
    assert refused.value.found == found, "this one, and no other"
    assert "at most" in refused.value.expected
    assert mend in refused.value.mend


def test_a_busy_host_is_not_taken_for_a_bad_switch():
    late = replace(RELAY, release_ms=(4.2, 352.5))
    with pytest.raises(HostBusyError, match="this host was too loaded to measure its switch") as busy:
        require_fit(replace(late, host_late_ms=80.0))
    assert "the host itself was late by 80 ms" in busy.value.found
    require_fit(replace(RELAY, host_late_ms=80.0))


def test_what_is_not_measured_has_no_limit():
    require_fit(Calibration("mini-1", "", "2026-11-29T10:00:00Z", off_s=None))


def test_the_host_is_measured_without_a_switch():
    late = host_lateness_us(MonotonicClock())
    assert len(late) == 24
    assert all(us >= 0 for us in late)


def exchanges(*spans):
    return [
        mark
        for number, (sent, got) in enumerate(spans)
        for mark in (Mark(f"request-sent-{number}", sent), Mark(f"response-{number}", got))
    ]


def test_the_power_went_between_the_last_answer_and_the_next_that_was_due():
    cut = CutInstant.planned(10_000).fired(10_000, 10_300).seen(140_000, took=True)
    talk = [*exchanges((9_000, 11_000), (11_000, 14_000), (14_000, 16_500)), Mark("request-sent-9", 16_500)]
    assert release_of(cut, talk, seen_after=True) == (6_500, 16_500 + 3_000 - 10_300)
    seen = cut.seen(17_000, took=True)
    assert release_of(seen, talk, seen_after=True) == (6_500, 6_700), "it was seen to be gone before"
    assert release_of(cut, talk, seen_after=False) == (6_500, DECAY_US)
    assert release_of(cut, (), seen_after=True) is None
    assert release_of(cut, exchanges((1_000, 2_000)), seen_after=True) == (0, 0), "a pause before the cut"
