"""A campaign by itself: what is recorded, computed, cut live and counted."""

from __future__ import annotations

import dataclasses

import pytest

from harness.base.errors import CallerError, HarnessFault, KeyFault
from harness.base.seeds import child
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.walk import Campaign, spread
from harness.model.outcome import Law, Outcome
from harness.search.stopping import Allowance
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness.twin.trace import all_cuts, images
from support.terms import terms

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]


def rig_with(**options):
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(**options), 1, expendable=True)
    return rig, go_home(rig)


@pytest.fixture(scope="module")
def sound():
    return rig_with()


def campaign(pair, name, **more):
    rig, home = pair
    return Campaign(rig, KEY.operations[name], home, terms(**{"processes": 2, **more}))


def test_every_cut_is_judged_and_equal_images_are_observed_once(sound):
    rows = []
    run = campaign(sound, "fido2.client_pin.change", on_rows=rows.extend)
    result = run.run()
    ops = len(result.trace.ops)
    first = [row for row in result.rows if row["stream"] == "exhaustive"]
    assert len(first) == ops * (4 + 2) + 1
    assert result.distinct_states < len(result.rows) / 1.5
    assert rows == result.rows, "evidence is handed on as it comes, in plan order"
    assert result.exhaustive
    assert result.complete
    assert not result.findings


@pytest.mark.parametrize("budget", [{"cuts": 2}, {"cuts": 40}, {"allowance": Allowance(until_us=0)}])
def test_a_sample_looks_at_what_was_acknowledged(sound, budget):
    """A write that is acknowledged and lives in RAM alone shows at one cut: the last."""
    result = campaign(sound, "fido2.credential_management.delete", **budget).run()
    assert not result.exhaustive
    assert [row["acknowledged"] for row in result.rows].count(True) >= 1


def test_a_sample_is_cut_live_and_leaves_the_computed_image(sound):
    result = campaign(sound, "fido2.client_pin.wrong").run()
    assert result.live_checked == 3


def test_a_live_cut_that_leaves_another_image_is_the_harness_fault(sound, monkeypatch):
    """The check can fail: let the live cut tear elsewhere."""
    rig, _ = sound
    monkeypatch.setattr(rig.board.rail, "seed", child(2, "other"))
    run = campaign(sound, "fido2.client_pin.wrong")
    run.prepare()
    cuts = [cut for cut in all_cuts(run.prepared.trace, 4) if cut.phase == "torn2"]
    monkeypatch.setattr(rig.board.rail, "seed", child(3, "third"))
    with pytest.raises(HarnessFault, match="another image"):
        run._check_live(cuts)


def test_a_cut_that_never_fires_is_no_pass(sound, monkeypatch):
    rig, _ = sound
    monkeypatch.setattr(rig.board.rail, "arm_op", lambda flash_op, phi: None)
    with pytest.raises(HarnessFault, match="never fired"):
        campaign(sound, "fido2.client_pin.wrong").run()


def test_images_run_from_before_to_after(sound):
    run = campaign(sound, "fido2.get_assertion")
    trace = run.prepare().trace
    states = [state for _, state in images(trace, all_cuts(trace, 4))]
    assert states[0].digest() == trace.base.digest()
    assert states[-1].digest() == trace.final.digest()


def test_a_key_that_is_not_expendable_is_never_written_to():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(), 1, expendable=False)
    before = rig.inside.snapshot().digest()
    with pytest.raises(CallerError, match="expendable"):
        go_home(rig)
    assert rig.inside.snapshot().digest() == before


def test_a_key_that_forgets_without_any_cut_is_caught_before_the_first_one():
    with pytest.raises(KeyFault, match="before anything was cut"):
        campaign(rig_with(defects=("counter-in-ram",)), "fido2.client_pin.verify").prepare()


def test_an_operation_whose_act_does_nothing_is_not_new(sound):
    """A worlds table that no act fulfils must not pass: the acknowledged end is judged against the new world."""
    rig, home = sound
    real = KEY.operations["fido2.client_pin.change"]
    lazy = dataclasses.replace(real, act=lambda rig, memory: real.act(rig, memory.copy()))
    result = Campaign(rig, lazy, home, terms(processes=2)).run()
    assert any(finding.item == "fido2.pin" for finding in result.findings)


def test_free_guesses_are_found_although_each_outcome_alone_is_legal():
    result = campaign(rig_with(defects=("pin-compared-first",)), "fido2.client_pin.wrong").run()
    (finding,) = result.findings
    assert finding.item == "fido2.pin_retries"
    assert finding.outcome is Outcome.LOOSENED
    assert finding.law == Law.FALLING
    assert "fido2.client_pin.verify" in finding.text


def test_spread_takes_one_of_each_equal_part():
    chosen = spread(range(100), 10, b"s" * 32)
    assert [value // 10 for value in chosen] == list(range(10))
    assert spread(range(3), 10, b"s" * 32) == [0, 1, 2]
