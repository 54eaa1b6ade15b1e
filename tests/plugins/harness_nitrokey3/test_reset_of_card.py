"""A reset of the OpenPGP card that is cut must not go on as a reset of the whole key."""

from __future__ import annotations

from harness_nitrokey3.twin.admin import Admin
from support.nitrokey import found, walked

RESET = "admin.factory_reset.openpgp"


def test_a_sound_key_passes():
    result = walked(RESET, cuts=40)
    assert set(result.outcomes) == {"old", "new"}
    assert not result.findings


def test_a_reset_of_the_card_that_a_boot_finishes_for_all_fails(monkeypatch):
    reset = Admin._reset

    def wider(self, scope):
        reset(self, "*" if self._finishing else scope)

    attach = Admin.attach

    def attached(self, *more):
        self._finishing = True
        try:
            attach(self, *more)
        finally:
            self._finishing = False

    monkeypatch.setattr(Admin, "_finishing", False, raising=False)
    monkeypatch.setattr(Admin, "attach", attached)
    monkeypatch.setattr(Admin, "_reset", wider)
    broken = found(walked(RESET, cuts=60))
    assert ("fido2.pin_set", "loosened") in broken
