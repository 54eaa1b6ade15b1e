"""Goals on real keys: bounds for each key and together, keys, nights, homes, missed cuts, and what is left."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.versions import version_key
from harness.qualify.cells import Cell, weakest
from harness.qualify.counted import Campaign, CountedRun
from harness.qualify.evidence import deviations
from harness.qualify.findings import Finding, clean_cuts_for, findings_of, waive
from harness.qualify.night import _cuts, _home
from harness.qualify.plan import BenchUse, Bound, Plan
from harness.qualify.ruling import rule
from harness.qualify.wear import left_of
from harness.search.bounds import upper_bound

PLAN = {
    "schema": 1,
    "id": "Q-1",
    "product": {"key": "k"},
    "firmware": {"version": "1.9.0"},
    "bench": [{"file": "lab.toml", "kind": "hardware", "homes": ["fresh", "aged"]}],
    "roles": {"executor": "A", "reviewer": "B", "approver": "C"},
}
GOAL = Bound(confidence=0.95, below=0.05, min_keys=2, min_nights=2)
TODAY = date(2026, 11, 20)


def campaign(
    key: str = "uuid:1",
    night: str = "2026-11-01",
    home: str = "fresh",
    cuts: int = 30,
    bad: int = 0,
    missed: int = 0,
    **more: object,
) -> Campaign:
    run = CountedRun(
        f"run-{night}-{key}",
        "mini",
        key,
        "hardware",
        "1.9.0",
        None,
        f"{night}T22:00:00Z",
        "pass",
        "0.1",
        "1",
        Path(),
        False,
    )
    ids = {f"{run.run}.{n}": n < bad for n in range(cuts)}
    made = Campaign(
        run, "op", None, cuts, cuts, bad, bad, missed, cuts + missed, homes={home: [cuts, bad]}, ids=ids
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def cell(*campaigns: Campaign, goal: Bound = GOAL) -> Cell:
    return Cell("op", None, "hardware", goal, list(campaigns))


def test_the_bound_stands_for_each_key_and_for_all_together():
    it = cell(campaign("uuid:1", cuts=30), campaign("uuid:2", cuts=40, night="2026-11-02"))
    assert it.missing() == []
    table = it.table()
    assert [one["covering_cuts"] for one in table["keys"]] == [30, 40]
    assert table["below"] == pytest.approx(upper_bound(0, 70, 0.95))
    assert table["keys"][0]["below"] == pytest.approx(upper_bound(0, 30, 0.95))
    assert table["combined_assumes"] == "the keys are taken as alike"


@pytest.mark.parametrize(
    ("campaigns", "lacks"),
    [
        ([campaign(cuts=60)], ["1 of 2 keys", "1 of 2 nights"]),
        ([campaign(cuts=60), campaign("uuid:2")], ["1 of 2 nights"]),
        ([campaign(cuts=20), campaign("uuid:2", "2026-11-02", cuts=20)], ["40 of 59 evenly spread cuts"]),
    ],
)
def test_what_a_goal_lacks_is_said(campaigns, lacks):
    assert cell(*campaigns).missing() == lacks


def test_a_window_that_is_too_wide_is_said():
    goal = Bound(confidence=0.95, below=0.05, max_window_ms=5)
    assert cell(campaign(cuts=60, window_ms=4.0), goal=goal).missing() == []
    assert "windows wider than 5 ms" in cell(campaign(cuts=60, window_ms=12.0), goal=goal).missing()[0]
    assert "no window is known" in cell(campaign(cuts=60), goal=goal).missing()[0]


@given(st.integers(0, 4))
def test_with_the_cuts_that_are_left_the_goal_is_reached(bad):
    goal = Bound(confidence=0.95, below=0.05)
    it = cell(campaign(cuts=20, bad=bad), goal=goal)
    left = it.left()
    assert left > 0
    assert cell(campaign(cuts=20 + left, bad=bad), goal=goal).missing() == []


def test_the_weakest_operation_comes_first():
    cells = [cell(campaign(cuts=100)), cell(campaign(cuts=30)), cell()]
    assert weakest(cells) == [cells[2], cells[1], cells[0]]


def test_the_home_with_the_fewest_cuts_is_next():
    use = BenchUse(file="lab.toml", kind="hardware", homes=["fresh", "aged"])
    assert _home(use, [cell()]) == "fresh"
    assert _home(use, [cell(campaign(home="fresh"))]) == "aged"
    assert _home(use, [cell(campaign(home="fresh"), campaign(home="aged", cuts=31))]) == "fresh"


def ruled(*cells: Cell, plan: dict | None = None, findings: list[Finding] | None = None):
    return rule(Plan.model_validate({**PLAN, **(plan or {})}), cells, findings or [], [], [], TODAY)


def test_too_many_missed_cuts_are_not_yet():
    whole = [campaign(cuts=60), campaign("uuid:2", "2026-11-02", cuts=60, missed=5)]
    verdict = ruled(cell(*whole))
    assert verdict.word == "not yet"
    assert "5 of 125 cuts were missed" in verdict.reasons[0]
    assert ruled(cell(*whole), plan={"decision": {"missed_max": 0.05}}).word == "qualified"


def test_after_the_stop_date_what_is_open_decides():
    assert ruled(cell(campaign())).word == "not yet"
    verdict = ruled(cell(campaign()), plan={"decision": {"stop": date(2026, 11, 19)}})
    assert verdict.word == "not qualified"
    assert "by 2026-11-19" in verdict.reasons[0]


def found(**more: object) -> dict:
    row = {
        "operation": "op",
        "home": "fresh",
        "item": "pin",
        "law": "kept",
        "outcome": "lost",
        "severity": "S1",
    }
    return {**row, "count": 1, "covering_count": 1, "first": "kh1:x", **more}


def test_an_s1_that_was_seen_once_stays_open():
    once = campaign(cuts=459, bad=1, findings=[found(again={"reproduced": [0, 5]})])
    (finding,) = findings_of([once])
    assert (finding.state, finding.hits) == ("unexplained", (1, 459))
    verdict = ruled(cell(once), findings=[finding])
    assert verdict.word == "not qualified"
    assert "1 of 459 cuts; it did not come back, and stays open" in verdict.reasons[0]
    (finding,) = findings_of([once, campaign("uuid:2", cuts=100, bad=1, findings=[found()])])
    assert (finding.state, finding.hits) == ("new", (2, 559))


def test_a_cosmetic_finding_decides_nothing():
    (finding,) = findings_of([campaign(bad=1, findings=[found(severity="S3")])])
    assert finding.state == "cosmetic"
    whole = [campaign(cuts=60, bad=0), campaign("uuid:2", "2026-11-02", cuts=60)]
    assert ruled(cell(*whole), findings=[finding]).word == "qualified"


def test_what_a_killed_campaign_violated_is_severe_until_somebody_knows():
    (finding,) = findings_of([campaign(bad=2)])
    assert (finding.severity, finding.state) == ("S1", "new")


def waiver(**more: object) -> dict:
    made = {
        "id": "W-1",
        "severity": "S1",
        "firmware_from": "1.8.0",
        "firmware_to": "1.9.1",
        "ceiling": (2, 100),
        "impact": "i",
        "ticket": "T",
        "approver": ["J.D.", "M.R."],
        "until": {"date": date(2026, 12, 1), "version": "1.9.2"},
        "finding": {"operation": "op", "item": "pin", "law": "kept"},
    }
    return {**made, **more}


@pytest.mark.parametrize(
    ("change", "bad", "state"),
    [
        ({}, 1, "used"),
        ({}, 2, "used"),
        ({}, 3, "exceeded"),
        ({"firmware_to": "1.8.9"}, 1, "expired"),
        ({"until": {"date": date(2026, 11, 19), "version": "1.9.2"}}, 1, "expired"),
        ({"until": {"date": date(2026, 11, 20), "version": "1.9.0"}}, 1, "expired"),
        ({"severity": "S2", "approver": ["J.D."]}, 1, "exceeded"),
        ({"finding": {"operation": "op", "item": "pin", "law": "kept", "home": "aged"}}, 1, "unused"),
        ({"finding": {"operation": "op", "item": "pin", "law": "kept", "window_ms": 2.0}}, 1, "used"),
        ({"finding": {"operation": "op", "item": "pin", "law": "kept", "window_ms": 1.0}}, 1, "exceeded"),
    ],
)
def test_a_waiver_holds_for_what_it_names(change, bad, state):
    rows = [found(count=bad, covering_count=bad, narrowest={"from_us": 3000, "to_us": 4500})]
    findings = findings_of([campaign(cuts=100, bad=bad, findings=rows)])
    plan = Plan.model_validate({**PLAN, "waiver": [waiver(**change)]})
    (held,) = waive(findings, plan, TODAY)
    assert held.state == state
    assert (findings[0].state == "waived") is (state == "used")


@given(st.integers(1, 20), st.integers(1, 500))
def test_so_many_clean_cuts_show_a_finding_with_its_earlier_rate(k, more):
    n = k + more
    takes = clean_cuts_for(k, n)
    assert takes is not None
    assert 1 - (1 - k / n) ** takes >= 0.95 - 1e-9
    assert takes == 1 or 1 - (1 - k / n) ** (takes - 1) < 0.95


def test_versions_are_ordered_by_their_numbers():
    drawn = ["1.10.0", "1.9.0", "v1.9.0-rc.1", "1.9.1"]
    assert sorted(drawn, key=version_key) == ["v1.9.0-rc.1", "1.9.0", "1.9.1", "1.10.0"]


def test_left_says_cuts_hours_erases_keys_and_when_the_spares_run_out():
    made = campaign(cuts=30, duration_s=300.0, wear=[{"what": "page 1", "used": 60, "limit": 10_000}])
    it = cell(made)
    samples = [
        {"key": "uuid:1", "used": 9_960, "limit": 10_000, "retired": None, "spare": False},
        {"key": "uuid:2", "used": 0, "limit": None, "retired": None, "spare": True},
    ]
    left = left_of([it], samples, [made])
    assert left["cuts"] == 29
    assert left["hours"] == pytest.approx(29 * 10 / 3600, abs=0.01)
    assert (left["erases"], left["keys"], left["spares"]) == (58, 1, 1)
    assert left["keys_run_out"] == {"after_cuts": 20, "enough": False}


def test_a_waiver_is_held_against_each_finding_by_itself():
    """It names no home: one home exceeds the ceiling, the other one does not."""
    homes = {"aged": [100, 50], "fresh": [100, 1]}
    rows = [found(count=50, covering_count=50, home="aged"), found()]
    findings = findings_of([campaign(cuts=200, bad=51, homes=homes, findings=rows)])
    (held,) = waive(findings, Plan.model_validate({**PLAN, "waiver": [waiver()]}), TODAY)
    assert held.state == "exceeded"
    assert {one.print[3]: one.state for one in findings} == {"aged": "new", "fresh": "waived"}
    assert "50 of 100 cuts show it" in str(held.why)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_waivers_of_a_finding_the_one_that_holds_is_named(order):
    both = [waiver(), waiver(id="W-2", until={"date": date(2026, 11, 19), "version": "1.9.2"})]
    findings = findings_of([campaign(cuts=100, bad=1, findings=[found()])])
    plan = Plan.model_validate({**PLAN, "waiver": [both[at] for at in order]})
    states = {one.waiver.id: one.state for one in waive(findings, plan, TODAY)}
    assert states == {"W-1": "used", "W-2": "expired"}
    assert [(one.state, one.waiver, one.why) for one in findings] == [("waived", "W-1", None)]


def test_release_candidates_are_ordered_by_their_numbers():
    assert version_key("1.9.0-rc.2") < version_key("1.9.0-rc.10") < version_key("1.9.0")
    assert version_key("1.9") == version_key("1.9.0")


def test_what_a_model_costs_says_nothing_of_a_real_key():
    real = campaign(cuts=30, duration_s=300.0, wear=[{"what": "page 1", "used": 60, "limit": 10_000}])
    model = campaign(cuts=3_000, duration_s=3.0)
    model.of = replace(model.of, kind="twin")
    samples = [{"key": "uuid:1", "used": 9_960, "limit": 10_000, "retired": None, "spare": False}]
    left = left_of([cell(real)], samples, [real, model])
    assert left["hours"] == pytest.approx(29 * 10 / 3600, abs=0.01)
    assert left["erases"] == 58
    assert left["keys_run_out"] == {"after_cuts": 20, "enough": False}
    assert left_of([cell()], samples, [model])["hours"] is None


def test_a_second_night_of_a_sample_cuts_each_operation():
    goal = Bound(models="sample", cuts=20, min_nights=2)
    cells = [Cell(name, None, "twin", goal, [campaign(cuts=20)]) for name in ("a", "b", "c")]
    assert [one.left() for one in cells] == [0, 0, 0]
    assert _cuts(cells) == 3


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("A.K.", "M.R.", "J.D."), []),
        (("A.K.", "a. k.", "J.D."), ["one person, A.K., is executor and reviewer"]),
        (("A.K.", "M.R.", "AK"), ["one person, A.K., is executor and approver"]),
        (("A", "B", "B"), ["one person, B, is reviewer and approver"]),
        (("A", "A", "A"), ["one person, A, is executor, reviewer and approver"]),
        (("...", "---", "J.D."), []),
    ],
)
def test_roles_that_one_person_holds_stand_on_the_page(names, said):
    roles = dict(zip(("executor", "reviewer", "approver"), names, strict=True))
    assert deviations(Plan.model_validate({**PLAN, "roles": roles}), [], [], []) == said


def test_a_merged_run_of_this_plan_is_no_deviation():
    plan = Plan.model_validate(PLAN)
    mine = campaign().of
    merged = replace(mine, run="merged", digest=plan.digest)
    outside = replace(mine, run="outside")
    (said,) = deviations(plan, [merged, outside], [], [plan.digest])
    assert said == "1 runs were begun without this plan and count as well: outside"
