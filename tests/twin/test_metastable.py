"""Profile `nor-metastable`: what a torn word reads as is a matter of the boot."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.base.seeds import child
from harness.bench.registry import discover
from harness.campaign.home import go_home
from harness.campaign.walk import Campaign
from harness.campaign.worker_pool import WorkerPool
from harness.twin import flash_layers
from harness.twin.flash_layers import Safe
from harness.twin.image import BoardState
from harness.twin.metastable import settled, torn, whole
from harness.twin.model import TwinOptions
from harness.twin.parts import FlashOp
from harness.twin.rig import TwinRig
from harness.twin.tear import programmed, torn_program
from harness.twin.trace import Cut, all_cuts, images
from support.flash_layers import prepared, recorded, verdict
from support.terms import terms

PLUGINS = discover()
KEY, TWIN = PLUGINS.keys["nitrokey3-mini"], PLUGINS.twins["nitrokey3-mini"]
SEED = child(1, "tests")
SIZE = 256
page_bytes = st.binary(min_size=SIZE, max_size=SIZE)
phis = st.floats(0.001, 0.999)


def bits(data: bytes) -> int:
    return int.from_bytes(data, "big")


def program(data: bytes, offset: int = 16) -> FlashOp:
    return FlashOp("ifs", "program", 0, offset, data, 0, 1)


ERASE = FlashOp("ifs", "erase", 0, 0, b"", 0, 1)


@given(page_bytes, st.binary(min_size=4, max_size=64), phis)
def test_only_a_cell_that_was_to_change_is_half_way(page, data, phi):
    weak = torn(b"", page, program(data), phi, SEED, 1, 4)
    changing = bits(page) & ~bits(programmed(page, 16, data))
    assert bits(weak) & ~changing == 0
    weak = torn(b"", page, ERASE, phi, SEED, 1, 4)
    assert bits(weak) & bits(page) == 0


@given(page_bytes, page_bytes, st.binary(min_size=4, max_size=64), phis)
def test_what_is_half_way_is_ended_by_an_erase_or_by_programming_it(page, mask, data, phi):
    assert whole(mask, ERASE) == b""
    left = whole(mask, program(data))
    zeroes = ~bits(programmed(b"\xff" * SIZE, 16, data)) & (1 << 8 * SIZE) - 1
    assert bits(left) == bits(mask) & ~zeroes
    later = torn(mask, page, ERASE, phi, SEED, 1, 4)
    assert bits(later) & bits(page) & ~bits(mask) == 0
    before = [n for n in range(16) if mask[n]]
    kept = torn(mask, page, program(data), phi, SEED, 1, 4) or bytes(SIZE)
    assert all(kept[n] == mask[n] for n in before), "what lies elsewhere is as it was"


@given(page_bytes, page_bytes, st.integers(1, 99))
def test_it_reads_the_same_for_one_boot_and_elsewhere_as_ever(page, mask, boot):
    one = settled(page, mask, SEED, boot, "ifs", 3)
    assert one == settled(one, mask, SEED, boot, "ifs", 3)
    assert bits(one) & ~bits(mask) == bits(page) & ~bits(mask)


def test_both_values_are_read_in_the_course_of_some_boots():
    data, page = bytes(4), b"\xff" * SIZE
    weak = torn(b"", page, program(data), 0.5, SEED, 1, 4)
    left = torn_program(page, 16, data, 0.5, SEED, 1, 4)
    read = {settled(left, weak, SEED, boot, "ifs", 0)[16:20] for boot in range(20)}
    assert weak.count(0) < SIZE
    assert len(read) > 1


@pytest.fixture(scope="module")
def twin():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(profile="nor-metastable"), 1, expendable=True)
    return rig, go_home(rig)


def test_each_image_is_what_a_live_cut_leaves_also_of_a_boot_from_a_torn_state(twin):
    rig, home = twin
    campaign = Campaign(rig, KEY.operations["fido2.client_pin.wrong"], home)
    trace = campaign.prepare().trace
    inside = [Cut(n, "torn1", phi, 0) for n in range(1, len(trace.ops) + 1) for phi in (0.4, 0.9)]
    starts = [state for _, state in images(trace, inside) if any(one.weak for one in state.chips.values())]
    assert len(starts) > 10
    seen = Counter()
    for state in starts[::3]:
        rig.inside.restore(state)
        boot = rig.inside.record(rig.power.on)
        wanted = [
            (cut, image.digest()) for cut, image in images(boot, all_cuts(boot, 2)) if cut.phase != "end"
        ]

        def live(index, state=state, wanted=wanted):
            rig.inside.restore(state)
            fired = rig.inside.cut_live(rig.power.on, wanted[index][0].flash_op, wanted[index][0].phi)
            return fired, rig.inside.snapshot().digest() == wanted[index][1]

        WorkerPool(live, 2).run(len(wanted), lambda _, found: seen.update([found]))
    assert set(seen) == {(True, True)}
    assert seen.total() > 20


def torn_words(board) -> list[BoardState]:
    """What is left when a write on `safe` is cut where a journal's own words are written."""
    board.flash["ifs"].metastable = True
    trace = metastable(recorded(board, lambda: board.firmware.store.write("counter", b"new" * 50)))
    small = [
        n for n, op in enumerate(trace.ops, 1) if op.kind == "program" and op.page < 2 and len(op.data) <= 8
    ]
    cuts = [Cut(n, "torn1", step / 40, 0) for n in small for step in range(1, 40)]
    return [state for _, state in images(trace, cuts)]


def twice_cut(layer: type[Safe], monkeypatch) -> Counter:
    """The same, then the boot after it is cut."""
    monkeypatch.setitem(flash_layers.LAYERS, "safe", layer)
    board = prepared("safe")
    found: Counter = Counter()
    for state in torn_words(board):
        board.load(state)
        boot = metastable(recorded(board, board.power_on), boots=(0,))
        for _, nested in images(boot, all_cuts(boot, 2)):
            found[verdict(board, nested)] += 1
    return found


def metastable(trace, **more):
    return replace(trace, metastable=True, **more)


class Trusting(Safe):
    """`safe` as it was: a record that reads as valid is valid, a mark that reads as whole is whole."""

    def on_power_up(self) -> bool:
        numbers = [self._sequence(index) for index in range(2)]
        sequence = max(numbers)
        index = numbers.index(sequence)
        self._newest = (index, sequence)
        record = self.flash.pages[index]
        if not sequence or record[self._mark : self._mark + 4] == bytes(4):
            return True
        page, left, right = struct.unpack_from("<3I", record, 8)
        tail = record[20 + left : 20 + left + self._page_size - right]
        kept = record[20 : 20 + left] + bytes(right - left) + tail
        return self._rewrite(page, kept, left, right) and self._applied(index)


def test_safe_makes_sure_of_its_own_words_before_it_goes_by_them(monkeypatch):
    found = twice_cut(Safe, monkeypatch)
    assert set(found) <= {"old", "new"}
    assert found.total() > 300


def test_what_is_written_in_one_boot_is_there_in_the_next_ones_whatever_a_torn_word_reads_as():
    board = prepared("safe")
    states = torn_words(board)
    assert len(states) >= 39
    for state in states:
        board.load(state)
        board.power_on()
        board.firmware.store.write("later", b"here" * 40)
        for _ in range(4):
            assert verdict(board, board.state()) in ("old", "new")
            assert board.firmware.store.read("later") == b"here" * 40


def test_a_layer_that_does_not_is_seen_to_lose_data(monkeypatch):
    found = twice_cut(Trusting, monkeypatch)
    assert found["lost"] + found["unmountable"] > 0


def test_what_is_abnormal_is_looked_at_again_and_made_again():
    options = TwinOptions(profile="nor-metastable", layer="late-replay")
    rig = TwinRig("nk3", KEY, TWIN, options, 1, expendable=True)
    home, operation = go_home(rig), KEY.operations["fido2.client_pin.change"]
    kept = []
    result = Campaign(rig, operation, home, terms(processes=2, on_judged=kept.extend)).run()
    again = {one.item: one.again for one in result.findings}
    for one in again.values():
        assert len(one["cycle"]) == 2
        assert one["reproduced"][1] == 5
        assert one["interval"][0] <= one["reproduced"][0] / 5 <= one["interval"][1]
    assert again["fido2.aaguid"]["metastable"] is False
    # What the first boot mends is told by the first boot alone.
    assert again["admin.status"]["cycle"] == ["old", "old"]
    assert again["admin.status"]["metastable"] is True
    resumed = Campaign(rig, operation, home, terms(earlier=kept[:200])).run()
    assert {one.item: one.again for one in resumed.findings} == again


def test_on_a_flash_that_always_reads_the_same_nothing_is():
    rig = TwinRig("nk3", KEY, TWIN, TwinOptions(layer="late-replay"), 1, expendable=True)
    result = Campaign(rig, KEY.operations["fido2.get_assertion"], go_home(rig), terms(60)).run()
    assert result.findings
    assert {one.again for one in result.findings} == {None}
