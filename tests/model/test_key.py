"""What an application has to say of itself, so that no key is harmed by something left out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.model.key import CANNOT_TELL, Application, Face, Key, client_randomness, holds_nothing
from harness.safety.identity import foreign, unseen


def application(name, foreign, **more):
    return Application(name, name.title(), lambda rig, memory: None, (), (), foreign, **more)


def rig_of(*applications):
    key = Key("k", "K", (Face("application", 0, 0, "K"),), applications, lambda rig: {})
    return SimpleNamespace(key=key, evidence_kind="hardware")


def test_an_application_that_says_nothing_of_foreign_data_is_none():
    with pytest.raises(TypeError, match="foreign"):
        Application("a", "A", lambda rig, memory: None, (), ())


def test_one_that_cannot_tell_says_so_and_enrolment_repeats_it():
    rig = rig_of(application("vault", CANNOT_TELL), application("admin", holds_nothing))
    assert foreign(rig) == []
    assert unseen(rig) == ["Vault: whatever it holds, nothing says whose that is"]


def test_one_that_can_tell_is_asked():
    rig = rig_of(application("admin", holds_nothing), application("vault", lambda rig: ["two secrets"]))
    assert foreign(rig) == ["Vault: two secrets"]


def test_each_client_gets_randomness_once():
    entered = []

    class Injected:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            entered.append(self.stream)

        def __exit__(self, *_):
            entered.append("left")

    rig = rig_of(
        application("a", holds_nothing, randomness=Injected),
        application("b", holds_nothing, randomness=Injected),
        application("c", holds_nothing),
    )
    with client_randomness(rig.key, lambda: "stream"):
        assert entered == ["stream"]
    assert entered == ["stream", "left"]
