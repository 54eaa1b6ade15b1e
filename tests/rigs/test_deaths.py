"""Notes of how a key has ended by itself."""

from __future__ import annotations

from harness_rigs.deaths import DeathNotes


def test_each_way_is_noted_once_until_it_is_taken():
    deaths = DeathNotes()
    for how in ("crashed: SIGSEGV", "hung: no answer within 2 s", "crashed: SIGSEGV"):
        deaths.note(how)
    assert deaths.take() == ["crashed: SIGSEGV", "hung: no answer within 2 s"]
    assert deaths.take() == []
    deaths.note("crashed: SIGSEGV")
    assert deaths.take() == ["crashed: SIGSEGV"]
