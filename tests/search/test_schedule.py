"""The order of a campaign by time, and the budget it ends with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.base.errors import CallerError
from harness.campaign.budget_split import BudgetSplit
from harness.run import options as wishes
from harness.search.plan import END, Plan, is_time_label, planned
from harness.search.schedule import FLICKERS, Schedule, search_for
from harness.search.stopping import USUAL, Allowance, Goal
from harness.search.timing_profile import TimingProfile, UncutRun, measured_profile

MARKERS = (("start", 0), ("request-sent", 900), ("keepalive", 100_000), ("response", 190_000))
KNOWN = TimingProfile(MARKERS, 200_000, 10_000, 50.0, 0.001, 70_000, None, "response", 0, 1, True)


def course(seed=b"a" * 32, known=KNOWN):
    return Schedule(search_for("hybrid", seed, known, "new"), known, seed)


def drive(run, cuts, outcome=lambda plan: "old" if plan.time_us < 120_000 else "new"):
    plans = []
    for _ in range(cuts):
        plan = run.ask()
        plans.append(plan)
        run.tell(outcome(plan), plan.time_us)
    return plans


def test_every_tenth_cut_is_followed_by_one_in_the_boot():
    plans = drive(course(), 100)
    nested = [number for number, plan in enumerate(plans) if plan.stream == "nested"]
    assert nested == list(range(9, 100, 10))
    assert all(0 <= plan.boots[0] <= 1.25 * 70_000 for plan in plans if plan.stream == "nested")
    (one, two) = (plan for plan in plans if plan.stream == "burst")
    assert len(one.boots) == FLICKERS
    assert one.boots != two.boots
    assert [plan.off_us for plan in plans if plan.stream == "rest"] == [2_000_000, 0]


def test_nested_cuts_go_where_the_outcome_changes():
    plans = drive(course(), 200)
    near = [plan for plan in plans if plan.stream == "nested" and abs(plan.time_us - 120_000) < 1_000]
    assert len(near) >= 5


def test_it_is_taken_up_by_asking_and_telling():
    assert drive(course(), 80) == drive(course(), 80)
    assert drive(course(), 80) != drive(course(b"b" * 32), 80)


def test_no_cut_is_anchored_to_what_comes_too_late_for_it():
    plans = drive(course(), 200)
    for plan in plans:
        assert plan.time_us == dict(MARKERS)[plan.marker] + plan.offset_us
    anchored = [plan for plan in plans if plan.stream in ("cover", "refine") and plan.marker != "start"]
    assert len({plan.marker for plan in anchored}) > 1
    assert min(plan.offset_us for plan in anchored) >= 199


def test_no_cut_goes_before_the_first_byte_of_a_key_that_has_power():
    """A client opens its device first; the key does nothing then, and a cut there would only better the bound."""
    late = (("start", 0), ("request-sent", 60_000), ("keepalive", 100_000), ("response", 190_000))
    known = replace(KNOWN, markers=late, begin_us=60_000, lead_us=5_000)
    plans = drive(course(known=known), 300)
    assert min(plan.time_us for plan in plans) >= 60_000
    assert max(plan.time_us for plan in plans) <= 210_000
    covers = [plan.time_us for plan in plans if plan.stream == "cover"]
    assert sum(covers) / len(covers) == pytest.approx(135_000, rel=0.03), "spread over the rest"
    for plan in plans:
        assert plan.time_us == dict(late)[plan.marker] + plan.offset_us
    assert {plan.marker for plan in plans} >= {"start", "request-sent"}, (
        "those that a marker comes too late for"
    )
    edges = [where for *_, where in course_edges(known)]
    assert edges == [pytest.approx(120_000 - 60_000, abs=1_000)], "the search is told where the cuts went"


def course_edges(known):
    run = course(known=known)
    drive(run, 300)
    return run.search.edges()


@given(
    st.sampled_from([name for name, _ in MARKERS]),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 10**6), max_size=3),
    st.integers(0, 10**7),
)
def test_a_label_names_its_cut(marker, offset_us, boots, off_us):
    plan = Plan(marker, offset_us, dict(MARKERS)[marker] + offset_us, "replay", tuple(boots), off_us)
    assert planned(plan.label, dict(MARKERS), 200_000) == plan
    assert is_time_label(plan.label)


@pytest.mark.parametrize(
    "label", ["", "op1.before", "request-sent", "request-sent+us", "request-sent+1us+boot1"]
)
def test_what_is_no_label_is_refused(label):
    assert not is_time_label(label)
    with pytest.raises(CallerError, match="cut"):
        planned(label, dict(MARKERS), 200_000)
    assert planned(END, dict(MARKERS), 200_000).marker == END


def test_what_runs_have_in_common_is_known_afterwards():
    marks = [
        {
            "request-sent": 900 + n,
            "keepalive": 100_000 + 40 * n,
            "response": 190_000 + 80 * n,
            "end": 200_000 + 80 * n,
        }
        for n in (-1, 0, 1)
    ]
    runs = [UncutRun(one, None, 0) for one in marks]
    known = measured_profile(runs, boot_us=70_000, reference_us=None, late_us=[100.0, 200.0, 300.0])
    assert known.markers == MARKERS
    assert (known.length_us, known.last, known.requests) == (200_000, "response", 1)
    assert known.sigma_us == pytest.approx(100, rel=0.05), "the cutter's own jitter is the larger part"
    assert 0.0003 < known.drift < 0.0006
    assert TimingProfile.from_row(known.row()) == known
    assert known.begin_us == 0
    powered = measured_profile(runs, boot_us=70_000, reference_us=None, late_us=[], powered=True)
    assert powered.begin_us == 900
    old = powered.row()
    del old["begin_us"]
    assert TimingProfile.from_row(old).begin_us == 0, "as an earlier version began it"
    swapped = [UncutRun({**one, "keepalive": at}, None, 0) for one, at in zip(marks, (1_000, 195_000, 100))]
    swapped = [
        UncutRun(dict(sorted(one.marks.items(), key=lambda mark: mark[1])), None, 0) for one in swapped
    ]
    names = [name for name, _ in measured_profile(swapped, boot_us=0, reference_us=None, late_us=[]).markers]
    assert names == ["start", "request-sent", "response"], (
        "what comes in another order each time is no anchor"
    )


def test_without_a_wish_the_usual_goal_ends_it():
    assert USUAL.cuts == 59
    assert Allowance().goes_on(58, 58)
    assert not Allowance().goes_on(59, 59)
    assert not Allowance().goes_on(8 * 59, 10), "nor does it go on for ever"
    assert Allowance(cuts=70).goes_on(69, 69)
    assert not Allowance(cuts=70).goes_on(70, 0)


def test_time_ends_it():
    clock = VirtualClock()
    allowance = Allowance(until_us=1_000, clock=clock)
    assert allowance.goes_on(0, 0)
    clock.wait_us(1_000)
    assert not allowance.goes_on(0, 0)


@dataclass
class Counted:
    """A campaign of which only its rows are real."""

    classes: list[str]
    clock: VirtualClock
    most: int = 10**9
    planned: int = 0
    result: object = field(default_factory=lambda: type("R", (), {"rows": []})())

    def more(self, allowance):
        while self.planned < self.most and allowance.goes_on(self.planned, 0):
            if allowance.cuts is None and self.planned % 50 == 49:
                self.clock.wait_us(1_000_000)
            self.planned += 1
            outcome = self.classes[self.planned % len(self.classes)]
            self.result.rows.append(
                {"outcome": outcome, "changed": {str(self.planned): 0} if outcome == "new" else {}}
            )
        return self.result


def spent(shares, campaigns):
    for name in shares.operations:
        campaigns[name].more(shares.first(name))
    first = {name: one.planned for name, one in campaigns.items()}
    shares.rest(campaigns, lambda name, go: go())
    return first, {name: one.planned for name, one in campaigns.items()}


def test_equal_shares_first_and_the_rest_where_outcomes_are_new():
    clock = VirtualClock()
    campaigns = {
        "dull": Counted(["old"], clock),
        "rich": Counted(["old", "new"], clock),
        "short": Counted(["old"], clock, 50),
    }
    first, last = spent(BudgetSplit(list(campaigns), 600), campaigns)
    assert first == {"dull": 140, "rich": 140, "short": 50}
    assert last["rich"] > 2 * last["dull"]
    assert sum(last.values()) == 600


def test_a_budget_in_time_is_spent():
    clock = VirtualClock()
    campaigns = {"dull": Counted(["old"], clock), "rich": Counted(["old", "new"], clock)}
    shares = BudgetSplit(list(campaigns), None, 100_000_000, None, clock)
    first, last = spent(shares, campaigns)
    assert abs(first["dull"] - first["rich"]) <= 100
    assert clock.now_us >= 100_000_000
    assert last["rich"] > last["dull"]


def test_one_operation_gets_all_of_it():
    assert BudgetSplit(["one"], 20).first_cuts == 20
    assert not BudgetSplit(["one"], 20).leaves_rest
    assert BudgetSplit(["one", "two"], 1000, goal=Goal(0.99, 0.01)).first_cuts == 459, (
        "what the goal needs comes first"
    )


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2h", 7_200_000_000),
        ("30m", 1_800_000_000),
        ("90s", 90_000_000),
        ("1h30m", 5_400_000_000),
        ("0.5s", 500_000),
    ],
)
def test_times(text, us):
    assert wishes.time_us(text) == us


@pytest.mark.parametrize("text", ["", "2", "h", "2x", "1h oops", "0s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(CallerError, match="--budget"):
        wishes.time_us(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("99", 0.99), ("99%", 0.99), ("0.99", 0.99), ("1%", 0.01), ("1", 0.01), ("0.1 %", 0.001)],
)
def test_shares(text, share):
    assert wishes.share("--below", text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "100", "100%", "-1", "x"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(CallerError, match="--below"):
        wishes.share("--below", text)


def test_a_goal_is_made_of_either():
    assert wishes.goal(None, None) is None
    assert wishes.goal("99", None) == Goal(0.99, USUAL.below)
    assert wishes.goal(None, "1%") == Goal(USUAL.confidence, 0.01)


def test_a_search_that_there_is_not():
    assert wishes.search("time") == "time"
    with pytest.raises(CallerError, match="--search"):
        wishes.search("bisect")


def test_a_budget_in_time_goes_on_with_what_is_left():
    shares = BudgetSplit(["a", "b"], us=100_000_000, clock=VirtualClock())
    shares.begin(lambda: 50.0)
    until_us = shares.first("a").until_us
    assert until_us is not None
    assert 0 < until_us - shares.clock.now_us <= 25_000_000
