"""Power cycles that no run controlled: written down, and the key looked at, before anything is written to it."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.base.errors import PowerCameBack, Refused
from harness.bench.registry import discover
from harness.evidence.ledger import Ledger
from harness.evidence.ledger_queries import history_of, show_history
from harness.host.host import Host
from harness.model.operation import Item
from harness.model.outcome import Law
from harness.model.rig import KeyGone
from harness.safety import claim as claims_of
from harness.safety.budget import Grants
from harness.safety.claim import Claims
from harness.safety.quarantine import clear, quarantined
from harness.safety.uncontrolled import CAME_BY_ITSELF, REBOOTED, free_items
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig


class Real(TwinRig):
    """A rig that says that its key is real."""

    evidence_kind = "hardware"
    vault = None


@pytest.fixture
def nk3(own_state):
    plugins = discover()
    name = "nitrokey3-mini"
    rig = Real("nk3", plugins.keys[name], plugins.twins[name], TwinOptions(), 1, expendable=True)
    rig.power.on()
    rig.known = f"uuid:{rig.key.identify(rig)['uuid']}"
    rig.power.off()
    return rig


@pytest.fixture
def boot(monkeypatch):
    """Sets the host's boot."""

    def set_to(boot):
        monkeypatch.setattr(Host, "boot_id", lambda self: boot)

    set_to("one")
    return set_to


def use(rig, *, write=True):
    """Claim a rig, as a run does, and give it back."""
    policy = SimpleNamespace(identity=rig.known, bootloader=None, budget=Grants())
    claims = Claims(lambda name: policy, "test")
    claims.take(rig, write=write)
    claims.release()


def noted(rig):
    with Ledger() as ledger:
        return history_of(ledger, rig.known)["uncontrolled"]


def test_a_host_that_was_rebooted_has_cycled_its_keys(nk3, boot, capsys):
    use(nk3)
    use(nk3)
    assert noted(nk3) == [], "nothing is known of the time before the first use"
    boot("two")
    use(nk3)
    use(nk3)
    (row,) = noted(nk3)
    assert (row["rig"], row["why"]) == ("nk3", REBOOTED)
    assert row["seen"]["fido2.pin_retries"] == 8
    assert "admin.status" in row["seen"]
    assert "fido2.fresh_credential" not in row["seen"], "what costs something is not observed"
    assert "a power cycle that was not controlled" in capsys.readouterr().err
    with Ledger() as ledger:
        out = io.StringIO()
        show_history(history_of(ledger, nk3.known), out)
    assert f"rig nk3: {REBOOTED}" in out.getvalue()
    assert "fido2.pin_retries" in out.getvalue()


def test_a_host_that_does_not_tell_its_boot_says_nothing(nk3, boot):
    use(nk3)
    boot("")
    use(nk3)
    boot("one")
    use(nk3)
    assert noted(nk3) == []


def test_a_board_that_gave_power_in_the_run_is_noted_before_the_next_write(nk3, boot):
    """A YKUSH that restarts powers its ports: the run stops, and the next one looks at the key first."""
    policy = SimpleNamespace(identity=nk3.known, bootloader=None, budget=Grants())
    claims = Claims(lambda name: policy, "test")
    claims.take(nk3)
    claims.fault(nk3, PowerCameBack("relay 1 on ykush: the power came back by itself"))
    claims.release()
    assert noted(nk3) == []
    assert quarantined("rig nk3") is not None
    clear("rig nk3", "the board is sound")
    use(nk3)
    (row,) = noted(nk3)
    assert row["why"] == CAME_BY_ITSELF
    assert row["seen"]["fido2.pin_retries"] == 8
    use(nk3)
    assert len(noted(nk3)) == 1, "once is enough"


def test_a_cut_that_a_failed_hub_made_void_is_noted_with_what_the_key_showed(nk3, boot):
    policy = SimpleNamespace(identity=nk3.known, bootloader=None, budget=Grants())
    claims = Claims(lambda name: policy, "test")
    claims.take(nk3)
    nk3.losses.uncontrolled("hub usb:1-1.4 failed", {"fido2.pin_retries": 8, "fido2.hmac_secret": (b"a",)})
    claims.release()
    (row,) = noted(nk3)
    assert (row["rig"], row["why"]) == ("nk3", "hub usb:1-1.4 failed")
    assert row["seen"]["fido2.pin_retries"] == 8


@pytest.mark.parametrize("looked_at_in_between", [False, True])
def test_a_port_that_was_left_off_and_is_on_was_powered_by_its_board(nk3, boot, looked_at_in_between):
    use(nk3)
    assert not nk3.power.is_on
    nk3.power.on()
    if looked_at_in_between:
        use(nk3, write=False)
    use(nk3)
    (row,) = noted(nk3)
    assert row["why"] == CAME_BY_ITSELF
    use(nk3)
    assert len(noted(nk3)) == 1, "once is enough"


def test_the_key_is_looked_at_before_anything_that_costs(nk3, boot, monkeypatch):
    use(nk3)
    boot("two")
    seen = []
    monkeypatch.setattr(claims_of, "refuse_foreign", lambda rig: seen.extend(noted(rig)))
    use(nk3)
    assert [row["why"] for row in seen] == [REBOOTED]


def items(rig, *observe):
    found = tuple(Item(f"a.{number}", Law.KEPT, one) for number, one in enumerate(observe))
    rig.key = replace(rig.key, applications=(replace(rig.key.applications[0], items=found),))
    return rig


def refusing(look):
    raise Refused("the key refuses", 0x2E)


def leaving(look):
    raise KeyGone("it has gone")


def test_what_the_key_refuses_is_what_was_seen(nk3):
    assert free_items(items(nk3, lambda look: 1, refusing)) == {
        "a.0": 1,
        "a.1": "refused: the key refuses (0x2e)",
    }


def test_a_key_that_leaves_was_not_seen(nk3):
    with pytest.raises(KeyGone):
        free_items(items(nk3, leaving))
