"""The search as a caller meets it: what it asks for, and what it promises."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.devices import Scenario
from harness.search.search import STRATEGIES, CutRequest, Search

CLASSES = ("old", "new", "bootloader", "recovered", "torn", "lost", "missed")
outcomes = st.lists(st.sampled_from(CLASSES), max_size=120)
strategies = st.sampled_from(STRATEGIES)


def make(strategy="hybrid", seed=1, **more):
    given = {"length": 100.0, "sigma": 0.1, "markers": [("sent", 10.0), ("chunk", 60.0)], **more}
    return Search(strategy, seed=seed, **given)


def play(search, told):
    """Ask and tell in turn."""
    cuts = []
    for outcome in told:
        cuts.append(search.ask())
        search.tell(cuts[-1], outcome)
    return [*cuts, search.ask()]


def on_a_device(search, kind="boundary", width=0.001, count=150, number=3):
    device = Scenario(kind, kind, width, 0.001).device(number)
    for _ in range(count):
        cut = search.ask()
        outcome = device.cut(cut.time / search.length)
        search.tell(cut, outcome)
        yield cut, outcome


@given(strategies, outcomes, st.integers(0, 9), st.floats(1e-6, 1e9), st.floats(0, 0.2), st.floats(0, 0.1))
def test_every_cut_lies_in_the_operation_and_counts_from_its_marker(
    strategy, told, seed, length, sigma, drift
):
    markers = [("sent", length / 8), ("chunk", length / 2)]
    search = make(strategy, seed, length=length, sigma=sigma * length, markers=markers, drift=drift)
    for number, cut in enumerate(play(search, told)):
        assert cut.number == number
        assert 0 <= cut.time <= length
        at = dict(search.markers)[cut.marker]
        assert cut.offset == cut.time - at >= 0
        assert all(other <= at for _, other in search.markers if other <= cut.time), "a later marker was seen"


@given(strategies, outcomes, st.integers(0, 9))
def test_the_same_seed_asks_for_the_same_cuts(strategy, told, seed):
    assert play(make(strategy, seed), told) == play(make(strategy, seed), told)


@pytest.mark.parametrize("strategy", ["hybrid", "random", "vdc"])
def test_another_seed_asks_for_others(strategy):
    assert play(make(strategy, 1), ["old"] * 9) != play(make(strategy, 2), ["old"] * 9)


@given(strategies, st.lists(st.tuples(st.integers(1, 6), st.randoms()), max_size=25), st.integers(0, 9))
def test_the_order_of_telling_does_not_matter(strategy, batches, seed):
    one, other = make(strategy, seed), make(strategy, seed)
    for size, random in batches:
        asked = [one.ask() for _ in range(size)]
        assert asked == [other.ask() for _ in range(size)]
        results = [(cut, random.choice(CLASSES)) for cut in asked]
        for cut, outcome in results:
            one.tell(cut, outcome)
        random.shuffle(results)
        for cut, outcome in results:
            other.tell(cut, outcome)
    assert one.ask() == other.ask()


def test_covering_cuts_do_not_depend_on_what_was_seen():
    """Or they would prove nothing."""

    def covering(kind):
        return [cut.time for cut, _ in on_a_device(make(), kind) if cut.stream == "cover"][:40]

    sequence = [cut.time for cut in play(make(), ["old"] * 40)][:40]
    assert covering("boundary") == covering("halo") == sequence


def test_a_search_is_taken_up_again_by_telling_what_was_done():
    search = make()
    done = list(on_a_device(search, "halo", count=80))
    again = make()
    for cut, outcome in done:
        assert again.ask() == cut
        again.tell(cut, outcome)
    assert again.ask() == search.ask()


def test_a_missed_covering_cut_is_asked_for_again_and_then_let_be():
    search = make("vdc")
    first = search.ask()
    search.tell(first, "missed")
    second = search.ask()
    assert (second.time, second.number) == (first.time, 1)
    search.tell(second, "missed")
    third = search.ask()
    assert third.time == first.time
    search.tell(third, "missed")
    assert search.ask().time != first.time


def test_a_cut_that_was_not_asked_for_cannot_be_told():
    search = make()
    cut = search.ask()
    with pytest.raises(ValueError, match="not asked for"):
        search.tell(CutRequest(7, "start", 1.0, "cover", 1.0), "old")
    search.tell(cut, "old")
    with pytest.raises(ValueError, match="told already"):
        search.tell(cut, "old")


@pytest.mark.parametrize(
    "wrong", [{"strategy": "bisect"}, {"length": 0}, {"sigma": -1}, {"drift": -1}, {"reaction": -1}]
)
def test_impossible_arguments_are_refused(wrong):
    with pytest.raises(ValueError):
        make(**wrong)


def test_anchored_to_the_last_marker_that_can_be_reacted_to():
    search = make("vdc", reaction=5.0)
    cuts = play(search, ["old"] * 300)
    assert {cut.marker for cut in cuts} == {"start", "sent", "chunk"}
    for cut in cuts:
        at = dict(search.markers)[cut.marker]
        assert cut.offset >= 5 or cut.marker == "start"
        assert at == max(a for _, a in search.markers if a <= cut.time - 5 or a == 0)


def test_jitter_grows_with_the_time_since_the_marker():
    search = make(drift=0.1)
    assert search.sigma_at(60.0) == pytest.approx(0.1)
    assert search.sigma_at(59.0) == pytest.approx((0.1**2 + 4.9**2) ** 0.5)


def test_it_finds_where_outcomes_change():
    search = make(ends=("old", "new"))
    device = Scenario("none", "boundary", 0, 0.001).device(5)
    for _ in range(60):
        cut = search.ask()
        search.tell(cut, device.cut(cut.time / 100))
    (one, other) = search.edges()
    assert one[:2] == ("old", "bootloader")
    assert other[:2] == ("bootloader", "new")
    assert one[2] == pytest.approx(device.b1 * 100, abs=0.2)
    assert other[2] == pytest.approx(device.b2 * 100, abs=0.2)


def test_refining_is_held_to_its_share():
    """However strangely a key behaves, a fair part of the cuts covers."""
    random = Random(1)
    search = make()
    streams = []
    for _ in range(600):
        cut = search.ask()
        streams.append(cut.stream)
        search.tell(cut, random.choice(("old", "new", "bootloader", "recovered")))
    assert streams.count("cover") > 300


def test_cuts_may_be_asked_for_before_others_are_told():
    search = make(ends=("old", "new"))
    asked = [search.ask() for _ in range(40)]
    assert len({cut.time for cut in asked}) == 40, "the same instant was asked for twice"


def test_a_measured_instant_is_what_counts():
    """A cutter that strays far more than the operation does, and says by how much, moves no boundary."""
    random = Random(4)
    search = make(ends=("old", "new"))
    for _ in range(120):
        cut = search.ask()
        landed = cut.time + random.uniform(-1, 1)
        search.tell(cut, "old" if landed < 40 else "new", landed)
    ((_, _, at),) = search.edges()
    assert at == pytest.approx(40, abs=0.2)
