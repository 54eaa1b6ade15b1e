"""A key that is exchanged for another one: at whatever power-up that happens, nothing is written to the other one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from harness.base.errors import CallerError, RigError
from harness.campaign.home import go_home, missing_of
from harness.campaign.interruption import interrupt
from harness.campaign.observe import observe
from harness.campaign.operation_runner import OperationRunner
from harness.campaign.timed_live import LiveCampaign
from harness.safety.budget import Grants
from harness.safety.claim import Claims
from harness.safety.identity import same_serial
from harness.safety.identity_guard import AnotherKey
from harness.safety.quarantine import quarantined
from harness.search.plan import START, Plan
from harness_fido2.client import Fido
from harness_fido2.ownership import mark
from harness_nitrokey3 import containers, signing
from harness_nitrokey3.bootloader_probe import enter_bootloader
from harness_nitrokey3.images import Recipe
from harness_nitrokey3.updater import update
from harness_suites.conformance.device import Authenticator
from harness_suites.conformance.preparation import reset
from harness_transports.ctaphid import ctaphid
from harness_transports.serial import serial
from support.lab import TwinKey
from support.substitute import Exchange, Leaving, Substitute
from support.terms import terms
from support.usb import PORT, laboratory, make_rig

OTHER = "1-1.4.3"


@pytest.fixture
def lab(tmp_path, own_state):
    with laboratory(tmp_path) as lab:
        yield lab


def claimed(rig, identity=None, bootloader=None):
    """The rig's key, named and claimed as a run does."""
    rig.wait_until_up()
    named = identity or f"uuid:{rig.key.identify(rig)['uuid']}"
    policy = SimpleNamespace(identity=named, bootloader=bootloader, budget=Grants())
    claims = Claims(lambda name: policy, "test")
    claims.take(rig)
    return claims


def cut(operation):
    """One cut as a campaign makes it, and the look after it."""

    def run(rig):
        home = go_home(rig)
        runner = OperationRunner(rig, rig.cutter, rig.key.operations[operation], home)
        attempt = runner.attempt(Plan(START, 2_000, 2_000))
        observe(rig, rig.key.items, runner.memory, attempt.promise)
        rig.power.off()

    return run


def asked_what_is_missing(rig):
    home = go_home(rig)
    missing_of(rig, home, [rig.key.operations["fido2.get_assertion.resident"]])


def interrupted(rig):
    home = go_home(rig)
    rig.power.on()
    rig.wait_until_up()
    interrupt(rig, lambda: rig.key.operations["fido2.get_assertion"].act(rig, home.memory))
    rig.power.on()
    Fido(rig).make_credential("a.keyharness.example", b"a", resident=False)


def conformance(rig):
    reset(rig)
    authenticator = Authenticator(rig, None)
    authenticator.power_cycle()
    authenticator.make()


SCENARIOS = {
    "cut": (cut("fido2.get_assertion"), range(1, 8)),
    "missing": (asked_what_is_missing, range(2, 3)),
    "interrupted": (interrupted, range(3, 5)),
    "conformance": (conformance, range(1, 3)),
}
"""What is done with a key, and at which of its power-ups the key is exchanged. Those left out are of the home state,
which a cut begins with, too. Of a cut: two home states, the second with a reset; where the operation is arranged; where
it starts; the look after the cut; and the second look after a replug."""
POWER_UPS = [(name, number) for name, (_, numbers) in SCENARIOS.items() for number in numbers]
QUICK = ("cut", 1), ("cut", 6)


@pytest.mark.parametrize(
    ("name", "number"),
    [pytest.param(*one, marks=() if one in QUICK else pytest.mark.long) for one in POWER_UPS],
)
def test_a_key_that_is_exchanged_while_its_power_is_off_is_not_written_to(lab, name, number):
    lab.plug(PORT, TwinKey(1))
    rig, other = make_rig(), Substitute()
    claims = claimed(rig)
    rig.power.off()
    exchange = Exchange(lab, rig, number, other)
    with pytest.raises(RigError, match="another key is in it than when it was claimed") as stopped:
        SCENARIOS[name][0](rig)
    assert exchange.given == number, "nothing is switched on after it"
    claims.release()
    assert other.writes == []
    assert other.commands, "it was asked who it is"
    assert str(stopped.value) == quarantined(f"port usb:{PORT}").why
    rig.close()


@pytest.mark.long
@pytest.mark.parametrize("name", ["cut", "conformance"])
def test_no_power_up_is_left_out(lab, name):
    act, numbers = SCENARIOS[name]
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    claims = claimed(rig)
    exchange = Exchange(lab, rig, None, Substitute())
    rig.power.off()
    act(rig)
    assert exchange.given == max(numbers)
    claims.release()
    rig.close()


def test_a_key_that_is_exchanged_while_its_port_has_power_is_not_written_to(lab):
    port = lab.port(PORT)
    port.plug(TwinKey(1))
    rig, other = make_rig(), Substitute()
    claims = claimed(rig)
    Fido(rig)
    port.unplug()
    port.plug(other)
    with pytest.raises(AnotherKey, match="another key is in it"):
        Fido(rig).make_credential("a.keyharness.example", b"a", resident=False)
    assert other.writes == []
    claims.release()
    rig.close()


def test_a_key_that_tells_no_serial_number_in_place_of_one_that_does_is_only_asked_who_it_is(lab):
    """Not for a mark, which is an assertion, nor whether it is blank."""
    port = lab.port(PORT)
    port.plug(TwinKey(1))
    rig, other = make_rig(), Substitute()
    claims = claimed(rig)
    port.unplug()
    port.plug(other)
    rig.key = replace(
        rig.key, identify=lambda rig: {"firmware": str(Fido(rig).info.firmware_version), "uuid": ""}
    )
    with pytest.raises(AnotherKey, match="another key is in it"):
        Fido(rig)
    assert other.commands, "it was asked who it is"
    assert other.writes == []
    claims.release()
    rig.close()


@pytest.mark.parametrize("told", [{}, {"serial": ""}, {"serial": "00000000"}])
@pytest.mark.parametrize("named", ["model:nitrokey3-mini/mini-1", "serial:00000000"])
def test_a_bench_that_names_what_every_key_of_a_model_has_claims_none(lab, told, named):
    key = lab.plug(PORT, Substitute(1))
    rig = make_rig()
    rig.key = replace(rig.key, identify=lambda rig: told)
    with pytest.raises(CallerError, match=r"identity|another key is in it"):
        claimed(rig, named)
    assert key.writes == []
    rig.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("0012AB", "12ab", True), ("", "", False), ("", "0", False), ("000", "0000", False), ("1", "2", False)],
)
def test_no_serial_number_is_the_same_as_none(one, other, same):
    assert same_serial(one, other) is same


def test_after_a_mismatch_nothing_is_opened_even_if_the_right_key_is_back(lab):
    """A client library may have swallowed the first error."""
    port = lab.port(PORT)
    mine = port.plug(TwinKey(1))
    rig = make_rig()
    claims = claimed(rig)
    port.unplug()
    port.plug(Substitute())
    with pytest.raises(AnotherKey):
        ctaphid(rig)
    port.unplug()
    port.plug(mine)
    with pytest.raises(AnotherKey):
        ctaphid(rig)
    claims.release()
    rig.close()


@pytest.mark.long
def test_the_cut_after_which_the_key_was_exchanged_is_not_judged(lab):
    lab.plug(PORT, TwinKey(1))
    rig, other = make_rig(), Substitute()
    claims = claimed(rig)
    home = go_home(rig)
    campaign = LiveCampaign(rig, rig.key.operations["fido2.get_assertion"], home, terms(2))
    exchange, collect = Exchange(lab, rig, None, other), rig.cutter.collect

    def collected():
        exchange.number = exchange.given + 1
        return collect()

    rig.cutter.collect = collected
    with pytest.raises(AnotherKey):
        campaign.run()
    assert exchange.given == exchange.number, "it was looked at, and then no more"
    (uncut,) = campaign.result.rows
    assert uncut["planned"]["marker"] == "end"
    assert campaign.result.violations == 0
    assert other.writes == []
    claims.release()
    rig.close()


def test_what_asks_for_the_identity_leaves_no_marks_of_the_operation(lab):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    claims = claimed(rig)
    rig.power.cycle()
    rig.tap.clear()
    device = ctaphid(rig)
    assert rig.tap.marks == []
    device.ping()
    assert [mark.name for mark in rig.tap.marks] == ["request-sent", "response"]
    claims.release()
    rig.close()


# In the bootloader.


def in_bootloader(lab, seed):
    """A key that is in its bootloader, taken out of the port in which it got there."""
    key = lab.plug(OTHER, Substitute(seed))
    rig = make_rig(OTHER)
    enter_bootloader(rig)
    rig.close()
    lab.port(OTHER).unplug()
    key.commands.clear()
    return key


@pytest.mark.parametrize("number", [1, 2], ids=["into the bootloader", "back into the application"])
@pytest.mark.long
def test_a_key_that_is_exchanged_in_an_update_is_not_written_to(lab, number):
    other = in_bootloader(lab, 2) if number == 1 else Substitute(2)
    lab.plug(PORT, Leaving(lab, number, other))
    rig = make_rig()
    claims = claimed(rig)
    container = containers.make(signing.seed_of(rig), Recipe("1.8.4"))
    with pytest.raises(AnotherKey):
        update(rig, container.data)
    assert other.writes == []
    claims.release()
    rig.close()


def test_the_same_key_is_known_in_its_bootloader_by_the_serial_number_that_was_recorded(lab):
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    claims = claimed(rig)
    enter_bootloader(rig)
    assert serial(rig).serial_number
    claims.release()
    rig.close()


@pytest.mark.parametrize(
    ("identity", "bootloader", "what"),
    [
        ("uuid", "serial:0123", "another key is in it"),
        ("marker", None, "the key is in its bootloader, and nothing says which key that is"),
    ],
)
def test_a_bootloader_that_is_not_the_recorded_one_is_not_reached(lab, identity, bootloader, what):
    key = lab.plug(PORT, Substitute(1))
    rig = make_rig()
    policy = {"bootloader": bootloader}
    if identity == "marker":
        rig.key = replace(rig.key, identify=lambda rig: {})
        policy["identity"] = f"marker:{mark(rig)}"
    claims = claimed(rig, **policy)
    enter_bootloader(rig)
    key.commands.clear()
    with pytest.raises(AnotherKey, match=what):
        serial(rig)
    assert key.commands == []
    claims.release()
    rig.close()
