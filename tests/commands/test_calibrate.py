"""`keyharness calibrate`: three witnesses say whether a rig's power really goes."""

from __future__ import annotations

import io
import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harness.base.errors import RigError
from harness.bench import calibration
from harness.bench.bench import LoadedBench
from harness.bench.calibration import Calibration, calibration_for, calibration_of, complaint, keep
from harness.bench.registry import discover
from harness.commands.calibrate import calibrate
from harness.evidence.ledger import now
from harness.run.launch import Launch
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.safety.identity_guard import AnotherKey
from harness.safety.quarantine import quarantined
from support.lab import Lab, TwinKey, keyboard, mute_key, plugin
from support.lab.labhost import LabHost
from support.power.fakehost import FakeBackend
from support.power.fakehubs import HubThing
from support.substitute import Exchange, Substitute

BENCH = """\
[[rig]]
name = "mini-1"
key = "nitrokey3-mini"
driver = "usb"
port = "1-1.4.1"
gone_s = 0.4
up_s = {up_s}
{more}
[rig.power]
driver = "{power}"
"""


class Buffered(TwinKey):
    """A key whose port keeps it alive for a while: it leaves the bus at once and loses its power later.

    :param for_s: after so long without power it is without power.
    """

    def __init__(self, for_s: float, **more):
        super().__init__(**more)
        self._for_s, self._hidden, self._since = for_s, False, 0.0

    def power(self, on):
        self._hidden = not on
        if not on:
            self._since = time.monotonic()
            self.port.vanish()
            # Who has its node open reads the end, as of a node that has gone.
            for client in list(self._clients):
                client.shutdown(socket.SHUT_RDWR)
            return
        if time.monotonic() - self._since > self._for_s:
            super().power(False)
        # Without an effect on a key that still has its power, but that it shows itself again.
        super().power(True)

    def _show_when_ready(self):
        if not self._hidden:
            super()._show_when_ready()

    def _next_us(self):
        return None if self._hidden else super()._next_us()


@pytest.fixture
def at(tmp_path, monkeypatch):
    """A laboratory with one key and one neighbour, and a session on it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(tmp_path / "runtime"))
    monkeypatch.setattr("harness.run.measure_switch.LONG_OFF_US", 300_000)
    monkeypatch.setattr("harness.run.measure_switch.TRIED_OFF_MS", (150, 60, 0))
    # The laboratory's relay and keys are threads of this process: how exact they are is up to the machine.
    monkeypatch.setattr("harness.run.switch_limits.SPREAD_MAX_MS", 1e6)
    monkeypatch.setattr("harness.run.switch_limits.RELEASE_MAX_MS", 1e6)
    with Lab(tmp_path / "lab") as lab, lab.standing_in():

        class Things:
            sys, things = lab.tree.sys, {"1-1.4": HubThing(7)}

        monkeypatch.setattr(LabHost, "usb_backend", lambda self: FakeBackend(Things))
        yield Bench(lab, tmp_path)


class Bench:
    def __init__(self, lab, folder):
        self.lab, self.file = lab, folder / "lab.toml"
        lab.hub("1-1.4", ports=7)
        self.neighbour = lab.plug("1-1.4.2", keyboard())
        self.out = io.StringIO()

    def plug(self, key):
        return self.lab.plug("1-1.4.1", key)

    def session(self, power="lab", more="", up_s=5.0):
        self.file.write_text(BENCH.format(power=power, more=more, up_s=up_s))
        plugins = lab_plugins()
        return Session(Wanted(self.file, ("mini-1",), (), 1), plugins, purpose="calibrate")

    def calibrate(self, cycles=12, **how):
        session = self.session(**how)
        try:
            return calibrate(session, "mini-1", cycles, self.out)
        finally:
            session.close()


def lab_plugins():
    plugins = discover()
    for table, made in (
        (plugins.power, plugin.keyharness_power()),
        (plugins.touch, plugin.keyharness_touch()),
    ):
        table.update({driver.name: driver for driver in made})
    return plugins


def test_a_sound_rig_is_measured_and_kept(at):
    at.plug(TwinKey(speed=40))
    found = at.calibrate()
    assert found.fault is None
    assert found.booted, "the key itself has said so"
    assert found.cycles == 12
    assert found.neighbours == ()
    assert 0 < found.cut_ms <= found.cut_p99_ms
    least_ms, most_ms = found.release_ms
    assert 0 <= least_ms <= found.lead_ms <= most_ms, "the key was asked while it was cut"
    assert most_ms <= found.gone_most_ms
    assert found.host_late_ms >= 0
    assert found.back_ms > 0
    assert found.off_s == pytest.approx(max(0.1, found.shortest_off_ms * 2 / 1000), abs=0.01)
    session = at.session()
    rig = session.rig("mini-1")
    assert calibration_of(rig) == found
    assert complaint(rig) is None
    assert rig.options.off_s == found.off_s, "a run rests as long as was found to be enough"
    assert at.lab.port("1-1.4.1").offs == 12
    assert at.lab.port("1-1.4.1").powered, "as it was found"
    assert len(at.out.getvalue().splitlines()) == 12
    session.close()
    session = at.session(more="off_s = 0.7")
    assert session.rig("mini-1").options.off_s == 0.7, "what the bench says stands"
    session.close()


def late(at, monkeypatch, host_ms):
    monkeypatch.setattr("harness.run.switch_limits.RELEASE_MAX_MS", 200.0)
    monkeypatch.setattr("harness.run.measure_switch.host_lateness_us", lambda clock: [1000.0 * host_ms])
    at.plug(TwinKey(speed=40))
    at.lab.port("1-1.4.1").off_course = ((0.35, False),)
    with pytest.raises(RigError) as refused:
        at.calibrate(cycles=4)
    return refused.value


def test_a_relay_that_opens_350_ms_late_is_refused(at, monkeypatch):
    refused = late(at, monkeypatch, 0.1)
    assert refused.what == 'rig "mini-1": its switch is not fit for cuts'
    assert "longest delay until the power is gone: 3" in refused.found
    kept = calibration_for("usb 1-1.4.1; power lab, lab None")
    assert "not fit for cuts" in kept.fault


def test_a_host_that_is_too_busy_to_measure_says_so_and_keeps_nothing(at, monkeypatch):
    refused = late(at, monkeypatch, 60.0)
    assert "this host was too loaded to measure its switch" in refused.what
    assert calibration_for("usb 1-1.4.1; power lab, lab None") is None


def test_a_switch_that_lies_is_named(at):
    at.plug(TwinKey(speed=40))
    at.lab.port("1-1.4.1").lies = True
    with pytest.raises(RigError) as error:
        at.calibrate(power="hub")
    assert "the key was still on the bus 0.4 s after its port was switched off" in error.value.what
    assert error.value.found == "hub 1-1.4 (0bda:5411) claims per-port power and does not cut it"
    assert "a hub that `keyharness calibrate` accepts" in error.value.mend
    session = at.session(power="hub")
    rig = session.rig("mini-1")
    assert calibration_of(rig) is None
    assert complaint(rig).startswith('rig "mini-1" failed its calibration: rig "mini-1": the key was still')
    session.close()


def test_a_relay_that_does_not_cut_is_no_hub_that_claims_something(at):
    at.plug(TwinKey(speed=40))
    at.lab.port("1-1.4.1").lies = True
    with pytest.raises(RigError) as error:
        at.calibrate()
    assert error.value.found == "the switch (lab, lab None) does not cut its power"


def test_a_switch_of_which_the_kernel_is_told_nothing_is_measured(at):
    """As a hub that is asked by requests: what it cut answers nothing, as a busy key does."""
    at.plug(TwinKey(speed=40))
    port = at.lab.port("1-1.4.1")
    port.stale = port.times_out = True
    found = at.calibrate(cycles=4)
    assert found.booted
    assert port.offs == 4


def test_a_port_that_leaves_the_bus_and_keeps_its_power_is_told_by_the_key(at):
    at.plug(Buffered(for_s=60, speed=40))
    with pytest.raises(RigError) as error:
        at.calibrate()
    assert "the key left the bus and kept its power" in error.value.what
    assert "the switch (lab, lab None) takes it off the bus and does not cut its power" in error.value.found
    assert "bleed resistor" in error.value.mend


def test_the_rest_is_what_the_charge_needs(at, monkeypatch):
    monkeypatch.setattr("harness.run.measure_switch.LONG_OFF_US", 600_000)
    monkeypatch.setattr("harness.run.measure_switch.TRIED_OFF_MS", (500, 10, 0))
    at.plug(Buffered(for_s=0.3, speed=40))
    found = at.calibrate(cycles=8)
    assert found.booted
    assert found.shortest_off_ms >= 500, "10 ms were not enough"
    assert found.off_s == pytest.approx(found.shortest_off_ms * 2 / 1000, abs=0.01)
    assert "kept its power" in at.out.getvalue()


def test_neighbours_that_go_with_it_are_named(at):
    at.plug(TwinKey(speed=40))
    lab = at.lab
    both = (lab.port("1-1.4.1"), lab.port("1-1.4.2"))
    lab.ganged |= {"1-1.4.1": both, "1-1.4.2": both}
    with pytest.raises(RigError) as error:
        at.calibrate(power="hub")
    assert "others go with it" in error.value.what
    assert "1-1.4.2 (046d:c31c USB Keyboard); hub 1-1.4 (0bda:5411) switches more than its port" in (
        error.value.found
    )


def silent_session(at, **how):
    """A session whose key makes nothing anew at each boot, as a card without FIDO2."""
    at.plug(TwinKey(speed=40))
    session = at.session(**how)
    key = session.plugins.keys["nitrokey3-mini"]
    session.plugins.keys["nitrokey3-mini"] = replace(
        key, applications=tuple(replace(app, volatile=None) for app in key.applications)
    )
    return session


def test_a_key_that_shows_nothing_volatile_is_measured_by_the_bus_alone_behind_a_relay(at):
    session = silent_session(at)
    try:
        found = calibrate(session, "mini-1", 4, at.out)
    finally:
        session.close()
    assert (found.booted, found.shortest_off_ms, found.off_s) == (False, None, None)
    assert (found.release_ms, found.lead_ms) == (None, None)
    assert found.cut_ms > 0


def test_behind_a_hub_such_a_key_proves_nothing_and_what_another_key_proved_stays(at):
    """The kernel takes it off the bus whether the hub cuts or not: a hub that lies would pass every cycle."""
    session = silent_session(at, power="hub")
    wiring = session.rig("mini-1").wiring
    kept = Calibration("other-1", wiring, now(), cycles=30, booted=True)
    keep(kept)
    try:
        with pytest.raises(RigError) as refused:
            calibrate(session, "mini-1", 4, at.out)
    finally:
        session.close()
    assert refused.value.what == 'rig "mini-1": nothing can prove that its hub cuts the power'
    assert "hub 1-1.4 (0bda:5411) takes it off the bus whether it cuts or not" in refused.value.found
    assert "calibrate this port with another key" in refused.value.mend
    assert at.lab.port("1-1.4.1").offs == 0, "it is said before anything is switched"
    assert calibration_for(wiring) == kept


@pytest.fixture
def named(at):
    """The key in the port, by the line of the bench that names it."""
    at.plug(TwinKey(1, speed=40))
    session = at.session()
    rig = session.rig("mini-1")
    rig.wait_until_up()
    uuid = rig.key.identify(rig)["uuid"]
    session.close()
    return f'identity = "uuid:{uuid}"'


def test_the_named_key_is_measured(at, named):
    assert at.calibrate(cycles=6, more=named).booted


def test_another_key_than_the_named_one_is_not_cut(at, named):
    port, other = at.lab.port("1-1.4.1"), Substitute(2, speed=40)
    port.unplug()
    port.plug(other)
    with pytest.raises(AnotherKey):
        at.calibrate(more=named)
    assert port.offs == 0
    assert other.commands, "it was asked who it is"
    assert other.writes == []
    assert calibration_for("usb 1-1.4.1; power lab, lab None") is None, "that is not the switch's fault"
    assert "another key is in it" in quarantined("port usb:1-1.4.1").why


def test_a_key_that_is_exchanged_while_its_switch_is_measured_is_cut_no_more(at, named, monkeypatch):
    port, other = at.lab.port("1-1.4.1"), Substitute(2, speed=40)
    make = LoadedBench.make

    def with_a_hand(bench, *one, **more):
        rig = make(bench, *one, **more)
        exchange = Exchange(at.lab, rig, 2, other)
        assert exchange.given == 0
        return rig

    monkeypatch.setattr(LoadedBench, "make", with_a_hand)
    with pytest.raises(AnotherKey):
        at.calibrate(more=named)
    assert port.offs == 2
    assert other.writes == []
    assert calibration_for("usb 1-1.4.1; power lab, lab None") is None


def test_no_key_and_a_key_that_does_not_come_back(at):
    with pytest.raises(RigError, match="no key before anything was switched"):
        at.calibrate(up_s=0.3)
    at.plug(mute_key())
    assert not at.calibrate(cycles=4, more="answer_s = 0.2").booted, "nobody says so"


def test_a_run_complains_before_it_cuts(at, monkeypatch, tmp_path):
    """Of rigs that it may cut."""
    at.plug(mute_key())
    monkeypatch.setattr("harness.run.session.discover", lab_plugins)
    at.session().close()
    launch = Launch(Wanted(at.file, seed=1), ["endurance"], tmp_path, [])
    assert launch.complaints() == []
    at.session(more='expendable = true\nidentity = "uuid:1"').close()
    launch = Launch(Wanted(at.file, seed=1), ["endurance"], tmp_path, [])
    (said,) = launch.complaints()
    assert "was not calibrated as it is wired now" in said
    assert said.endswith("`keyharness calibrate mini-1`")
    calibration.keep(Calibration("mini-1", launch.session.rig("mini-1").wiring, now()))
    assert launch.complaints() == []


def test_it_is_old_after_a_month_and_another_wiring_is_another_rig(at):
    at.plug(TwinKey(speed=40))
    session = at.session()
    rig = session.rig("mini-1")
    assert rig.wiring == "usb 1-1.4.1; power lab, lab None"
    assert "not calibrated as it is wired now" in complaint(rig)
    made = Calibration("mini-1", rig.wiring, "2026-11-20T09:30:12Z", cut_ms=1.0)
    path = calibration.keep(made)
    then = datetime(2026, 11, 20, 9, 30, 12, tzinfo=UTC)
    assert complaint(rig, then + timedelta(days=29)) is None
    assert complaint(rig, then + timedelta(days=31)) == 'rig "mini-1" was last calibrated 31 days ago'
    assert calibration_for("usb 1-1.4.2") is None
    for broken in ("", "[]", '{"rig": "x"}', json.dumps({"rig": 1, "wiring": rig.wiring, "at": "soon"})):
        path.write_text(broken)
        assert calibration_of(rig) is None
    session.close()
