"""PINs: where they may come from, and that no crash loses one."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet

from harness.base.errors import CallerError
from harness.safety import pins
from harness.safety.pins import PinJournal


def rig(kind="hardware", identity="uuid:1"):
    return SimpleNamespace(name="mini-2", evidence_kind=kind, seed=7, identity=identity)


def test_on_twins_they_follow_from_the_seed(own_state):
    one, other = pins.pin_for(rig("twin"), "first"), pins.pin_for(rig("twin"), "changed")
    assert one != other
    assert pins.pin_for(rig("twin"), "first") == one
    assert not (own_state / "state").exists(), "nothing of it is written down"


def test_the_environment_and_a_secret_file_give_them(own_state, monkeypatch):
    secret = own_state / "pins"
    secret.write_text("KEYHARNESS_PIN_MINI_2=24681357\nKEYHARNESS_PIN_MINI_2_ADMIN=99887766\n")
    secret.chmod(0o600)
    monkeypatch.setenv("KEYHARNESS_PINS", str(secret))
    assert pins.pin_for(rig(), "first") == "24681357"
    assert pins.given("mini-2", admin=True) == "99887766"
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2", "13572468")
    assert pins.pin_for(rig(), "first") == "13572468"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_file_that_others_can_read_is_refused(own_state, monkeypatch, mode):
    secret = own_state / "pins"
    secret.write_text("KEYHARNESS_PIN_MINI_2=24681357\n")
    secret.chmod(mode)
    monkeypatch.setenv("KEYHARNESS_PINS", str(secret))
    with pytest.raises(CallerError) as error:
        pins.pin_for(rig(), "first")
    assert f"{mode:04o}" in str(error.value)
    assert "24681357" not in str(error.value)


def test_a_pin_that_is_asked_for_says_how_to_give_it(own_state):
    with pytest.raises(CallerError, match="PIN") as error:
        pins.required(rig())
    assert "KEYHARNESS_PIN_MINI_2" in error.value.mend


def test_a_new_pin_is_on_the_disk_encrypted_before_it_is_returned(own_state):
    """The process is killed the moment it has the PIN, before it could send it."""
    code = (
        "import os, sys\n"
        "from types import SimpleNamespace\n"
        "from harness.safety import pins\n"
        "rig = SimpleNamespace(name='mini-2', evidence_kind='hardware', seed=7, identity='uuid:1')\n"
        "pin = pins.pin_for(rig, 'changed')\n"
        "os.write(1, pin.encode()); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pin = done.stdout
    assert done.returncode == -9
    assert len(pin) == 8
    (record,) = PinJournal("uuid:1").records()
    assert (record.which, record.pin) == ("changed", pin)
    assert pins.candidates(rig())[0] == pin
    for path in (own_state / "state").rglob("*"):
        if path.is_file():
            assert pin.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


def test_a_torn_record_spoils_no_other(own_state):
    journal = PinJournal("uuid:1")
    journal.write_ahead("first", "11112222")
    with journal.path.open("ab") as file:
        file.write(b'{"at": "20')
    journal.write_ahead("changed", "33334444")
    assert "33334444" in [one.pin for one in journal.records()]
    assert "11112222" in [one.pin for one in journal.records()]


def test_the_key_of_the_journal_may_come_from_the_environment(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", Fernet.generate_key().decode())
    PinJournal("uuid:1").write_ahead("first", "11112222")
    assert not (own_state / "state" / "keyharness" / "pin.key").exists()
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", Fernet.generate_key().decode())
    with pytest.raises(CallerError, match="uuid-1"):
        PinJournal("uuid:1").records()
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", "no key")
    with pytest.raises(CallerError, match="KEYHARNESS_PIN_KEY"):
        PinJournal("uuid:1").records()


def test_a_wrong_pin_is_none_that_may_be_right(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2", "00000000")
    assert pins.pin_for(rig(), "wrong") not in ("00000000",)
