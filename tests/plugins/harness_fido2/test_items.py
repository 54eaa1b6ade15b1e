"""What is observed of a key whose owner has to change the PIN first."""

from __future__ import annotations

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.observe import observe
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.settings import OPERATIONS

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]
BY_NAME = {operation.name: operation for operation in OPERATIONS}


def test_a_key_that_demands_another_pin_is_looked_at_after_the_pin_was_changed():
    """With alwaysUv on, each use needs a token, and the key rightly gives none before the PIN was changed."""
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(personality="reference-1.9"), 1, expendable=True)
    memory = go_home(rig).memory
    rig.power.on()
    BY_NAME["fido2.config.always_uv"].act(rig, memory)
    BY_NAME["fido2.config.min_pin.forced"].act(rig, memory)
    seen = observe(rig, KEY.items, memory, memory).values
    assert seen["fido2.resident_credentials"] == ("canary-1", "canary-2"), seen
    assert seen["fido2.non_resident_credential"] == "asserts"
    assert seen["fido2.attestation"].endswith(", valid")
    assert seen["fido2.fresh_credential"] == "asserts"
