"""PINs: where they may come from, and that no crash loses one."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from cryptography.fernet import Fernet

from harness.base.errors import CallerError
from harness.model.pin import PinReference
from harness.safety import pins
from harness.safety.pin_journal import PinJournal
from harness_fido2.client import FIDO2_PIN
from harness_openpgp.client import PW1

PW3 = PinReference("PW3", 3)
SO_PIN = PinReference("SO-PIN", 15, counted_as="so_pin_tries", granted=False, hexadecimal=True)


def rig(kind="hardware", identity="uuid:1"):
    return SimpleNamespace(name="mini-2", evidence_kind=kind, seed=7, identity=identity)


def test_on_twins_they_follow_from_the_seed(own_state):
    one, other = (
        pins.pin_for(rig("twin"), "first", FIDO2_PIN),
        pins.pin_for(rig("twin"), "changed", FIDO2_PIN),
    )
    assert one != other
    assert pins.pin_for(rig("twin"), "first", FIDO2_PIN) == one
    assert not (own_state / "state").exists(), "nothing of it is written down"


def test_the_environment_and_a_secret_file_give_them(own_state, monkeypatch):
    secret = own_state / "pins"
    secret.write_text("KEYHARNESS_PIN_MINI_2=24681357\nKEYHARNESS_PIN_MINI_2_PW3=99887766\n")
    secret.chmod(0o600)
    monkeypatch.setenv("KEYHARNESS_PINS", str(secret))
    assert pins.pin_for(rig(), "first", FIDO2_PIN) == "24681357"
    assert pins.given("mini-2", PW3) == "99887766"
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2", "13572468")
    assert pins.pin_for(rig(), "first", FIDO2_PIN) == "13572468"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_secret_file_that_others_can_read_is_refused(own_state, monkeypatch, mode):
    secret = own_state / "pins"
    secret.write_text("KEYHARNESS_PIN_MINI_2=24681357\n")
    secret.chmod(mode)
    monkeypatch.setenv("KEYHARNESS_PINS", str(secret))
    with pytest.raises(CallerError) as error:
        pins.pin_for(rig(), "first", FIDO2_PIN)
    assert f"{mode:04o}" in str(error.value)
    assert "24681357" not in str(error.value)


def test_a_secret_file_that_is_no_text_is_named(own_state, monkeypatch):
    secret = own_state / "pins"
    secret.write_bytes(b"KEYHARNESS_PIN_MINI_2=2468\xff1357\n")
    secret.chmod(0o600)
    monkeypatch.setenv("KEYHARNESS_PINS", str(secret))
    with pytest.raises(CallerError, match="UTF-8") as error:
        pins.pin_for(rig(), "first", FIDO2_PIN)
    assert "2468" not in str(error.value)


def test_a_pin_that_is_asked_for_says_how_to_give_it(own_state):
    with pytest.raises(CallerError, match="PIN") as error:
        pins.required(rig(), FIDO2_PIN)
    assert "KEYHARNESS_PIN_MINI_2" in error.value.mend


def test_a_new_pin_is_on_the_disk_encrypted_before_it_is_returned(own_state):
    """The process is killed the moment it has the PIN, before it could send it."""
    code = (
        "import os, sys\n"
        "from types import SimpleNamespace\n"
        "from harness.safety import pins\n"
        "from harness_fido2.client import FIDO2_PIN\n"
        "rig = SimpleNamespace(name='mini-2', evidence_kind='hardware', seed=7, identity='uuid:1')\n"
        "pin = pins.pin_for(rig, 'changed', FIDO2_PIN)\n"
        "os.write(1, pin.encode()); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pin = done.stdout
    assert done.returncode == -9
    assert len(pin) == 8
    (record,) = PinJournal("uuid:1").records()
    assert (record.which, record.pin) == ("changed", pin)
    assert pins.candidates(rig(), FIDO2_PIN)[0] == pin
    for path in (own_state / "state").rglob("*"):
        if path.is_file():
            assert pin.encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0


def test_each_purpose_keeps_its_pin_on_a_key(own_state):
    """After a cut that was not acknowledged the PIN must be one that the host knows."""
    first, changed = (pins.pin_for(rig(), which, FIDO2_PIN) for which in ("first", "changed"))
    assert changed not in (first, pins.pin_for(rig(), "reset", FIDO2_PIN))
    assert pins.pin_for(rig(), "changed", FIDO2_PIN) == changed
    assert pins.pin_for(rig(), "first", FIDO2_PIN) == first
    assert pins.candidates(rig(), FIDO2_PIN)[:2] == [first, changed], (
        "what was handed out last is tried first"
    )


@pytest.mark.parametrize(
    ("pin", "reference"),
    [("123456", FIDO2_PIN), ("123456", PW1), ("\0\xff\0\x80", PW1)],
    ids=["FIDO2", "PW1", "PW1 made by a KDF"],
)
def test_whatever_bytes_a_pin_has_are_read_back(own_state, pin, reference):
    journal = PinJournal("uuid:1")
    journal.write_ahead("next", pin, reference)
    (record,) = journal.records(reference)
    assert (record.which, record.pin) == ("next", pin)


def test_a_torn_record_spoils_no_other(own_state):
    journal = PinJournal("uuid:1")
    journal.write_ahead("first", "11112222", FIDO2_PIN)
    with journal.path.open("ab") as file:
        file.write(b'{"at": "20')
    journal.write_ahead("changed", "33334444", FIDO2_PIN)
    assert "33334444" in [one.pin for one in journal.records()]
    assert "11112222" in [one.pin for one in journal.records()]


def test_the_key_of_the_journal_may_come_from_the_environment(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", Fernet.generate_key().decode())
    PinJournal("uuid:1").write_ahead("first", "11112222", FIDO2_PIN)
    assert not (own_state / "state" / "keyharness" / "pin.key").exists()
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", Fernet.generate_key().decode())
    with pytest.raises(CallerError, match="uuid-1"):
        PinJournal("uuid:1").records()
    monkeypatch.setenv("KEYHARNESS_PIN_KEY", "no key")
    with pytest.raises(CallerError, match="KEYHARNESS_PIN_KEY"):
        PinJournal("uuid:1").records()


def test_a_wrong_pin_is_none_that_may_be_right(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2", "00000000")
    assert pins.pin_for(rig(), "wrong", FIDO2_PIN) not in ("00000000",)


def test_each_pin_of_a_key_is_one_of_its_own(own_state, monkeypatch):
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2", "11112222")
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2_SO_PIN", "0011223344556677")
    made = pins.pin_for(rig(), "changed", PW3)
    assert pins.pin_for(rig(), "first", SO_PIN) == "0011223344556677"
    assert pins.candidates(rig(), PW3) == [made]
    assert pins.candidates(rig(), FIDO2_PIN) == ["11112222"]
    assert [one.reference for one in PinJournal("uuid:1").records()] == ["PW3"]


def test_an_so_pin_is_16_hex_digits(own_state, monkeypatch):
    for kind in ("twin", "hardware"):
        made = pins.pin_for(rig(kind), "changed", SO_PIN)
        assert len(bytes.fromhex(made)) == 8
        assert len(bytes.fromhex(pins.pin_for(rig(kind), "wrong", SO_PIN))) == 8
    monkeypatch.setenv("KEYHARNESS_PIN_MINI_2_SO_PIN", "35373632")
    with pytest.raises(CallerError, match="SO_PIN") as error:
        pins.pin_for(rig(), "first", SO_PIN)
    assert "35373632" not in str(error.value)


def test_two_pins_of_a_twin_differ():
    assert len({pins.pin_for(rig("twin"), "first", one) for one in (PW3, SO_PIN, FIDO2_PIN)}) == 3


def test_a_bench_may_say_tries_by_the_names_of_pins_and_no_pin():
    pins.refuse_pins_in({"rig": [{"budget": {"tries": {"SO-PIN": 2, "PUK": 1}}}]}, "bench.toml")
    with pytest.raises(CallerError, match="SO-PIN") as error:
        pins.refuse_pins_in({"rig": [{"budget": {"SO-PIN": "0011223344556677"}}]}, "bench.toml")
    assert "0011" not in str(error.value)
