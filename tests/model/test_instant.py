"""The one record of a cut's instants."""

from __future__ import annotations

from harness.model.instant import CutInstant


def test_a_cut_is_ordered_so_much_earlier_as_the_switch_takes():
    cut = CutInstant.planned(10_000, lead_us=300)
    assert (cut.planned_us, cut.armed_us) == (10_000, 9_700)
    assert (cut.fired_us, cut.acted_us, cut.lost_us, cut.took, cut.late_us) == (None, None, None, False, 0)


def test_it_is_late_by_when_the_switch_had_taken_the_order():
    cut = CutInstant.planned(10_000, lead_us=300).fired(9_750, 9_900).seen(10_900, took=True)
    assert (cut.fired_us, cut.acted_us, cut.lost_us, cut.took, cut.late_us) == (
        9_750,
        9_900,
        10_900,
        True,
        200,
    )


def test_a_key_that_had_left_before_was_not_cut():
    cut = CutInstant.planned(10_000).fired(10_001).seen(8_000, took=False)
    assert not cut.took
    assert (cut.fired_us, cut.lost_us) == (10_001, 8_000)


def test_a_computed_cut_goes_exactly_where_it_was_planned():
    cut = CutInstant.exact(700)
    assert {cut.planned_us, cut.armed_us, cut.fired_us, cut.acted_us, cut.lost_us} == {700}
    assert cut.took
    assert cut.late_us == 0


def test_counted_from_another_start_all_instants_shift_and_unknown_ones_stay_unknown():
    cut = CutInstant.planned(10_000, lead_us=300).fired(9_750).seen(None, took=True).since(9_000)
    assert cut == CutInstant(1_000, 700, 750, 750, None, took=True)
    assert cut.late_us == 50
