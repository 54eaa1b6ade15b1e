"""`keyharness touch` and `serve`: a key that was exchanged is not touched, and is sent no command that writes."""

from __future__ import annotations

import io
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fido2.ctap2 import Ctap2

from harness.base.errors import RigError
from harness.bench.registry import discover
from harness.commands.inspect_key import inspect
from harness.commands.pico_server import serve
from harness.commands.power import touch
from harness.commands.rig_thread import RigThread
from harness.host.host import here
from harness.run.session import Session
from harness.run.wanted import Wanted
from harness.safety.identity_guard import AnotherKey
from harness.safety.power_journal import PowerLog
from harness.safety.quarantine import quarantined
from harness_transports.ctaphid import ctaphid
from support.lab import TwinKey, call, plugin
from support.limits import HUNG_S
from support.substitute import Substitute
from support.usb import PORT, laboratory, make_rig


class Fingers:
    """The touch driver `lab`, held; notes each touch."""

    def __init__(self):
        self.touches = 0

    def driver(self):
        def made(request):
            return Finger(self, request)

        return replace(plugin.keyharness_touch()[0], make=made)


class Finger(plugin.Finger):
    def __init__(self, fingers, request):
        super().__init__(request)
        self._fingers = fingers

    @contextmanager
    def holding(self):
        self._fingers.touches += 1
        with call(self._root, "relay") as link:
            link.send(f"touch {self._port} 0".encode())
            link.recv(64)
            yield
            link.send(f"release {self._port}".encode())
            link.recv(64)


@pytest.fixture
def lab(tmp_path, own_state):
    with laboratory(tmp_path) as lab:
        yield lab


@pytest.fixture
def fingers():
    return Fingers()


@pytest.fixture
def session(tmp_path, lab, fingers):
    """A session on the rig "mini-1"; its bench names the key that is in it."""
    lab.plug(PORT, TwinKey(1))
    rig = make_rig()
    rig.wait_until_up()
    named = rig.key.identify(rig)["uuid"]
    rig.close()
    plugins = discover()
    plugins.power |= {driver.name: driver for driver in plugin.keyharness_power()}
    plugins.touch["lab"] = fingers.driver()
    (tmp_path / "lab.toml").write_text(
        f'[[rig]]\nname = "mini-1"\nkey = "nitrokey3-mini"\ndriver = "usb"\nport = "{PORT}"\noff_s = 0\nup_s = 2\n'
        f'expendable = true\nidentity = "uuid:{named}"\n[rig.power]\ndriver = "lab"\n[rig.touch]\ndriver = "lab"\n'
    )
    session = Session(Wanted(tmp_path / "lab.toml", seed=1), plugins, purpose="test")
    yield session
    session.close()


def exchange(lab):
    other = Substitute()
    lab.port(PORT).unplug()
    lab.port(PORT).plug(other)
    return other


def test_the_named_key_is_touched(session, fingers):
    out = io.StringIO()
    assert touch(session, "mini-1", 0.01, out) == 0
    assert fingers.touches == 1


def test_another_key_is_not_touched(lab, session, fingers):
    other = exchange(lab)
    with pytest.raises(AnotherKey):
        touch(session, "mini-1", 0.01, io.StringIO())
    assert fingers.touches == 0
    assert other.commands, "it was asked who it is"
    assert other.writes == []
    assert "another key is in it" in quarantined(f"port usb:{PORT}").why


def test_a_key_that_is_busy_is_touched_only_unproved(lab, session, fingers, monkeypatch):
    """Another program's request is pending: whose key that is cannot be asked."""
    monkeypatch.setattr("harness_transports.request_limit.BUSY_TRIES", 2)
    exchange(lab)
    with pending_request(lab):
        with pytest.raises(RigError) as refused:
            touch(session, "mini-1", 0.01, io.StringIO())
        assert not isinstance(refused.value, AnotherKey), refused.value.found
        assert "--unproved" in refused.value.mend
        assert fingers.touches == 0
        assert quarantined(f"port usb:{PORT}") is None
        assert touch(session, "mini-1", 0.01, io.StringIO(), prove=False) == 0
    assert fingers.touches == 1


def told_by(session, how):
    """The key tells its identity to a command, which ends."""
    if how == "touch":
        touch(session, "mini-1", 0.01, io.StringIO())
    else:
        inspect(session.rig("mini-1"), session.claims)
    session.claims.release()


@pytest.mark.parametrize("how", ["touch", "inspect"])
def test_a_busy_key_that_has_told_its_identity_in_this_enumeration_is_touched(
    lab, session, fingers, monkeypatch, how
):
    monkeypatch.setattr("harness_transports.request_limit.BUSY_TRIES", 2)
    told_by(session, how)
    with pending_request(lab):
        before = fingers.touches
        assert touch(session, "mini-1", 0.01, io.StringIO()) == 0
        assert fingers.touches == before + 1


def _another_key(lab, monkeypatch):
    exchange(lab)


def _the_same_key_plugged_in_again(lab, monkeypatch):
    lab.port(PORT).plug(lab.port(PORT).unplug())


def _another_boot_of_the_host(lab, monkeypatch):
    monkeypatch.setattr(type(here()), "boot_id", lambda _: "another boot")


def _another_identity_in_the_bench(lab, monkeypatch):
    path = PowerLog(f"port usb:{PORT}").path
    path.write_text(json.dumps({**json.loads(path.read_text()), "proved": "uuid:00FF"}))


@pytest.mark.parametrize(
    "then",
    [_another_key, _the_same_key_plugged_in_again, _another_boot_of_the_host, _another_identity_in_the_bench],
)
def test_what_a_busy_key_told_before_that_is_no_proof(lab, session, fingers, monkeypatch, then):
    monkeypatch.setattr("harness_transports.request_limit.BUSY_TRIES", 2)
    told_by(session, "inspect")
    then(lab, monkeypatch)
    with pending_request(lab), pytest.raises(RigError, match="cannot be asked who it is"):
        touch(session, "mini-1", 0.01, io.StringIO())
    assert fingers.touches == 0


@contextmanager
def pending_request(lab):
    """A reset that another program has sent: the key waits for a touch."""
    rig = make_rig()
    rig.wait_until_up()
    device, asked, ends = ctaphid(rig), threading.Event(), threading.Event()

    def wait():
        with pytest.raises(Exception):  # noqa: B017
            Ctap2(device).reset(event=ends, on_keepalive=lambda status: asked.set())

    thread = threading.Thread(target=wait)
    thread.start()
    assert asked.wait(HUNG_S)
    yield
    ends.set()
    thread.join(HUNG_S)
    rig.close()


def test_a_rig_that_is_served_asks_after_each_power_up(lab, session, fingers):
    rig = session.rig("mini-1")
    session.claims.take(rig, write=False)
    hand = RigThread(rig, 10, lambda: session.claims.prove(rig))
    try:
        hand.ask(hand.give_power, HUNG_S)
        hand.ask(hand.press, HUNG_S)
        hand.ask(hand.release, HUNG_S)
        assert fingers.touches == 1
        hand.ask(lambda: hand.power(False), HUNG_S)
        other = exchange(lab)
        hand.ask(lambda: hand.power(True), HUNG_S)
        hand.ask(hand.ask_key, HUNG_S)
        for _ in range(2):
            with pytest.raises(AnotherKey):
                hand.ask(hand.press, HUNG_S)
        hand.ask(lambda: hand.power(False), HUNG_S)
        with pytest.raises(AnotherKey):
            hand.ask(lambda: hand.power(True), HUNG_S)
        assert fingers.touches == 1
        assert other.writes == []
    finally:
        hand.close(HUNG_S)


def test_a_key_that_is_exchanged_while_it_has_power_is_asked_before_a_touch(lab, session, fingers):
    rig = session.rig("mini-1")
    session.claims.take(rig, write=False)
    hand = RigThread(rig, 10, lambda: session.claims.prove(rig))
    try:
        hand.ask(hand.give_power, HUNG_S)
        other = exchange(lab)
        with pytest.raises(AnotherKey):
            hand.ask(hand.press, HUNG_S)
        assert fingers.touches == 0
        assert other.writes == []
    finally:
        hand.close(HUNG_S)


def test_serve_does_not_begin_with_another_key(lab, session, fingers):
    other = exchange(lab)
    with pytest.raises(AnotherKey):
        serve(session, 0, io.StringIO())
    assert fingers.touches == 0
    assert other.commands
    assert other.writes == []
