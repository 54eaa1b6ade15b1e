"""The time of a simulated key in the laboratory: fast where the key only works, and never ahead of what it does."""

from __future__ import annotations

import time

import pytest

from support.lab import TwinKey

LATE_S = 60
"""How long the key's thread waits for a processor."""


@pytest.fixture
def key():
    made = TwinKey(1)
    yield made
    made.close()


@pytest.fixture
def pass_time(monkeypatch):
    now = [time.monotonic_ns()]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])

    def later(seconds):
        now[0] += round(seconds * 1e9)

    return later


def test_a_late_host_does_not_make_a_fast_key_late(key, pass_time):
    """CTAP's window of ten seconds for a reset would be over before the key has booted."""
    began_us = key._now_us()
    key._run_at(50.0, began_us + 1_000)
    pass_time(LATE_S)
    assert key._now_us() == began_us + 1_000
    key._run_at(1.0)
    pass_time(0.005)
    assert key._now_us() == began_us + 6_000


def test_a_late_host_ends_no_flash_operation_later(key, pass_time, monkeypatch):
    notice = key._notice_cut

    def noticed_late():
        pass_time(LATE_S)
        notice()

    monkeypatch.setattr(key, "_notice_cut", noticed_late)
    monkeypatch.setattr(key, "_meets", lambda start_us, end_us: None)
    start_us = key._now_us()
    key._paced(start_us, start_us + 85_000)
    assert key._now_us() == start_us + 85_000
    pass_time(0.001)
    assert key._now_us() == start_us + 86_000
