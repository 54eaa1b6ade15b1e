"""State that the first version wrote is still read: above all the PINs, without which a key is locked."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.bench.calibration import calibration_for
from harness.evidence.ledger import Ledger
from harness.host.locks import InUse, Lock
from harness.safety import pins, quarantine
from harness.safety.budget import Budget, Grants
from harness.safety.pin_journal import PinJournal
from harness.safety.power_journal import PowerLog
from harness_fido2.client import FIDO2_PIN

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
KEY = "uuid:00112233445566778899aabbccddeeff"
WIRING = "lcus /dev/ttyUSB0 channel 1 · port 1-1.4"


@pytest.fixture(autouse=True)
def old_state(tmp_path, monkeypatch) -> Path:
    """A copy of it, in force; a version control system keeps no modes."""
    state = tmp_path / "state"
    shutil.copytree(ROOT / "tests" / "golden" / "state-0", state)
    for file in state.rglob("*"):
        file.chmod(0o700 if file.is_dir() else 0o600)
    for name in list(os.environ):
        if name.startswith("KEYHARNESS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    monkeypatch.setenv("KEYHARNESS_RUNTIME", str(state / "runtime"))
    return state


def test_the_pin_journal_opens_and_every_pin_is_tried_newest_first():
    assert [(one.which, one.pin) for one in PinJournal(KEY).records(FIDO2_PIN)] == [
        ("first", "12345678"),
        ("set", "87654321"),
        ("set", "11223344"),
    ]
    rig = SimpleNamespace(name="r", evidence_kind="hardware", seed=1, identity=KEY)
    assert pins.candidates(rig, FIDO2_PIN) == ["11223344", "87654321", "12345678"]
    assert pins.pin_for(rig, "first", FIDO2_PIN) == "12345678"


def test_the_pin_journal_goes_on_in_the_same_file():
    PinJournal(KEY).write_ahead("set", "55667788", FIDO2_PIN)
    assert [one.pin for one in PinJournal(KEY).records()][-2:] == ["11223344", "55667788"]


def test_the_ledger_keeps_what_was_spent():
    with Ledger() as ledger:
        budget = Budget(ledger, KEY, "hardware", "r", Grants())
        spent = {
            what: budget.spent(what)
            for what in ("pin_tries", "so_pin_tries", "forced_updates", "erases", "relay_operations")
        }
        assert budget.left(FIDO2_PIN.tries) == 999
    assert spent == {
        "pin_tries": 1,
        "so_pin_tries": 2,
        "forced_updates": 1,
        "erases": 3,
        "relay_operations": 1,
    }


def test_the_ledger_takes_what_the_first_version_did_not_know():
    with Ledger() as ledger:
        assert ledger.boot_of(KEY) is None
        ledger.note_boot(KEY, "one", "r", "", "{}")
        assert ledger.boot_of(KEY) == "one"


def test_a_rig_in_quarantine_stays_there_until_somebody_clears_it():
    held = quarantine.quarantined("usb:1-1.4")
    assert held is not None
    assert held.why == "the switch did not switch\nsecond line"
    assert quarantine.quarantined("usb:1-1.5") is None
    quarantine.clear("usb:1-1.4", "seen to")
    assert quarantine.quarantined("usb:1-1.4") is None


def test_a_port_that_a_killed_run_left_off_is_given_back_on():
    power = SimpleNamespace(is_on=False)
    power.on = lambda: setattr(power, "is_on", True)
    assert PowerLog("usb:1-1.4").left_behind
    assert PowerLog("usb:1-1.4").take(SimpleNamespace(power=power))
    assert power.is_on
    assert not PowerLog("usb:1-1.6").left_behind


def test_a_calibration_is_in_force_for_the_same_wiring():
    found = calibration_for(WIRING)
    assert found is not None
    assert (found.cut_ms, found.off_s, found.booted, found.neighbours) == (
        9.5,
        1.4,
        True,
        ("1-1.3 keyboard",),
    )
    assert calibration_for(WIRING + " elsewhere") is None


def test_a_lock_of_the_first_version_and_one_of_today_keep_each_other_out(old_state):
    (file,) = (old_state / "runtime").glob("port-usb-1-1.5.*.lock")
    with file.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InUse, match="1-1") as error:
            Lock("port usb:1-1.5").take("test")
        assert "run, rig held" in str(error.value)
    Lock("port usb:1-1.5").take("test")
