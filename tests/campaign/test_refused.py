"""A refusal is the core's own error: what items, operations and cases make of it."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pytest
from fido2.ctap import CtapError
from nitrokey.trussed import TrussedException

from harness.base.errors import HarnessFault, KeyFault, Refused, RigError
from harness.bench.registry import discover
from harness.campaign.observe import observe
from harness.model.key import Application, Face, Key, holds_nothing
from harness.model.memory import Memory
from harness.model.operation import Item
from harness.model.outcome import Law
from harness.model.rig import KeyGone
from harness.pytest_plugin.cases import blame_of


def key_of(*applications):
    return Key("k", "K", (Face("application", 0, 0, "K"),), applications, lambda rig: {})


def rig_of(key):
    power = SimpleNamespace(is_on=True, on=lambda: None, off=lambda: None)
    return SimpleNamespace(key=key, power=power, face="application", wait_until_up=lambda: None)


def seen(raised, key=None):
    def look(look):
        raise raised

    item = Item("a.b", Law.KEPT, look)
    return observe(rig_of(key or key_of()), [item], Memory(), Memory()).values


def test_a_refusal_says_its_whole_status():
    assert Refused("VERIFY", "63C2").value == "refused: VERIFY (63C2)"
    assert Refused("NO_CREDENTIALS", 0x2E).value == "refused: NO_CREDENTIALS (0x2e)"
    assert str(Refused("VERIFY", "63C2")) == "VERIFY\n  found     status 63C2"


def test_a_refusal_crosses_processes():
    copy = pickle.loads(pickle.dumps(Refused("VERIFY", "63C2", expected="9000")))
    assert (copy.what, copy.status, copy.expected, copy.blame) == ("VERIFY", "63C2", "9000", "key")


def test_an_item_that_is_refused_has_that_as_its_value():
    assert seen(Refused("READ BINARY", "6982")) == {"a.b": "refused: READ BINARY (6982)"}


def test_an_exception_of_a_client_library_is_told_by_the_client():
    fido = discover().keys["fido2"]
    assert seen(CtapError(0x2E), fido) == {"a.b": "refused: NO_CREDENTIALS (0x2e)"}


def test_what_no_client_knows_is_the_harnesss_fault():
    with pytest.raises(HarnessFault, match="could not be observed"):
        seen(ZeroDivisionError(), discover().keys["fido2"])


def test_other_errors_of_the_families_stay_what_they_are():
    with pytest.raises(RigError):
        seen(RigError("no relay"))


@pytest.mark.parametrize(
    ("error", "key", "blame"),
    [
        (Refused("VERIFY", "63C2"), "fido2", "key"),
        (CtapError(0x2E), "fido2", "key"),
        (TrussedException("no"), "nitrokey3-mini", "key"),
        (TrussedException("no"), "fido2", "harness"),
        (KeyGone("gone"), "fido2", "key"),
        (AssertionError(), "fido2", "key"),
        (ZeroDivisionError(), "nitrokey3-mini", "harness"),
        (RigError("no relay"), "fido2", "rig"),
    ],
)
def test_a_case_is_blamed_by_the_clients_of_the_key(error, key, blame):
    assert blame_of(error, discover().keys[key]) == blame


def test_the_first_application_that_knows_an_exception_tells_what_it_says():
    def told(error):
        return KeyFault("mine") if isinstance(error, ValueError) else None

    quiet = Application("a", "A", lambda rig, memory: None, (), (), holds_nothing)
    knows = Application("b", "B", lambda rig, memory: None, (), (), holds_nothing, fault=told)
    key = key_of(quiet, knows)
    assert key.fault(ValueError()).what == "mine"
    assert key.fault(TypeError()) is None
