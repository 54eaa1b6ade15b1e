"""The one record of a cut's instants."""

from __future__ import annotations

from harness.model.instant import CutInstant


def test_a_cut_is_ordered_so_much_earlier_as_the_switch_takes():
    cut = CutInstant.planned(10_000, lead_us=300)
    assert (cut.planned_us, cut.armed_us) == (10_000, 9_700)
    assert (cut.fired_us, cut.lost_us, cut.landed_us, cut.late_us) == (None, None, None, 0)


def test_the_power_is_gone_as_long_after_firing_as_the_switch_takes():
    cut = CutInstant.planned(10_000, lead_us=300).fired(9_750).seen(10_900, took=True)
    assert (cut.fired_us, cut.late_us, cut.landed_us, cut.lost_us) == (9_750, 50, 10_050, 10_900)


def test_a_key_that_had_left_before_was_not_cut():
    cut = CutInstant.planned(10_000).fired(10_001).seen(8_000, took=False)
    assert cut.landed_us is None
    assert (cut.fired_us, cut.lost_us) == (10_001, 8_000)


def test_a_computed_cut_goes_exactly_where_it_was_planned():
    cut = CutInstant.exact(700)
    assert {cut.planned_us, cut.armed_us, cut.fired_us, cut.lost_us, cut.landed_us} == {700}
    assert cut.late_us == 0


def test_counted_from_another_start_all_instants_shift_and_unknown_ones_stay_unknown():
    cut = CutInstant.planned(10_000, lead_us=300).fired(9_750).seen(None, took=True).since(9_000)
    assert cut == CutInstant(1_000, 700, 750, None, 1_050)
    assert cut.late_us == 50
