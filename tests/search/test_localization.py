"""Where a finding lies, told from the intervals in which cuts took effect."""

from __future__ import annotations

from harness.search.localization import Localizer, hit_of
from harness.search.timing_profile import TimingProfile

KNOWN = TimingProfile(
    (("start", 0), ("request-sent", 1_000)), 100_000, 5_000, 50.0, 0.0, 70_000, None, "response", 0, 1, True
)


def test_a_finding_lies_between_the_outer_ends_of_what_showed_it_and_the_inner_ends_of_what_did_not():
    found = Localizer()
    for hit, kinds in (
        ((10_000.0, 12_000.0), []),
        ((28_000.0, 31_000.0), []),
        ((30_000.0, 33_000.0), [("pin", "lost")]),
        ((40_000.0, 41_000.0), [("pin", "lost")]),
        ((40_500.0, 44_000.0), []),
        ((60_000.0, 61_000.0), []),
    ):
        found.add(hit, "cover", kinds)
    place = found.narrowest("pin", "lost", KNOWN)
    assert (place["from_us"], place["to_us"]) == (30_000, 41_000)
    assert (place["sound_before_us"], place["sound_after_us"]) == (12_000, 60_000), "an overlap says nothing"
    assert place["text"] == 'between 29.0 and 40.0 ms after "request sent"; not at 11.0 ms and 59.0 ms'
    assert found.narrowest("pin", "torn", KNOWN) is None


def test_a_hit_of_an_earlier_version_is_one_instant():
    assert hit_of({"hit_us": 1234}) == (1234.0, 1234.0)
    assert hit_of({"hit_us": [10, 20]}) == (10.0, 20.0)
    assert hit_of({}) is None
