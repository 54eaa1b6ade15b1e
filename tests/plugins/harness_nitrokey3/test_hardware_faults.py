"""Hardware faults are staged where they are meant to be, whatever the seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.errors import KeyFault
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.walk import Campaign
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_nitrokey3.hardware_faults import SLICE, without
from harness_nitrokey3.twin import boot
from support.terms import terms

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]


@given(
    st.binary(min_size=SLICE, max_size=4 * SLICE + 1),
    st.binary(max_size=200),
    st.binary(max_size=200),
)
def test_only_what_reads_as_a_slice_of_the_content_is_erased(content, before, after):
    page = before + content + after
    left = without(page, content)
    assert len(left) == len(page)
    slices = [content[at : at + SLICE] for at in range(len(content) - SLICE + 1)]
    covered = {
        at + within
        for at in range(len(page) - SLICE + 1)
        if page[at : at + SLICE] in slices
        for within in range(SLICE)
    }
    assert all(left[at] == page[at] for at in range(len(page)) if at not in covered)


@pytest.mark.parametrize("length", [SLICE, 2 * SLICE, 15 * SLICE + 1, 16 * SLICE - 1])
def test_the_content_is_gone_whatever_its_length(length):
    """A certificate of 481 bytes once left a last slice of one byte, and each such byte of the flash was erased."""
    content = bytes(number % 251 for number in range(length))
    page = bytes(range(256)) + content + bytes(range(255, -1, -1))
    left = without(page, content)
    assert content[-SLICE:] not in left
    assert left[256 + length :] == bytes(range(255, -1, -1))


@pytest.mark.parametrize("seed", [4, 22, 39])
def test_a_sound_key_that_lost_its_certificate_boots(seed):
    """Of these seeds the certificate has 481 bytes."""
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(), seed, expendable=True)
    result = Campaign(rig, KEY.operations["admin.power_up.lost_certificate"], go_home(rig)).run()
    assert result.complete
    assert not result.findings


def test_pages_near_their_end_fail_between_80_and_110_percent_and_are_as_before_afterwards():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(), 7, expendable=True)
    flash = rig.board.flash["ifs"]
    before = list(flash.erases)
    with rig.inside.near_the_end("ifs", 0.8, 1.1):
        shares = [erases / flash.part.endurance for erases in flash.erases]
        assert 0.8 <= min(shares) < 0.95 < 1.0 < max(shares) <= 1.1001
        assert {flash.is_worn(page) for page in range(flash.part.pages)} == {True, False}
    assert flash.erases == before


def test_a_sound_key_answers_right_or_refuses_on_worn_pages():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(), 7, expendable=True)
    campaign = Campaign(rig, KEY.operations["admin.worn_pages"], go_home(rig), terms(20))
    assert not campaign.run().findings


def asked_slowly():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(personality="reference-all"), 1, expendable=True)
    return Campaign(rig, KEY.operations["admin.power_up.slow_store"], go_home(rig), terms(4)).run()


def test_a_status_that_does_not_tell_of_a_missing_external_flash_fails(monkeypatch):
    assert not asked_slowly().findings
    mount = boot._mount_external
    monkeypatch.setattr(boot, "_mount_external", lambda *more: (mount(*more)[0], 0))
    with pytest.raises(KeyFault, match="before anything was cut") as fault:
        asked_slowly()
    assert "a status that does not say so" in str(fault.value.found)
