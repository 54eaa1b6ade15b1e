"""An aged twin differs from one that lived as long in its listed counters alone."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.twin import aging
from harness.twin.flash_layers import Plain, Safe
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_fido2.client import Fido, fido_memory

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]
JOURNAL = {(page, at) for page in range(2) for at in (*range(4, 8), *range(4084, 4088))}
"""The sequence number and the commit word of each journal page, by (page, offset)."""


def make(seed=1):
    rig = TwinRig("aged", KEY, TWIN, TwinOptions(), seed, expendable=True)
    return rig, go_home(rig)


def log_in(rig, memory, times):
    """Log in in one boot; returns the counters."""
    mine = fido_memory(memory)
    rig.power.on()
    rig.wait_until_up()
    counters = []
    for _ in range(times):
        (got,) = Fido(rig).assertions(mine.non_resident.rp, [mine.non_resident.id])
        counters.append(got.auth_data.counter)
    rig.power.off()
    return counters


def journal(rig):
    return Safe(rig.board.flash["ifs"]).records()


def metadata(rig):
    """Where a revision count, or the checksum of the commit that has it, stands: (page, offset)."""
    layer = Safe(rig.board.flash["ifs"])
    places = set()
    for pair in aging.metadata_pairs(layer):
        for block in pair:
            page, start = divmod(layer.base + block * layer.block_size, 4096)
            content = layer.flash.pages[page][start : start + layer.block_size]
            end = aging.first_commit(content)
            if end is not None:
                places |= {(page, start + at) for at in (*range(4), *range(end, end + 4))}
    return places


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_preset_changes_the_listed_counters_and_their_checksums_alone(bits):
    rig, home = make()
    rig.inside.restore(home.state)
    flash = rig.board.flash["ifs"]
    before, erases, places = list(flash.pages), list(flash.erases), metadata(rig)
    aging.age(Safe(flash), bits)
    changed = {
        (page, at)
        for page, (was, now) in enumerate(zip(before, flash.pages))
        for at in range(4096)
        if was[at] != now[at]
    }
    assert changed
    assert changed <= JOURNAL | places
    assert max(journal(rig).values()) == 2**bits - aging.BELOW
    assert max(aging.revisions(Safe(flash))) >= 2**bits - aging.BELOW
    assert [now - was for was, now in zip(erases, flash.erases)] == [
        aging.ERASES if count else 0 for count in erases
    ]


def test_a_key_that_lived_through_2_to_the_8_counts_as_an_aged_one_does():
    """Some 300 journal records are really written: the numbers go on over the wrap of a byte, as after the preset."""
    lived, home = make()
    aged, aged_home = make()
    numbers = []
    while not numbers or numbers[-1] < 300:
        log_in(lived, home.memory, 10)
        numbers.append(max(journal(lived).values()))
    assert any(number < 256 for number in numbers)
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    aging.age(Safe(aged.board.flash["ifs"]), 8)
    started = max(journal(aged).values())
    counters = log_in(aged, aged_home.memory, 10)
    assert max(journal(aged).values()) - started in steps
    assert max(journal(aged).values()) > 256
    # What was acknowledged lasts on both.
    for rig, memory in ((lived, home.memory), (aged, aged_home.memory)):
        assert log_in(rig, memory, 1)[0] > max(counters if rig is aged else [0])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_an_aged_key_goes_over_the_wrap_and_keeps_what_it_had(bits):
    rig, home = make(2)
    counted = rig.inside.age(bits)
    first = log_in(rig, home.memory, 8)
    assert first == sorted(set(first))
    assert first[0] > counted["sign counter"] >= 2 ** min(bits, 31) - 1
    assert log_in(rig, home.memory, 1)[0] > first[-1]
    if bits < 32:
        assert max(journal(rig).values()) > 2**bits
    else:
        assert min(journal(rig).values()) < 100, "0 is no number of a record: after the last comes 1"


def test_the_newest_record_is_found_on_both_sides_of_the_wrap():
    last = 2**32 - 1
    assert Safe.newest({0: last, 1: last - 1}) == 0
    assert Safe.newest({0: last, 1: 1}) == 1
    assert Safe.newest({0: 1, 1: last}) == 0
    assert Safe.newest({0: 7}) == 0


def test_a_file_system_with_no_valid_pair_is_left_alone():
    rig, _ = make()
    flash = rig.board.flash["efs"]
    flash.pages[0] = flash.pages[1] = b"\xff" * 4096
    before = list(flash.pages)
    aging.age(Plain(flash), 8)
    assert flash.pages == before
    assert struct.unpack_from("<I", flash.pages[0])[0] == 0xFFFFFFFF
