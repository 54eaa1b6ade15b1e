"""Where the power of a cut went: the interval holds the truth, and a liar does not pass."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from harness.model.instant import CutInstant
from harness.model.power_loss import PowerLoss, SwitchDelay, can_prove, power_loss

TIMES = st.integers(0, 400_000)
CALIBRATED = SwitchDelay(least_us=2_000, most_us=8_000, gone_us=20_000, tolerance_us=20_000)


@st.composite
def truths(draw):
    """(cut, when its power went, when the last byte was sent, and received): what a rig may see of it."""
    fired = draw(TIMES)
    ordered = fired + draw(st.integers(0, 50_000))
    acted = ordered + draw(st.integers(0, 50_000))
    delay = draw(st.integers(0, 500_000))
    gone = ordered + delay
    notice = draw(st.integers(0, 300_000))
    sent = draw(st.integers(0, gone))
    received = sent + draw(st.sampled_from([0, 0, 500, 30_000]))
    cut = CutInstant.planned(fired).fired(fired, acted).seen(gone + notice, took=True)
    return cut, delay, gone, sent, received


@given(truths(), st.integers(0, 500_000), st.integers(0, 500_000))
def test_the_interval_holds_the_instant_if_the_switch_does_what_calibration_says(truth, least, more):
    cut, delay, gone, sent, received = truth
    assume(least <= delay <= least + more)
    assume(received == sent or received <= gone)
    loss = power_loss(cut, SwitchDelay(least, least + more), received)
    assert loss.earliest_us <= gone <= loss.latest_us
    assert cut.fired_us <= loss.earliest_us <= loss.latest_us <= cut.lost_us


@given(truths())
def test_whatever_the_switch_does_a_loss_that_was_seen_late_is_not_judged_by_its_calibration(truth):
    cut, _, gone, sent, _ = truth
    measured = SwitchDelay(0, 20_000, 20_000, 20_000)
    loss = power_loss(cut, measured, sent)
    assert loss.earliest_us <= gone <= loss.latest_us


@given(truths(), st.sampled_from([CALIBRATED, SwitchDelay(), replace(CALIBRATED, seen_after=False)]))
def test_an_interval_is_never_empty_and_never_begins_before_the_order(truth, delay):
    cut, _, _, _, received = truth
    loss = power_loss(cut, delay, received)
    assert loss.earliest_us >= cut.fired_us
    assert loss.latest_us is None or loss.latest_us >= loss.earliest_us


@given(truths(), st.integers(-200_000, 200_000))
def test_it_is_the_same_from_every_start(truth, start):
    cut, _, _, _, received = truth
    shifted = power_loss(cut.since(start), CALIBRATED, received - start)
    assert shifted == power_loss(cut, CALIBRATED, received).since(start)


@given(TIMES, TIMES, TIMES, TIMES)
def test_it_lies_inside_outside_or_astride_and_every_instant_of_it_agrees(a, b, c, d):
    (earliest, latest), (began, ended) = sorted((a, b)), sorted((c, d))
    found = PowerLoss(earliest, latest).lies_within(began, ended)
    ends = {began <= at <= ended for at in (earliest, latest)}
    if found is None:
        assert ends == {True, False} or (earliest < began and ended < latest)
    else:
        assert ends == {found}
    assert PowerLoss(earliest, None).lies_within(began, ended) is (False if earliest > ended else None)


def cut_of(fired, lost, acted=None):
    return CutInstant.planned(fired).fired(fired, acted).seen(lost, took=True)


def test_a_relay_that_opens_350_ms_late_leaves_no_pass():
    """Its cuts were booked at 10 ms after the order; the answer came at 60 ms."""
    late = cut_of(50_000, 402_000)
    loss = power_loss(late, CALIBRATED, 60_000)
    assert (loss.earliest_us, loss.latest_us) == (60_000, 402_000)
    assert loss.lies_within(0, 63_000) is None
    assert (
        "the key was gone 352.0 ms after the order, and calibration measured at most 20.0 ms" in loss.strayed
    )
    assert power_loss(late, SwitchDelay(), 60_000).lies_within(0, 63_000) is None, "nor uncalibrated"
    assert power_loss(late, SwitchDelay(), 60_000).lies_within(0, 59_000) is False, "it came after the answer"


def test_a_key_that_answers_when_its_power_should_be_gone_is_told_by_its_answer():
    silent = replace(CALIBRATED, gone_us=None)
    loss = power_loss(cut_of(50_000, 300_000), silent, 200_000)
    assert (loss.earliest_us, loss.latest_us) == (200_000, 300_000)
    assert "still answered 150.0 ms after the order" in loss.strayed


def test_a_little_later_than_calibrated_is_no_stray_but_is_not_believed():
    loss = power_loss(cut_of(50_000, 85_000), CALIBRATED)
    assert (loss.earliest_us, loss.latest_us, loss.strayed) == (52_000, 85_000, None)


def test_an_order_that_was_taken_late_begins_when_it_was_given():
    """A hub whose lock another rig holds."""
    loss = power_loss(cut_of(50_000, 260_000, acted=250_000), CALIBRATED)
    assert (loss.earliest_us, loss.latest_us, loss.strayed) == (52_000, 258_000, None)


def test_what_broke_before_the_order_says_nothing_of_its_loss():
    loss = power_loss(cut_of(50_000, 30_000), SwitchDelay())
    assert (loss.earliest_us, loss.latest_us) == (50_000, None)


def test_a_hub_that_takes_the_key_off_the_bus_first_is_not_bounded_by_that():
    sysfs = replace(CALIBRATED, seen_after=False, least_us=0)
    assert power_loss(cut_of(50_000, 51_000, acted=53_000), sysfs).latest_us == 61_000


def test_a_cut_that_took_nothing_went_nowhere():
    assert power_loss(CutInstant.planned(5), CALIBRATED) is None
    assert power_loss(CutInstant.planned(5).fired(5).seen(3, took=False), CALIBRATED) is None


def test_a_switch_proves_if_it_is_calibrated_and_strays_rarely():
    row = {"calibrated": True, "cuts": 100, "strayed": 2, "first": None}
    assert can_prove(None)
    assert can_prove(row)
    assert not can_prove({**row, "strayed": 3})
    assert not can_prove({**row, "calibrated": False})
