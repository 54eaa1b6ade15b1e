"""What fails before anything was cut is tried again, and counts against the key only if the key answered."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2

from harness.base.clock import VirtualClock
from harness.base.errors import (
    HarnessFault,
    HostError,
    HostLate,
    KeyFault,
    MalformedAnswer,
    Refused,
    RigError,
)
from harness.bench.registry import discover
from harness.campaign import set_up
from harness.campaign.operation_runner import OperationRunner
from harness.campaign.set_up import TRIES, bring_up, tried_again
from harness.model.memory import Memory
from harness.model.rig import KeyGone
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.operations import RESET_WINDOW_S, reset_key
from harness_fido2.reset import reset_after_power_up


class Power:
    def __init__(self, fails=0):
        self.fails, self.ons, self.is_on = fails, 0, False

    def on(self):
        self.ons, self.is_on = self.ons + 1, True

    def off(self):
        self.is_on = False


def rig_of(kind="hardware", deaths=(), fails=0):
    power = Power(fails)

    def wait_until_up():
        if power.ons <= power.fails:
            raise KeyGone("not ready within 10 s")

    return SimpleNamespace(
        name="r",
        evidence_kind=kind,
        key=discover().keys["fido2"],
        power=power,
        take_deaths=lambda: list(deaths),
        wait_until_up=wait_until_up,
        losses=None,
    )


@pytest.fixture(autouse=True)
def idle_host(monkeypatch):
    monkeypatch.setattr(set_up, "load_per_core", lambda: 0.5)


def failing(*errors):
    """An act that raises these errors, one at each call, and then works."""
    left = list(errors)

    def act():
        if left:
            raise left.pop(0)
        return "done"

    return act


@pytest.mark.parametrize("error", [HostLate("late"), KeyGone("gone"), OSError(110, "timed out")])
def test_what_may_pass_is_tried_again(error):
    undone = []
    assert tried_again(rig_of(), "x", failing(*[error] * (TRIES - 1)), lambda: undone.append(1)) == "done"
    assert len(undone) == TRIES - 1


@pytest.mark.parametrize(
    ("error", "on", "kind", "word"),
    [
        (KeyGone("gone"), rig_of(), RigError, "cable"),
        (OSError(19, "gone"), rig_of(), RigError, "3 times"),
        (OSError(110, "timed out"), rig_of("emulator"), KeyFault, "3 times"),
        (KeyGone("gone"), rig_of(deaths=["crashed: SIGSEGV"]), KeyFault, "SIGSEGV"),
        (OSError(28, "No space left on device"), rig_of(), HostError, "No space"),
        (HostLate("late"), rig_of(), HostLate, "late"),
        (MalformedAnswer("Extraneous data", answer=b"\xff"), rig_of(), KeyFault, "malformed answer"),
        (CtapError(0x30), rig_of(), KeyFault, "NOT_ALLOWED"),
        (Refused("VERIFY", "63C2"), rig_of("emulator"), Refused, "63C2"),
        (ZeroDivisionError("of ours"), rig_of(), HarnessFault, "ZeroDivisionError"),
    ],
)
def test_whose_fault_it_is(error, on, kind, word):
    with pytest.raises(kind, match=word) as caught:
        tried_again(on, "the home state could not be laid down", failing(*[error] * TRIES), lambda: None)
    assert type(caught.value) is kind


def test_only_what_may_pass_is_tried_again():
    act = failing(MalformedAnswer("x"))
    with pytest.raises(KeyFault):
        tried_again(rig_of(), "x", act, lambda: None)
    assert act() == "done", "it was called once"


def test_on_a_busy_host_no_key_is_blamed_for_a_limit(monkeypatch):
    monkeypatch.setattr(set_up, "load_per_core", lambda: 7.25)
    with pytest.raises(HostLate, match=r"7\.2 processes wait for each core"):
        bring_up(rig_of("emulator", fails=TRIES))


def test_a_simulated_key_that_does_not_come_up_is_to_blame_on_a_busy_host_too(monkeypatch):
    """Its time is virtual: no load of this host makes it late."""
    monkeypatch.setattr(set_up, "load_per_core", lambda: 7.25)
    with pytest.raises(KeyFault):
        bring_up(rig_of("twin", fails=TRIES))


def test_a_key_that_comes_up_late_is_switched_on_again():
    rig = rig_of(fails=TRIES - 1)
    bring_up(rig)
    assert (rig.power.ons, rig.power.is_on) == (TRIES, True)


def test_a_reset_that_this_host_asked_for_too_late_is_not_the_keys_fault(monkeypatch):
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.power.on()
    on_us = rig.clock.now_us
    rig.clock.wait_us((RESET_WINDOW_S + 2) * 1_000_000)
    with pytest.raises(CtapError, match="NOT_ALLOWED"):
        reset_key(rig, None)
    monkeypatch.setattr(TwinRig, "powered_us", property(lambda rig: on_us))
    with pytest.raises(HostLate, match=r"1[23]\.\d s after power-up"):
        reset_key(rig, None)


def late_request(monkeypatch, rig, times):
    """Let a reset that is asked for in time reach the key after its ten seconds, the first `times` times."""
    reset, late = Ctap2.reset, iter([True] * times)

    def on_its_way(self, **how):
        if next(late, False):
            rig.clock.wait_us((RESET_WINDOW_S + 2) * 1_000_000)
        return reset(self, **how)

    monkeypatch.setattr(Ctap2, "reset", on_its_way)


def powered_rig(monkeypatch):
    """A simulated key whose rig knows when it got its power, as a real one does."""
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.power.on()
    on_us = [rig.clock.now_us]
    switch_on = rig.power.on
    monkeypatch.setattr(rig.power, "on", lambda: (on_us.append(rig.clock.now_us), switch_on())[1])
    monkeypatch.setattr(TwinRig, "powered_us", property(lambda rig: on_us[-1]))
    return rig


def test_a_reset_that_was_on_its_way_for_long_is_not_the_keys_fault(monkeypatch):
    rig = powered_rig(monkeypatch)
    late_request(monkeypatch, rig, 1)
    with pytest.raises(HostLate, match=r"refused 12\.\d s after power-up"):
        reset_key(rig, Memory())


@pytest.mark.parametrize(("times", "cycles"), [(2, 3), (3, 3)])
def test_a_home_state_is_laid_down_by_a_host_that_is_late_now_and_then(monkeypatch, times, cycles):
    rig = powered_rig(monkeypatch)
    late_request(monkeypatch, rig, times)
    began = rig.power.cycle
    seen = []
    monkeypatch.setattr(rig.power, "cycle", lambda: (seen.append("cycle"), began())[1])
    with pytest.raises(HostLate) if times == 3 else nullcontext():
        reset_after_power_up(rig, Memory())
    assert len(seen) == cycles


def test_an_operation_that_the_host_was_late_for_is_run_again():
    acts = failing(HostLate("late"), HostLate("late"))
    rig = rig_of("emulator")
    rig.clock, rig.vault, rig.came_us = VirtualClock(), SimpleNamespace(restore=lambda state: None), None
    rig.tap = SimpleNamespace(clear=lambda: None, marks=[], last=lambda name: None)
    rig.transports = SimpleNamespace(prove=lambda: None)
    home = SimpleNamespace(memory=Memory(), state=None)
    operation = SimpleNamespace(name="fido2.reset", act=lambda rig, memory: acts(), powered=True)
    runner = OperationRunner(rig, None, operation, home)
    assert runner.run_uncut(operation).last is None
    assert rig.power.ons == 3
