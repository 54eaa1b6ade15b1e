"""State is for its owner alone: folders 0700, files 0600, whatever the umask."""

from __future__ import annotations

import os
import stat

import pytest

from harness.evidence.ledger import Ledger, state_dir


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home" / "state"))
    monkeypatch.delenv("KEYHARNESS_LEDGER", raising=False)
    before = os.umask(0o022)
    yield tmp_path / "home" / "state" / "keyharness"
    os.umask(before)


def test_state_is_made_for_its_owner_alone(home):
    Ledger().close()
    assert mode(home) == 0o700
    assert mode(home.parent) == 0o700
    assert {path.name: mode(path) for path in home.iterdir()} == dict.fromkeys(
        (path.name for path in home.iterdir()), 0o600
    )
    assert (home / "ledger.sqlite").exists()


def test_what_an_older_version_left_open_is_closed(home):
    home.mkdir(parents=True, mode=0o755)
    (home / "ledger.sqlite").touch(mode=0o644)
    assert state_dir() == home
    assert mode(home) == 0o700
    Ledger().close()
    assert mode(home / "ledger.sqlite") == 0o600


def test_a_ledger_that_the_caller_shares_keeps_its_mode(home, tmp_path, monkeypatch):
    shared = tmp_path / "shared.sqlite"
    shared.touch()
    shared.chmod(0o660)
    monkeypatch.setenv("KEYHARNESS_LEDGER", str(shared))
    Ledger().close()
    assert mode(shared) == 0o660
