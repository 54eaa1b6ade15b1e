"""How a session splits a budget over the rigs that can be cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import RigError
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.safety import quarantine

RIG = '[[rig]]\nname = "{}"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = {}\n'
REAL = RIG.replace("virtual", "usb") + 'port = "1-1.7.{}"\n[rig.power]\ndriver = "hand"\n'


def session_of(tmp_path, rigs, **wanted):
    bench = tmp_path / "bench.toml"
    bench.write_text("".join(rigs))
    return Session(Wanted(bench, operations=("fido2.reset", "fido2.get_assertion"), seed=1, **wanted))


@pytest.fixture(scope="module")
def two_rigs(tmp_path_factory):
    rigs = [RIG.format("a", "true"), RIG.format("b", "true"), RIG.format("read-only", "false")]

    def make(**wanted):
        return session_of(tmp_path_factory.mktemp("bench"), rigs, **wanted)

    return make


@settings(max_examples=30)
@given(cuts=st.integers(1, 60))
def test_a_budget_in_cuts_is_shared_out_to_the_rigs_that_are_cut(two_rigs, cuts):
    session = two_rigs(cuts=cuts)
    of_each = [session.shares(rig).cuts for rig in ("a", "b")]
    assert sum(of_each) == cuts
    # Equal shares are of operations: what does not go round goes to the first ones.
    assert max(of_each) - min(of_each) <= len(session.wanted.operations)


@pytest.mark.parametrize("how", ["found by this process", "told by the launcher"])
def test_the_share_of_a_rig_that_is_not_there_goes_to_the_others(two_rigs, how):
    if how == "told by the launcher":
        session = two_rigs(cuts=31, budget_us=60_000_000, absent=("b",))
    else:
        session = two_rigs(cuts=31, budget_us=60_000_000)
        session.absent["b"] = RigError("no hub")
    assert (session.shares("a").cuts, session.shares("a").us) == (31, 60_000_000)


def test_the_share_of_a_rig_in_quarantine_goes_to_the_others(own_state, tmp_path):
    session = session_of(tmp_path, [RIG.format("a", "true"), REAL.format("b", "true", 1)], cuts=31)
    port = session.bench.usb_port("b")
    assert port == "1-1.7.1"
    quarantine.put(port, "its key did not come back")
    assert session.shares("a").cuts == 31
