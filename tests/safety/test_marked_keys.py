"""Keys without a serial number: known by a mark, which a reset removes."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fido2.ctap import CtapError

from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.timed_live import LiveCampaign
from harness.evidence.ledger import Ledger
from harness.model.rig import KeyGone
from harness.safety.budget import BudgetExhausted, Grants
from harness.safety.claim import Claims
from harness.safety.identity_guard import AnotherKey
from harness.safety.power_journal import PowerLog
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.client import Fido
from harness_fido2.ownership import mark, marker
from support.lab import TwinKey
from support.terms import terms
from support.usb import PORT, laboratory, make_rig


class Anonymous(TwinRig):
    """A rig of hardware with a key that tells no serial number.

    :ivar replugs: how often it was unplugged and plugged in again by a hand.
    """

    evidence_kind = "hardware"
    vault = None
    replugs = 0

    @property
    def presence(self):
        known = super().presence
        return replace(known, enumeration=(known.enumeration, self.replugs), interruptions=self.replugs)


def anonymous():
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = Anonymous("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.key = without_serial(rig.key)
    return rig


def without_serial(key):
    return replace(key, identify=lambda rig: {"firmware": "v1"})


def claims_for(made, **grants):
    policy = SimpleNamespace(identity=f"marker:{made}", bootloader=None, budget=Grants(**grants))
    return Claims(lambda name: policy, "test")


@pytest.fixture
def nk3(own_state):
    return anonymous()


@pytest.fixture
def claimed(nk3):
    """The rig, claimed, with its key on; and the key's mark."""
    nk3.power.on()
    nk3.power.off()
    nk3.empty = nk3.inside.snapshot()
    nk3.power.on()
    made = mark(nk3)
    claims = claims_for(made)
    claims.take(nk3)
    yield nk3, made
    claims.release()


def put_in(rig, state):
    """Another key of the model, in this state, while the power is off."""
    rig.power.off()
    rig.inside.restore(state)
    rig.power.on()


def reset(rig):
    rig.power.cycle()
    with rig.touch.pressing():
        Fido(rig).ctap.reset()


def test_a_key_that_was_reset_is_the_same_as_long_as_only_our_switch_interrupted_it(claimed):
    rig, made = claimed
    reset(rig)
    for _ in range(2):
        rig.power.cycle()
        Fido(rig)
    rig.transports.guard.looked_at()
    assert marker(rig) == made, "marked again when it was looked at"
    rig.power.cycle()
    Fido(rig)


def test_an_empty_key_that_nothing_has_reset_is_another_one(claimed):
    rig, _ = claimed
    put_in(rig, rig.empty)
    with pytest.raises(AnotherKey) as stopped:
        Fido(rig)
    assert stopped.value.found == "an empty key without a mark, though nothing has reset the key"


@pytest.mark.parametrize("then", ["at once", "power cycle"])
def test_an_empty_key_after_somebody_else_interrupted_the_port_is_another_one(claimed, then):
    rig, _ = claimed
    reset(rig)
    rig.replugs += 1
    if then == "power cycle":
        rig.power.cycle()
    with pytest.raises(AnotherKey) as stopped:
        Fido(rig)
    assert "after something else had interrupted its port" in stopped.value.found


def test_a_rig_that_cannot_tell_what_interrupted_its_port_accepts_no_empty_key(claimed, monkeypatch):
    rig, _ = claimed
    reset(rig)
    monkeypatch.setattr(type(rig), "presence", None)
    with pytest.raises(AnotherKey):
        Fido(rig)


def test_a_key_with_another_mark_is_another_one(claimed):
    rig, _ = claimed
    other = anonymous()
    other.power.on()
    theirs = mark(other)
    other.power.off()
    put_in(rig, other.inside.snapshot())
    with pytest.raises(AnotherKey) as stopped:
        Fido(rig)
    assert stopped.value.found == f"marker:{theirs}"


def test_each_proof_of_a_mark_is_paid_for(nk3):
    nk3.power.on()
    made = mark(nk3)
    claims = claims_for(made, erases_per_boot=0, erases_per_operation=3)
    claims.take(nk3)
    for _ in range(4):
        Fido(nk3)
    nk3.power.cycle()
    Fido(nk3)
    claims.budget("nk3").close()
    with Ledger() as ledger:
        table = ledger.tables.spent
        rows = ledger.rows(table.select().where(table.c.what == "erases"))
    # When it was claimed, when it was first opened after that, and after the power cycle.
    assert sum(row["amount"] for row in rows) == 3 * 3
    claims.release()


def test_a_mark_is_not_asked_for_when_that_is_not_granted(nk3):
    nk3.power.on()
    made = mark(nk3)
    claims = claims_for(made, erases=4, erases_per_boot=0, erases_per_operation=2)
    claims.take(nk3)
    Fido(nk3)
    nk3.power.cycle()
    nk3.tap.clear()
    with pytest.raises(BudgetExhausted):
        Fido(nk3)
    claims.release()
    nk3.power.on()
    assert marker(nk3) == made


@pytest.mark.long
def test_after_a_cut_into_a_reset_the_key_is_looked_at_and_marked_again(tmp_path, own_state):
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, TwinKey(1))
        rig = make_rig()
        rig.key = without_serial(rig.key)
        rig.wait_until_up()
        made = mark(rig)
        claims = claims_for(made)
        claims.take(rig)
        campaign = LiveCampaign(rig, rig.key.operations["fido2.reset"], go_home(rig), terms(1))
        result = campaign.run()
        assert len(result.rows) == 2
        assert result.violations == 0
        rig.power.on()
        rig.wait_until_up()
        assert marker(rig) == made
        claims.release()
        rig.close()


@pytest.mark.parametrize(
    "error", [CtapError(CtapError.ERR.KEY_STORE_FULL), OSError(5, "EIO"), KeyGone("gone")]
)
def test_a_key_that_refuses_its_mark_after_it_was_judged_is_marked_later(claimed, monkeypatch, error):
    rig, made = claimed
    reset(rig)
    rig.power.cycle()
    Fido(rig)

    def refuse(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("harness.safety.identity_guard.put_mark_back", refuse)
        rig.transports.guard.looked_at()
    rig.transports.guard.looked_at()
    assert marker(rig) == made


# After a run that was killed.


class Plugged(Anonymous):
    """Its enumeration is the same for each process, as that of a USB port is."""

    @property
    def presence(self):
        return replace(super().presence, enumeration=("usb", self.replugs), interruptions=self.replugs)


@pytest.fixture
def killed(own_state):
    """An empty key whose mark a killed run's reset has removed; its power is on. And its mark."""
    plugins = discover()
    rig = Plugged(
        "nk3",
        plugins.keys["nitrokey3-mini"],
        plugins.twins["nitrokey3-mini"],
        TwinOptions(),
        1,
        expendable=True,
    )
    rig.key = without_serial(rig.key)
    rig.power.on()
    rig.power.off()
    empty = rig.inside.snapshot()
    rig.power.on()
    made = mark(rig)
    child = os.fork()
    if not child:
        try:
            claims_for(made).take(rig)
            Fido(rig)
            with rig.touch.pressing():
                Fido(rig).ctap.reset()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    put_in(rig, empty)
    return rig, made


def taken(rig, made):
    claims = claims_for(made)
    try:
        claims.take(rig)
    finally:
        claims.release()


def journal():
    return PowerLog("rig nk3").path


def noted(**changed):
    path = journal()
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_after_a_run_that_was_killed_in_its_reset_the_empty_key_is_the_same(killed):
    rig, made = killed
    assert marker(rig) is None
    taken(rig, made)
    assert marker(rig) == made
    reset(rig)
    with pytest.raises(CallerError, match="another key is in it"):
        taken(rig, made)


def test_it_is_the_same_while_the_port_is_still_off(killed):
    rig, made = killed
    rig.power.off()
    noted(on=False, enumeration="")
    taken(rig, made)


def _replugged(rig):
    rig.replugs += 1


def _switched_on_by_another(rig):
    noted(on=False, enumeration="")


def _switched_off_by_another(rig):
    rig.power.off()


def _rebooted(rig):
    noted(boot="another boot of the host")


def _killed_without_a_reset(rig):
    noted(reset=False)


def _killed_by_an_older_version(rig):
    kept = json.loads(journal().read_text())
    journal().write_text(
        json.dumps({name: kept[name] for name in kept if name not in ("reset", "enumeration")})
    )


@pytest.mark.parametrize(
    "what",
    [
        _replugged,
        _switched_on_by_another,
        _switched_off_by_another,
        _rebooted,
        _killed_without_a_reset,
        _killed_by_an_older_version,
    ],
)
def test_after_anything_else_had_interrupted_its_port_an_empty_key_is_another_one(killed, what):
    rig, made = killed
    what(rig)
    for _ in range(2):
        with pytest.raises(CallerError, match="another key is in it") as refused:
            taken(rig, made)
        assert "an empty key without a mark" in refused.value.found
    rig.power.on()
    assert marker(rig) is None, "nothing was written to it"


def test_what_only_looks_in_between_does_not_lose_the_reset(killed):
    rig, made = killed
    looking = claims_for(made)
    looking.take(rig, write=False)
    looking.release()
    taken(rig, made)
    assert marker(rig) == made
