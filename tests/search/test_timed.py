"""The search by time on twins, against what the walk of every flash operation knows to be there."""

from __future__ import annotations

import pytest

from benchmarks import by_time
from harness.allowance import Allowance, Goal
from harness.discovery import discover
from harness.errors import CallerError
from harness.evidence import Judged, is_covering
from harness.home import go_home
from harness.report.schema import EvidenceLine
from harness.timed import TimedCampaign, cut_at_us
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig

KEY = discover().keys["nitrokey3-mini"]
WRONG = "fido2.client_pin.wrong"


@pytest.fixture(scope="module")
def bad():
    """A twin whose free guesses are a window of known width."""
    rig = TwinRig("nk3", KEY, TwinOptions(defects=("pin-compared-first",)), 1, expendable=True)
    return rig, go_home(rig)


def timed(pair, name=WRONG, **more):
    rig, home = pair
    return TimedCampaign(rig, KEY.operations[name], home, **{"processes": 2, "cuts": 40, **more})


@pytest.fixture(scope="module")
def done(bad):
    campaign = timed(bad)
    return campaign, campaign.run()


def test_rows_are_evidence_of_cuts_in_time(done):
    campaign, result = done
    assert len(result.rows) == campaign.planned + 1
    for row in result.rows:
        EvidenceLine.model_validate(row, strict=False)
        assert row["planned"]["marker"] in {name for name, _ in campaign.known.markers} | {"end"}
    assert {row["stream"] for row in result.rows} == {"cover", "refine"}
    assert result.live_checked == 3
    assert not result.exhaustive


def test_a_finding_lies_where_its_cuts_were(done, bad):
    _, result = done
    (finding,) = result.findings
    place = finding.narrowest
    harmful = [row["fired_us"] for row in result.rows if row["blame"] == "key"]
    assert (place["from_us"], place["to_us"]) == (min(harmful), max(harmful))
    sound = [row["fired_us"] for row in result.rows[1:] if row["blame"] is None]
    assert place["sound_before_us"] == max(at for at in sound if at < place["from_us"])
    assert place["sound_after_us"] == min((at for at in sound if at > place["to_us"]), default=None)
    assert finding.covering == sum(1 for row in result.rows if is_covering(row) and row["blame"] == "key")
    assert result.bound["below"] > finding.covering / sum(map(is_covering, result.rows))


def test_the_same_whoever_works_and_in_how_many_parts(done, bad):
    _, whole = done
    alone = timed(bad, processes=1, cuts=16)
    alone.run()
    alone.more(Allowance(40))
    assert alone.result.rows == whole.rows


def test_what_was_judged_is_not_looked_at_again(done, bad, monkeypatch):
    _, whole = done
    kept: list[Judged] = []
    timed(bad, cuts=16, on_judged=kept.extend).run()
    looked = []
    again = timed(bad, earlier=kept, processes=1)
    real = again._judged
    monkeypatch.setattr(again, "_judged", lambda *all_of_it: looked.append(1) or real(*all_of_it))
    assert again.run().rows == whole.rows
    assert len(looked) == len(whole.rows) - len(kept)


def test_a_cut_is_repeated_from_its_label(done, bad):
    _, result = done
    row = next(row for row in result.rows if row["blame"] == "key")
    again, breaches = timed(bad).replay(row["id"].split(":")[3])
    assert again["outcome"] == row["outcome"]
    assert again["id"] == row["id"]
    assert breaches
    with pytest.raises(CallerError, match="1234us"):
        timed(bad).replay("request-sent")


def test_a_goal_ends_it(bad):
    result = timed(bad, "fido2.client_pin.change", cuts=None, allowance=Allowance(goal=Goal(0.9, 0.2))).run()
    covering = sum(map(is_covering, result.rows))
    assert Goal(0.9, 0.2).cuts <= covering < Goal(0.9, 0.2).cuts + 8
    assert result.bound == {"confidence": 0.9, "below": pytest.approx(1 - 0.1 ** (1 / covering))}
    assert result.window_ms > 0


def test_an_instant_is_a_flash_operation_and_how_far_it_got(bad):
    campaign = timed(bad)
    trace = campaign.prepare()
    op = trace.ops[3]
    assert cut_at_us(trace, (op.start_us + op.end_us) / 2).phi == 0.5
    assert cut_at_us(trace, op.start_us).phase == "before"
    between = cut_at_us(trace, trace.start_us)
    assert (between.flash_op, between.phi) == (1, 0.0)
    assert cut_at_us(trace, trace.end_us + 1).phase == "end"


QUICK = [("pin-compared-first", WRONG)]
OF_EACH_KIND = ("late-journal-replay", "settings-lost-open", "credential-in-place", "pin-lost-rename")


@pytest.mark.parametrize(("defect", "name"), QUICK)
def test_it_finds_what_the_walk_knows(defect, name):
    known = by_time.window(defect, [name], ("hybrid",), 200, 1)
    assert 0.01 < known.share < 1
    assert known.first["hybrid"] is not None


@pytest.mark.long
def test_it_finds_what_the_walk_knows_of_bugs_of_each_kind(capsys):
    """With room for chance: a window is hit by one evenly spread cut in 1 / share. `script/bench` does all bugs."""
    table = by_time.rows(OF_EACH_KIND, among=("hybrid", "random"), salts=1)
    with capsys.disabled():
        print()
        by_time.show(table)
    missed = [
        row["defect"] for row in table if row["first"]["hybrid"] is None and row["share"] > 5 / by_time.LIMIT
    ]
    assert len(table) == len(OF_EACH_KIND)
    assert not missed
