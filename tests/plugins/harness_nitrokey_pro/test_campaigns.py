"""The simulated Nitrokey Pro, cut in every flash operation: sound it is clean, and each bug is caught."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.recording import UncutFault
from harness.model.outcome import Outcome
from harness_nitrokey_pro.otp_operations import BEFORE_WRAP, USES
from support.hsm import outcomes
from support.pro import NAME, walked

BOTH, THREE = {"old", "new"}, {"old", "recovered", "new"}
OPERATIONS = {
    "pro.write_hotp": BOTH,
    "pro.replace_hotp": BOTH,
    "pro.write_totp": BOTH,
    "pro.replace_totp": BOTH,
    "pro.erase_hotp": BOTH,
    "pro.erase_totp": BOTH,
    # Nothing is written where nobody is authorised.
    "pro.erase_totp.unauthorised": {"old"},
    "pro.hotp": BOTH,
    "pro.hotp.roll": BOTH,
    "pro.hotp.roll_and_store": BOTH,
    "pro.verify": BOTH,
    "pro.set_time": BOTH,
    "pro.set_time.full": BOTH,
    "pro.config": BOTH,
    "pro.safe.write": BOTH,
    "pro.safe.overwrite": BOTH,
    "pro.safe.erase": BOTH,
    "pro.safe.mixed": {"old"},
    "pro.new_safe": BOTH,
    "pro.log_in_user": THREE,
    "pro.log_in_admin": THREE,
    "pro.open_safe": THREE,
    "pro.change_user_pin": BOTH,
    "pro.change_admin_pin": BOTH,
    "pro.unblock": BOTH,
    "pro.log_in_user.wrong": BOTH,
    "pro.log_in_admin.wrong": BOTH,
    "pro.open_safe.wrong": BOTH,
    "pro.change_user_pin.wrong": BOTH,
    "pro.unblock.wrong": BOTH,
    "pro.new_safe.wrong": BOTH,
    "pro.factory_reset.wrong": BOTH,
    "pro.firmware_password": BOTH,
    "pro.firmware_password.wrong": {"old"},
    "pro.factory_reset": THREE,
    "pro.update": {"old", "bootloader", "new"},
    "pro.update.refused": {"old"},
    "pro.update.left": {"old"},
}
CAUGHT = {
    "backup-address-half": ("pro.write_hotp", "device", Outcome.STUCK),
    "slot-page-in-place": ("pro.write_totp", "pro.slots", Outcome.TORN),
    "counter-before-slot": ("pro.replace_hotp", "pro.hotp", Outcome.TORN),
    "slot-before-counter": ("pro.replace_hotp", "pro.hotp", Outcome.TORN),
    "hotp-roll-in-place": ("pro.hotp.roll", "pro.hotp", Outcome.LOST),
    "hotp-answered-first": ("pro.hotp", "pro.hotp_counter", Outcome.ROLLED_BACK),
    "verified-code-again": ("pro.verify", "pro.verified", Outcome.ROLLED_BACK),
    "safe-page-without-backup": ("pro.safe.write", "pro.safe", Outcome.TORN),
    "safe-slots-mixed": ("pro.safe.mixed", "pro.safe", Outcome.TORN),
    "admin-not-asked": ("pro.erase_totp.unauthorised", "pro.slots", Outcome.TORN),
    "reset-keeps-settings": ("pro.factory_reset", "pro.config", Outcome.LOOSENED),
    "safe-key-before-pin": ("pro.new_safe.wrong", "pro.safe", Outcome.LOST),
    "user-page-without-backup": ("pro.firmware_password", "pro.safe", Outcome.LOST),
    "update-password-in-two": ("pro.firmware_password", "pro.firmware_password", Outcome.TORN),
    "reset-card-first": ("pro.factory_reset", "pro.slots", Outcome.TORN),
    "update-cut-starts-anyway": ("pro.update", "device", Outcome.STUCK),
    "time-page-erased-first": ("pro.set_time.full", "pro.time", Outcome.TORN),
}
UNCUT = {
    "hotp-roll-locks-flash": ("pro.hotp.roll", f"HOTP code number {BEFORE_WRAP + USES}"),
    "totp-stale-time": ("pro.log_in_user", "pro.untold"),
}
"""What shows before anything is cut."""
LONG = {name for name in OPERATIONS if name.split(".")[1] in ("hotp", "factory_reset")}


def marked(name: str, operation: str):
    return pytest.param(name, marks=[pytest.mark.long] if operation in LONG else [])


def test_every_operation_of_the_hid_side_has_its_row():
    operations = discover().keys[NAME].operations
    assert {name for name in operations if name.startswith("pro.")} == OPERATIONS.keys()
    assert CAUGHT.keys() | UNCUT.keys() == discover().twins[NAME].defects.keys()


@pytest.mark.parametrize("write", [marked(name, name) for name in OPERATIONS])
def test_the_sound_one_breaks_no_law_in_any_cut(write):
    result = walked(write)
    assert result.findings == []
    assert result.exhaustive
    assert outcomes(result).keys() == OPERATIONS[write]


@pytest.mark.parametrize("defect", [marked(name, CAUGHT[name][0]) for name in CAUGHT])
def test_each_bug_is_caught_by_the_law_that_it_breaks(defect):
    operation, item, outcome = CAUGHT[defect]
    found = {(finding.item, finding.outcome) for finding in walked(operation, defect).findings}
    assert (item, outcome) in found


@pytest.mark.parametrize("defect", UNCUT)
def test_a_bug_that_needs_no_cut_is_found_before_the_first_one(defect):
    operation, said = UNCUT[defect]
    with pytest.raises(UncutFault, match=said):
        walked(operation, defect, cuts=1)


def test_the_order_of_writes_that_was_read_breaks_these_laws():
    found = {
        (finding.item, finding.outcome)
        for write in ("pro.safe.write", "pro.firmware_password")
        for finding in walked(write, personality="v0.15", cuts=40).findings
    }
    assert {("pro.safe", Outcome.TORN), ("pro.firmware_password", Outcome.TORN)} <= found


@pytest.mark.parametrize("write", ["pro.replace_hotp", "pro.set_time", "pro.factory_reset"])
def test_a_key_without_a_safe_is_sound(write):
    result = walked(write, personality="card-2.1", cuts=20)
    assert result.findings == []
    assert {"old", "new"} <= outcomes(result).keys()


@pytest.mark.parametrize("write", ["openpgp.change_pw1", "openpgp.reset", "openpgp.generate.decipher"])
def test_writes_of_the_card_leave_the_hid_side_as_they_must(write):
    result = walked(write, cuts=40)
    assert result.findings == []
    assert {"old", "new"} <= outcomes(result).keys()
