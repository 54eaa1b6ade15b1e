"""Switches that lie: no run passes on one, and what is said names the switch, never the key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.base.errors import RigError
from harness.bench.calibration import Calibration, keep
from harness.campaign.home import go_home
from harness.campaign.rows import campaign_row
from harness.campaign.timed_live import LiveCampaign
from harness.evidence.ledger import now
from harness.model.row import is_judged
from harness.report.verdict import INCONCLUSIVE, PASS, verdict
from harness.search.plan import Plan
from support.lab import TwinKey
from support.terms import terms
from support.usb import PORT, laboratory, make_rig

NEIGHBOUR = "1-1.4.2"
WIRING = "usb 1-1.4.1; power lab, lab 1-1.4.1"
OPERATION = "fido2.client_pin.wrong"


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))


@pytest.fixture
def lab(tmp_path):
    with laboratory(tmp_path) as lab:
        # Its 10 s for a reset pass as much faster: a key that is too fast refuses on a busy machine.
        lab.plug(PORT, TwinKey(1, speed=10, boot_s=0.05))
        lab.plug(NEIGHBOUR, TwinKey(2))
        yield lab


@pytest.fixture
def usb(lab):
    made = make_rig(gone_s=0.5)
    made.wiring = WIRING
    yield made
    made.close()


def calibrated(**figures):
    """Keep a calibration of the rig as if it had been sound: the lab's relay is; a busy host is late."""
    sound = {"gone_most_ms": 150.0, "release_ms": (0.0, 100.0), "lead_ms": 0.0, "cut_jitter_ms": 1.0}
    keep(Calibration("mini-1", WIRING, now(), **{**sound, **figures}))


def run(usb, cuts):
    return LiveCampaign(usb, usb.key.operations[OPERATION], go_home(usb), terms(cuts)).run()


def ruling(result):
    row = campaign_row(result)
    return verdict(
        violations=[{**one, "rig": row["rig"], "operation": row["operation"]} for one in row["findings"]],
        operations=[row],
        judged_cuts=row["cuts"],
    )


def cuts_of(result):
    return [row for row in result.rows if row["planned"]["marker"] != "end"]


@pytest.mark.long
def test_a_sound_switch_that_is_calibrated_passes(usb):
    calibrated()
    result = run(usb, 2)
    assert ruling(result).verdict == PASS, (ruling(result).reasons, result.rows)
    assert result.switch["strayed"] == 0
    assert result.bound is not None
    assert all(row["landed"] for row in cuts_of(result) if row["outcome"] != "missed")


@pytest.mark.long
@pytest.mark.parametrize("known", [True, False], ids=["calibrated before", "uncalibrated"])
def test_a_relay_that_opens_350_ms_late_does_not_pass(lab, usb, known):
    home = go_home(usb)
    if known:
        calibrated(gone_most_ms=20.0, release_ms=(0.0, 5.0))
    lab.port(PORT).off_course = ((0.35, False),)
    result = LiveCampaign(usb, usb.key.operations[OPERATION], home, terms(1)).run()
    assert result.violations == 0
    assert not any(row["landed"] for row in cuts_of(result)), "it went after the answer, or nobody knows"
    ruled = ruling(result)
    assert ruled.verdict == INCONCLUSIVE
    assert (result.bound, result.window_ms) == (None, None)
    said = " ".join(ruled.reasons)
    assert "its switch (lab, lab 1-1.4.1)" in said
    assert ("is not calibrated" in said) != known
    assert ("strayed in 1 of 1 cut" in said) == known


def cut_while_up(usb):
    usb.wait_until_up()
    usb.cutter.prepare()
    usb.cutter.arm(usb.clock.now_us + 10_000)
    return usb.cutter.collect()


def test_a_switch_that_never_opens_is_the_rigs_fault(lab, usb):
    lab.port(PORT).lies = True
    with pytest.raises(RigError, match=r"still on the bus 0\.5 s after its port was switched off") as wrong:
        cut_while_up(usb)
    assert "its switch (lab, lab None) had been told to cut it" in wrong.value.found
    assert usb.take_deaths() == []


def test_a_switch_that_cuts_the_neighbour_is_the_rigs_fault(lab, usb):
    lab.port(PORT).misled = lab.port(NEIGHBOUR)
    with pytest.raises(RigError, match="still on the bus") as wrong:
        cut_while_up(usb)
    assert "its switch (lab, lab None) had been told to cut it" in wrong.value.found
    assert not lab.port(NEIGHBOUR).powered
    assert usb.take_deaths() == []


@pytest.mark.parametrize(
    "course",
    [((0.0, False), (0.2, True)), ((0.0, False), (0.1, True), (0.4, False))],
    ids=["power comes back by itself", "it bounces"],
)
def test_power_that_comes_back_while_it_is_off_is_the_rigs_fault(lab, usb, course):
    """The key boots meanwhile, and what it does then is no outcome of the cut."""
    home = go_home(usb)
    usb.options.off_s = 0.8
    lab.port(PORT).off_course = course
    with pytest.raises(RigError, match="came back while its port was switched off") as wrong:
        LiveCampaign(usb, usb.key.operations[OPERATION], home, terms(2)).run()
    assert "its switch" in str(wrong.value.found)


@pytest.mark.long
@pytest.mark.parametrize("known", [True, False], ids=["calibrated", "a hub without a calibration"])
def test_cuts_into_boots_prove_nothing_where_the_switch_cannot(usb, known):
    """In a boot the key gives no answer that could say when its power went."""
    home = go_home(usb)
    if known:
        calibrated()
    else:
        usb.cutter.delay = replace(usb.cutter.delay, seen_after=False)
    campaign = LiveCampaign(usb, usb.key.operations[OPERATION], home, terms(0))
    campaign.prepare()
    campaign._landed = lambda *_: True
    marker = campaign.prepared.profile.markers[1][0]
    judged = campaign.make(Plan(marker, 0, 1_000, "burst", boots=(20_000,)))
    assert judged.row["landed"] is (True if known else None)
    assert is_judged(judged.row) == known
    assert campaign.switch.row()["calibrated"] == known
    assert judged.note["strayed"] == ""
