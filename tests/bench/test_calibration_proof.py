"""Which calibrations say when the power went, so that cuts on the rig prove something."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.bench.calibration import Calibration, delay_of, is_calibrated, keep
from harness.evidence.ledger import now
from harness.model.power_loss import SwitchDelay

WIRING = "usb 1-1.4.1; power hub, 1-1.4 port 1"


def rig(**delay):
    return SimpleNamespace(
        evidence_kind="hardware", wiring=WIRING, cutter=SimpleNamespace(delay=SwitchDelay(**delay))
    )


@pytest.mark.parametrize(
    ("delay", "figures", "most_us"),
    [
        ({}, {}, 150_000),
        ({"seen_after": False}, {}, None),
        ({"seen_after": False}, {"release_ms": (1.0, 90.0)}, 90_000),
        ({"seen_after": False, "most_us": 40_000}, {}, 40_000),
    ],
    ids=["seen after its loss", "seen before it", "seen before it, and measured", "seen before it, and said"],
)
def test_a_loss_that_is_seen_before_the_power_goes_is_no_upper_bound(own_state, delay, figures, most_us):
    """A hub by sysfs takes the key off the bus first: how late its power went, only the key's answers tell."""
    assert not is_calibrated(rig(**delay))
    keep(Calibration("mini-1", WIRING, now(), gone_most_ms=150.0, **figures))
    assert delay_of(rig(**delay)).most_us == most_us
    assert is_calibrated(rig(**delay)) == (most_us is not None)
