"""The search by time on twins, against what the walk of every flash operation knows to be there."""

from __future__ import annotations

import pytest

from benchmarks import by_time
from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.timed_twin import TimedCampaign, cut_at_us
from harness.campaign.worker_pool import WorkerPool
from harness.model.row import Judged, is_covering
from harness.report.schema import EvidenceLine
from harness.search.search import Strategy
from harness.search.stopping import Allowance, Goal
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.trace import images
from support.terms import terms

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]
WRONG = "fido2.client_pin.wrong"


@pytest.fixture(scope="module")
def bad():
    """A twin whose free guesses are a window of known width."""
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(defects=("pin-compared-first",)), 1, expendable=True)
    return rig, go_home(rig)


def timed(pair, name=WRONG, **more):
    rig, home = pair
    return TimedCampaign(rig, KEY.operations[name], home, terms(**{"processes": 2, "cuts": 40, **more}))


@pytest.fixture(scope="module")
def done(bad):
    campaign = timed(bad)
    return campaign, campaign.run()


def test_rows_are_evidence_of_cuts_in_time(done):
    campaign, result = done
    assert len(result.rows) == campaign.planned + 1
    for row in result.rows:
        EvidenceLine.model_validate(row, strict=False)
        assert row["planned"]["marker"] in {name for name, _ in campaign.schedule.profile.markers} | {"end"}
    assert {row["stream"] for row in result.rows} == {"cover", "refine", "nested", "burst"}
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


def test_the_boots_after_a_cut_are_cut_as_they_would_be_live(bad):
    """In each boot of a burst the power fails where it was planned, inside a write if there is one."""
    campaign = timed(bad)
    trace, glass, rig = campaign.prepare().trace, campaign.glass, campaign.rig
    ((_, state),) = images(trace, [cut_at_us(trace, trace.ops[3].start_us + 30)])
    glass.restore(state)
    first = glass.record(rig.power.on)
    op = next(op for op in first.ops if op.kind == "erase")
    at_us = (op.start_us + op.end_us) // 2 - first.start_us
    computed = campaign._after_boots(state, [at_us, at_us, 399_999])

    def live(_: int) -> tuple[bool, bytes]:
        left = state
        for _ in range(2):
            glass.restore(left)
            boot = glass.record(rig.power.on)
            cut = cut_at_us(boot, boot.start_us + at_us)
            glass.restore(left)
            fired = cut.phi > 0 and glass.cut_live(rig.power.on, cut.flash_op, cut.phi)
            left = glass.snapshot()
        glass.restore(left)
        rig.power.on()
        rig.power.off()
        return fired, glass.snapshot().digest()

    got = []
    WorkerPool(live, 1).run(1, lambda _, found: got.append(found))
    assert got == [(True, computed.digest())]
    assert computed.digest() != state.digest()


def test_a_cut_in_the_boot_after_it_is_repeated_from_its_label(done, bad):
    _, result = done
    row = next(row for row in result.rows if row["stream"] == "nested")
    again = timed(bad)
    assert again.replay(row["id"].split(":")[3])[0]["changed"] == row["changed"]
    assert again.replayed_at.endswith("ms into the boot after it")
    assert again.result.live_checked == 0


def test_a_goal_ends_it(bad):
    result = timed(bad, "fido2.client_pin.change", cuts=None, allowance=Allowance(goal=Goal(0.9, 0.2))).run()
    covering = sum(map(is_covering, result.rows))
    assert Goal(0.9, 0.2).cuts <= covering < Goal(0.9, 0.2).cuts + 8
    assert result.bound == {"confidence": 0.9, "below": pytest.approx(1 - 0.1 ** (1 / covering))}
    assert result.window_ms > 0


def test_an_instant_is_a_flash_operation_and_how_far_it_got(bad):
    campaign = timed(bad)
    trace = campaign.prepare().trace
    op = trace.ops[3]
    assert cut_at_us(trace, (op.start_us + op.end_us) / 2).phi == 0.5
    assert cut_at_us(trace, op.start_us).phase == "before"
    between = cut_at_us(trace, trace.start_us)
    assert (between.flash_op, between.phi) == (1, 0.0)
    assert cut_at_us(trace, trace.end_us + 1).phase == "end"


def test_a_bug_that_is_not_listed_is_looked_for_where_it_shows(monkeypatch):
    monkeypatch.delitem(by_time.WHERE, "pin-lost-rename")
    monkeypatch.setattr(by_time, "missing", lambda rig, home, one: "client_pin" not in one.name or None)
    found = by_time.window("pin-lost-rename", ("vdc",), 100, 1)
    assert found.operation == "fido2.client_pin.change"


def check(defect: str, *others: Strategy) -> by_time.Window:
    """A search by time finds a bug that the walk knows; other strategies may, too."""
    found = by_time.window(defect, ("hybrid", *others), salts=1)
    assert found.first["hybrid"] is not None
    return found


def test_it_finds_what_the_walk_knows():
    assert 0.01 < check("pin-compared-first").share < 1


def test_it_finds_what_shows_without_a_cut():
    assert check("counter-in-ram", "random").first == {"hybrid": 0, "random": 0}


@pytest.mark.long
@pytest.mark.parametrize("defect", ["reset-wrong-order", "credential-in-place", "worn-journal"])
def test_it_finds_known_bugs(defect):
    """One of each layer: an application's order, a file's content, the flash layer. `script/bench` tries them all."""
    check(defect)
