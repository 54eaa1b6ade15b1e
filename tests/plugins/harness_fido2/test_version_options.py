"""Operations follow what the key's version has."""

from __future__ import annotations

import pytest

from harness.bench.registry import discover
from harness.campaign.home import go_home, missing_of, seeded
from harness.campaign.observe import observe
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.client import fido_memory
from harness_fido2.twin import authenticator, credmgmt
from harness_fido2.twin.authenticator import Authenticator

PROTOTYPE, FINAL = 0x41, 0x0A
DELETE, RENAME = "fido2.credential_management.delete", "fido2.credential_management.update_user"


def rig_of(version):
    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    return TwinRig("nk3", key, twin, TwinOptions(personality=version), 1, expendable=True)


@pytest.fixture
def preview(monkeypatch):
    """A key of FIDO_2_1_PRE: credentialMgmtPreview instead of credMgmt, and the prototype command alone."""
    told = Authenticator.get_info

    def get_info(self):
        info = yield from told(self)
        options = info[0x04]
        del options["credMgmt"]
        info[0x01] = ["FIDO_2_0", "FIDO_2_1_PRE"]
        info[0x04] = {**options, "credentialMgmtPreview": True}
        return info

    monkeypatch.setitem(authenticator._WITHOUT_PARAMETERS, 0x04, get_info)
    monkeypatch.setitem(authenticator._WITH_PARAMETERS, PROTOTYPE, credmgmt.credential_management)
    monkeypatch.delitem(authenticator._WITH_PARAMETERS, FINAL)
    monkeypatch.setattr(authenticator, "_CONTINUING", {*authenticator._CONTINUING, PROTOTYPE})
    return rig_of("reference")


def missing(rig, home, *names):
    return missing_of(rig, home, [rig.key.operations[name] for name in names])


def test_a_key_of_the_prototype_is_managed_by_the_prototype(preview):
    home = go_home(preview)
    assert fido_memory(home.memory).lists
    why = missing(preview, home, DELETE, RENAME)
    assert why[DELETE] is None
    assert "credMgmt" in why[RENAME], "the prototype renames no user"


def test_deleting_by_the_prototype_is_observed(preview):
    home = go_home(preview)
    delete = preview.key.operations[DELETE]
    memory = home.memory.copy()
    preview.inside.restore(home.state)
    preview.power.on()
    with seeded(preview, "delete"):
        delete.arrange(preview, memory)
        before = memory.copy()
        delete.act(preview, memory)
        preview.power.off()
        seen = observe(preview, delete.items, before, memory).values
    (new,) = [world for world in delete.worlds(before, memory) if world.name == "new"]
    assert {name: seen[name] for name in new.values} == new.values


def test_a_key_that_verifies_users_whenever_it_has_a_pin_is_not_said_to_be_delivered_so(monkeypatch):
    told = Authenticator.get_info

    def get_info(self):
        info = yield from told(self)
        info[0x04] = {**info[0x04], "alwaysUv": info[0x04]["clientPin"]}
        return info

    monkeypatch.setitem(authenticator._WITHOUT_PARAMETERS, 0x04, get_info)
    rig = rig_of("reference-1.9")
    home = go_home(rig)
    why = missing(rig, home, "fido2.config.always_uv")["fido2.config.always_uv"]
    assert "while a PIN is set" in why
    assert "beginning" not in why
