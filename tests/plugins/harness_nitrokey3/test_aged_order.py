"""An aged key tells accounts in the order in which they were registered, over the wrap of what it orders by."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.bench.registry import discover
from harness.campaign.home import HomeFault, go_home, go_to_home
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.account_order import ORDER
from harness_fido2.client import fido_memory
from harness_fido2.twin import credentials
from support.nitrokey import nitrokey

KEY = "nitrokey3-mini"


def begun(home):
    rig = nitrokey()
    return go_to_home(rig, go_home(rig), home)


def wraps(order, bits):
    return order % (1 << bits)


def stays_at_the_highest(order, bits):
    return min(order, (1 << bits) - 1)


@pytest.mark.parametrize("stored", [wraps, stays_at_the_highest])
@pytest.mark.parametrize("bits", [8, 16])
def test_an_order_that_is_stored_in_too_few_bits_fails(monkeypatch, bits, stored):
    assert len(fido_memory(begun(f"aged-{bits}").memory).accounts) == 5
    encode = credentials._encode

    def shorter(epoch, credential):
        return encode(epoch, replace(credential, order=stored(credential.order, bits)))

    monkeypatch.setattr(credentials, "_encode", shorter)
    with pytest.raises(HomeFault) as fault:
        begun(f"aged-{bits}")
    assert "the newest first" in str(fault.value)


def test_a_counter_of_32_bits_has_no_wrap_to_look_over():
    home = begun("aged-32")
    assert not fido_memory(home.memory).accounts
    assert ORDER not in [item for part in home.parts for item in part.items]


@pytest.mark.parametrize("fill", [0.5, 1.0])
def test_a_key_that_the_bench_fills_ages_without_accounts(fill):
    plugins = discover()
    key, model = plugins.keys[KEY], plugins.twins[KEY]
    rig = TwinRig("full", key, model, TwinOptions(fill=fill), 1, expendable=True)
    home = go_to_home(rig, go_home(rig), "aged-8")
    assert not fido_memory(home.memory).accounts
