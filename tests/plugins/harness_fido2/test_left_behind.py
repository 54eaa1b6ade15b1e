"""A reset that leaves keys or credentials of before on the flash fails, although nobody can use them any more."""

from __future__ import annotations

import pytest

from harness_fido2.left_behind import FILES_OF_BEFORE
from harness_fido2.twin.credentials import ResidentCredentials
from harness_fido2.twin.persistent_state import PersistentState
from support.nitrokey import walked

CUTS = 12


@pytest.mark.parametrize("operation", ["fido2.reset", "fido2.reset.register", "admin.factory_reset"])
def test_a_sound_reset_leaves_all_or_nothing(operation):
    result = walked(operation, cuts=CUTS)
    assert not result.findings
    assert {"old", "new"} <= set(result.outcomes)


@pytest.mark.parametrize("operation", ["fido2.reset", "admin.factory_reset"])
def test_a_reset_that_no_boot_finishes_fails(monkeypatch, operation):
    monkeypatch.setattr(PersistentState, "stale_keys", lambda self: [])
    assert FILES_OF_BEFORE.name in {one.item for one in walked(operation, cuts=CUTS).findings}


def test_a_reset_that_leaves_the_credentials_of_before_fails(monkeypatch):
    monkeypatch.setattr(ResidentCredentials, "sweep", lambda self: None)
    (finding,) = walked("fido2.reset", cuts=CUTS).findings
    assert finding.item == FILES_OF_BEFORE.name
    assert "are left" in finding.text
