"""A live campaign asks the search, makes second cuts, looks into what is abnormal, and is taken up again."""

from __future__ import annotations

import json

import pytest

from harness.base.errors import CallerError
from harness.campaign.home import go_home
from harness.campaign.recheck import KINDS
from harness.campaign.timed_live import LiveCampaign
from harness.model.row import is_covering
from harness.report.schema import EvidenceLine
from harness.search.bounds import reproduction, upper_bound
from harness.search.stopping import Allowance
from support.emulator.emulated import cut, tiny
from support.terms import terms

OVER = "fido2.make_credential.over"
REGISTER = "fido2.make_credential.non_resident"
LOGIN = "fido2.get_assertion"


@pytest.fixture
def start():
    rigs = []

    def make(*arguments, **options):
        rigs.append(tiny(*arguments, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def campaign_on(rig, name, *, rechecks=KINDS, **more):
    return LiveCampaign(rig, rig.key.operations[name], go_home(rig), terms(**more), rechecks=rechecks)


@pytest.fixture(scope="module")
def torn():
    """A campaign into a window of 60 ms, with all that it finds out about it."""
    rig = tiny("neither")
    try:
        yield cut(rig, OVER, 14, rechecks=2)
    finally:
        rig.close()


def test_its_rows_are_evidence(torn):
    result, _ = torn
    for row in result.rows:
        EvidenceLine.model_validate(json.loads(json.dumps(row)), strict=False)
        if row["planned"]["marker"] != "end":
            earliest, latest = row["lost"]
            assert row["fired_us"] <= earliest <= latest <= row["acted_us"], "its process was seen to end"
    streams = [row["stream"] for row in result.rows]
    assert {"cover", "refine", "nested", "replay"} <= set(streams)
    (nested,) = (row for row in result.rows if row["stream"] == "nested")
    assert nested["planned"]["nested"]["boot"] == 1
    assert nested["boots"] >= 2


def test_an_abnormal_outcome_is_looked_into(torn):
    result, _ = torn
    (finding,) = result.findings
    again = finding.again
    # A window of 60 ms: on a busy host the process is late, and some repetitions fall beside it.
    came_back, tries = again["reproduced"]
    assert came_back >= 2
    assert tries == 5
    assert again["interval"] == pytest.approx(reproduction(came_back, tries), abs=1e-4)
    assert (again["read"], again["cycle"]) == (["torn"] * 3, ["torn"] * 2)
    assert again["metastable"] is False
    assert again["history"] == [], "each cut starts from a restored key"
    (row,) = (row for row in result.rows if "again" in row)
    repeated = [one for one in result.rows if one["stream"] == "replay"]
    assert {one["id"] for one in repeated} == {row["id"]}
    assert len(repeated) == 5


def test_only_covering_cuts_count_for_the_bound(torn):
    result, _ = torn
    covering = [row for row in result.rows if is_covering(row)]
    failures = sum(1 for row in covering if row["outcome"] == "torn")
    assert 0 < len(covering) < 14
    assert result.bound["below"] == pytest.approx(upper_bound(failures, len(covering)), abs=1e-8)
    assert result.findings[0].covering == failures < result.findings[0].count


def test_a_finding_lies_between_sound_instants(torn):
    result, campaign = torn
    place = result.findings[0].narrowest
    known = campaign.prepared.profile
    before, behind = place["sound_before_us"] or 0, place["sound_after_us"] or known.whole_us
    assert before <= place["from_us"] <= place["to_us"] <= behind
    assert " ms after " in place["text"]


@pytest.mark.long
def test_it_is_taken_up_where_it_was(start, torn):
    """What was judged is not cut again, and what follows is what would have followed."""
    rig = start("neither")
    kept = []
    first = campaign_on(rig, OVER, cuts=14, rechecks=2, on_judged=kept.extend)
    real = first.runner.attempt

    def stops(plan, lead_us=0):
        if len(kept) == 8:
            raise KeyboardInterrupt
        return real(plan, lead_us)

    first.runner.attempt = stops
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert len(kept) == 8
    kept = [type(one)(*json.loads(json.dumps([one.row, one.note]))) for one in kept]
    second = campaign_on(start("neither"), OVER, cuts=14, rechecks=2, earlier=kept)
    attempts = []
    attempt = second.runner.attempt
    second.runner.attempt = lambda *how: attempts.append(how) or attempt(*how)
    result = second.run()
    assert result.rows[:8] == [one.row for one in kept]
    assert len(attempts) == len(result.rows) - 8
    assert second.prepared.profile.row() == kept[0].note["known"]
    assert result.complete
    assert [row["stream"] for row in result.rows].count("replay") == 5


def test_another_plan_is_not_continued(start):
    kept = []
    campaign_on(start(), LOGIN, cuts=3, on_judged=kept.extend).run()
    kept[2].row["id"] = kept[2].row["id"].replace("us:", "9us:")
    with pytest.raises(CallerError, match="journal of fido2"):
        campaign_on(start(), LOGIN, cuts=3, earlier=kept).run()


def test_it_goes_on_with_more(start):
    campaign = campaign_on(start(), LOGIN, cuts=3)
    assert len(campaign.run().rows) == 4
    result = campaign.more(Allowance(5))
    assert len(result.rows) == 6
    assert campaign.planned == 5
    assert result.complete


def test_bursts_and_rests_are_made(start):
    """Short and long times without power, several boots that are cut: each as evidence says."""
    campaign = campaign_on(start(), LOGIN, cuts=0)
    campaign.run()
    for stream, check in (
        ("burst", lambda row: len(row["planned"]["burst"]) == 3 and row["boots"] >= 4),
        ("rest", lambda row: row["planned"]["off_us"] > 0),
    ):
        plan = campaign.schedule._special(stream)
        began_us = campaign.rig.clock.now_us
        row = campaign.make(plan).row
        assert row["stream"] == stream
        assert check(row)
        assert row["outcome"] in ("old", "new")
        assert campaign.rig.clock.now_us - began_us >= plan.off_us


def test_an_instant_that_is_cut_again_because_it_was_missed_is_another_cut(start):
    """Where each cut went is one row with an id of its own."""
    campaign = campaign_on(start(), LOGIN, cuts=8)
    made, times = campaign.make, []

    def make(plan):
        judged = made(plan)
        if plan.stream == "cover":
            again = any(abs(plan.time_us - time_us) <= 8 for time_us in times)
            times.append(plan.time_us)
            if not again:
                judged.row["landed"] = None
        return judged

    campaign.make = make
    rows = [row for row in campaign.run().rows if row["stream"] != "replay"]
    assert len(times) > len({time_us // 100 for time_us in times}), "the search asks for some of them again"
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)


@pytest.mark.long
def test_the_shortest_history_is_found_where_no_state_is_put_back(start, monkeypatch):
    rig = start("forget-at-the-second")
    monkeypatch.setattr(type(rig), "vault", None)
    result, _ = cut(rig, REGISTER, 3, rechecks=1)
    finding = next(finding for finding in result.findings if finding.outcome == "lost")
    # Of five repetitions; a busy host lets some of them miss.
    assert finding.again["reproduced"][0] >= 2
    assert len(finding.again["history"]) == 1, "it needs one cut before it, and no more"


def test_a_random_search_only_covers(start):
    result, _ = cut(start(), LOGIN, 6, strategy="random")
    assert {row["stream"] for row in result.rows} == {"cover"}
