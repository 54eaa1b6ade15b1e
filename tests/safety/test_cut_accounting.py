"""Whoever takes the power away, it is paid for and written down before: this process, or the cutter's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from harness.evidence.ledger import Ledger
from harness.host.cutter import Cutter
from harness.model.instant import CutInstant
from harness.safety.budget import Budget, BudgetExhausted, Grants, PinTries
from harness.safety.pin_journal import PinJournal
from harness.safety.power_journal import LoggedSwitch, PowerLog
from support.paths import with_support
from support.relay import Relay


@pytest.fixture
def budget(own_state):
    with Ledger() as ledger:
        yield Budget(ledger, "uuid:1", "hardware", "rig", Grants(relay_operations=3, erases=100))


@pytest.fixture
def relay():
    return Relay()


@pytest.fixture
def switch(relay, budget):
    log = PowerLog("port 1")
    log.take(SimpleNamespace(power=relay))
    return LoggedSwitch(
        relay,
        log,
        lambda: budget.draw("relay_operations", 1, "off"),
        lambda: budget.draw("erases", 1, "a boot"),
    )


def spent(budget):
    """What is really gone, without what is only reserved."""
    reserved = budget.spent("relay_operations"), budget.spent("erases")
    budget.close()
    exact = budget.spent("relay_operations"), budget.spent("erases")
    assert reserved >= exact
    return exact


def test_a_cut_action_costs_what_a_switch_costs(switch, relay, budget):
    cutter = Cutter()
    try:
        action = switch.cut_action()
        assert budget.spent("relay_operations") >= 1, "before it is armed"
        cutter.arm(CutInstant.planned(time.monotonic_ns() // 1000), action)
        assert cutter.collect().error == 0
    finally:
        cutter.close()
    assert os.read(relay.wire, 10) == b"0"
    switch.after_cut()
    assert not switch.is_on
    switch.off()
    switch.on()
    assert spent(budget) == (1, 1)


def test_a_cut_action_that_is_called_off_is_not_paid_twice(switch, budget):
    switch.cut_action()
    switch.cut_action()
    switch.off()
    switch.on()
    switch.off()
    assert spent(budget) == (2, 1)


def test_without_a_grant_nothing_is_armed(switch, relay, budget):
    for _ in range(3):
        switch.off()
        switch.on()
    with pytest.raises(BudgetExhausted, match="relay_operations"):
        switch.cut_action()
    with pytest.raises(BudgetExhausted, match="relay_operations"):
        switch.cycle()
    assert switch.is_on
    assert os.read(relay.wire, 100) == b"010101", "nothing was switched that was not paid for"


def test_a_cycle_is_one_release_and_one_boot(switch, budget):
    switch.cycle()
    assert spent(budget) == (1, 1)
    switch.off()
    switch.cycle()
    assert spent(budget) == (2, 2), "the relay was released already"


KILLED = """
import os, signal
from types import SimpleNamespace
from support.relay import Relay
from harness.safety.power_journal import LoggedSwitch, PowerLog
relay = Relay()
log = PowerLog("port 1")
log.take(SimpleNamespace(power=relay))
LoggedSwitch(relay, log, lambda: None, lambda: None).cut_action()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_with_a_cut_armed_leaves_word_of_it(own_state):
    done = subprocess.run([sys.executable, "-c", KILLED], env=with_support(), check=False)
    assert done.returncode == -signal.SIGKILL
    log, relay = PowerLog("port 1"), Relay()
    relay.off()
    assert log.left_behind
    assert log.take(SimpleNamespace(power=relay))
    assert relay.is_on, "put back as it was"


def test_a_key_with_few_tries_left_is_not_asked_and_loses_none(budget):
    """The real client, on a key whose counter moves: the word of the key comes before the ledger's."""
    from fido2.ctap import CtapError

    from harness.bench.registry import discover
    from harness.twin.model import TwinOptions
    from harness.twin.rig import TwinRig
    from harness_fido2.client import Fido

    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.power.on()
    rig.pin_guard = PinTries(budget)
    Fido(rig).pin().set_pin("27182818")
    Fido(rig).pin().change_pin("27182818", "31415926")
    Fido(rig).pin().change_pin("31415926", "27182818")
    journalled = [one.pin for one in PinJournal("uuid:1").records()]
    assert journalled == ["27182818", "31415926", "27182818"], "whoever sets it, a suite or a plugin"
    Fido(rig).pin().get_pin_token("27182818")
    budget.close()
    assert budget.spent("pin_tries") == 0, "the right PIN gives everything back"
    for number in range(5):
        with pytest.raises(CtapError):
            Fido(rig).pin().get_pin_token("00000000")
        rig.power.cycle()
        assert Fido(rig).tries() == 7 - number
    assert budget.spent("pin_tries") == 5
    with pytest.raises(BudgetExhausted, match="3 PIN tries left"):
        Fido(rig).pin().get_pin_token("27182818")
    with pytest.raises(BudgetExhausted, match="3 PIN tries left"):
        Fido(rig).pin().change_pin("27182818", "31415926")
    assert Fido(rig).tries() == 3
