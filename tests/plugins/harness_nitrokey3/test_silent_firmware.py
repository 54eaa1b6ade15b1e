"""A firmware that leaves a request without any answer: that is the key's fault, and no fault of the harness."""

from __future__ import annotations

import pytest

from harness.campaign.walk import Campaign
from harness.pytest_plugin.cases import blame_of
from harness_fido2.twin.hid import CBOR, HidFirmware
from support.nitrokey import at_home
from support.terms import terms


def test_a_login_that_is_never_answered_fails_the_key(monkeypatch):
    rig, home = at_home()
    respond = HidFirmware._respond

    def swallowed(self, channel, command, data):
        asked = self._message
        if command != CBOR or asked is not None or len(data) < 100:
            respond(self, channel, command, data)

    monkeypatch.setattr(HidFirmware, "_respond", swallowed)
    with pytest.raises(TimeoutError, match="the key does not answer") as told:
        Campaign(rig, rig.key.operations["fido2.get_assertion"], home, terms(1)).run()
    assert blame_of(told.value, rig.key) == "key"
