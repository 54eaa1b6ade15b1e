"""What calibration accepts of a switch, and what it says of a busy host."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from harness.base.clock import MonotonicClock, VirtualClock
from harness.base.errors import RigError
from harness.bench.calibration import Calibration
from harness.model.instant import CutInstant
from harness.model.power_loss import SwitchDelay
from harness.model.rig import KeyGone
from harness.model.tap import Mark
from harness.run.switch_limits import HostBusyError, host_lateness_us, require_fit
from harness.run.talk_to_cut import DECAY_US, release_of, talk

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


def test_a_data_sheet_that_the_key_contradicts_is_refused():
    require_fit(RELAY, SwitchDelay(least_us=1_000, most_us=5_000))
    with pytest.raises(RigError) as refused:
        require_fit(RELAY, SwitchDelay(least_us=0, most_us=3_000))
    assert refused.value.found == (
        "release_ms: by the key's last answer its power goes 4.2 to 9.5 ms after the order"
    )
    assert "0 to 3 ms, as the bench says" in refused.value.expected
    with pytest.raises(RigError, match="leave release_ms out"):
        require_fit(RELAY, SwitchDelay(least_us=12_000, most_us=20_000))


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


@pytest.mark.parametrize(
    ("ends", "silent"),
    [
        (KeyGone("gone"), True),
        (OSError(errno.ENODEV, "gone"), True),
        (RigError("the daemon has ended"), False),
        (None, False),
    ],
)
def test_only_a_key_that_falls_silent_says_when_its_power_went(ends, silent):
    clock, asked = VirtualClock(), []

    def ask():
        asked.append(clock.now_us)
        clock.wait_us(300_000)
        if ends is not None and len(asked) == 2:
            raise ends

    assert talk(ask, clock, 0) is silent
    assert len(asked) == (4 if ends is None else 2), "it is not asked for ever"


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
