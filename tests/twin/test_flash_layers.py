"""Flash layers under littlefs: `safe` survives every cut at depth two, the others are seen to lose data."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.twin.littlefs_store import StoreDamaged
from harness.twin.parts import NRF52840_IFS
from harness.twin.trace import all_cuts, images
from support.flash_layers import prepared, recorded, verdict


def campaign(layer: str, writes: int = 6) -> Counter:
    """Cut a few updates of one file everywhere; count what becomes of it and of its neighbours."""
    board = prepared(layer)
    found: Counter = Counter()
    for i in range(writes):
        content = (b"new" if i % 2 == 0 else b"old") * 50
        trace = recorded(board, lambda content=content: board.firmware.store.write("counter", content))
        after = board.state()
        for _, state in images(trace, all_cuts(trace, 4)):
            found[verdict(board, state)] += 1
        board.load(after)
        board.power_on()
    return found


def test_safe_leaves_the_old_or_the_new_file_and_all_others():
    found = campaign("safe", writes=12)
    assert set(found) == {"old", "new"}
    assert sum(found.values()) > 500


def test_safe_survives_a_second_cut_while_it_recovers():
    board = prepared("safe")
    trace = recorded(board, lambda: board.firmware.store.write("counter", b"new" * 50))
    found: Counter = Counter()
    for _, state in images(trace, all_cuts(trace, 2)):
        board.load(state)
        boot = recorded(board, board.power_on)
        for _, nested in images(boot, all_cuts(boot, 2)):
            found[verdict(board, nested)] += 1
    assert set(found) == {"old", "new"}
    assert sum(found.values()) > 300


@pytest.mark.parametrize("layer", ["late-replay", "unjournaled"])
def test_the_layers_of_shipped_versions_lose_data(layer):
    found = campaign(layer)
    assert found["lost"] + found["torn"] > 0
    # The late journal does mend what does not mount; without one nothing does.
    assert (found["unmountable"] == 0) == (layer == "late-replay")


def worn_campaign(layer: str) -> tuple[Counter, int]:
    """Cut updates of a file while a journal page is worn out; and how many updates were refused."""
    board = prepared(layer)
    flash = board.flash["ifs"]
    flash.erases[0] = 2 * NRF52840_IFS.endurance
    found: Counter = Counter()
    refused = 0
    for i in range(4):
        content = (b"new" if i % 2 == 0 else b"old") * 50

        def write(content: bytes = content) -> None:
            nonlocal refused
            try:
                board.firmware.store.write("counter", content)
            except StoreDamaged:
                refused += 1

        trace = recorded(board, write)
        for _, state in images(trace, all_cuts(trace, 2)):
            found[verdict(board, state)] += 1
        board.load(trace.final)
        flash.erases[0] = 2 * NRF52840_IFS.endurance
        board.power_on()
    return found, refused


def test_a_worn_journal_page_is_noticed_before_anything_is_lost():
    found, refused = worn_campaign("safe")
    assert set(found) <= {"old", "new"}
    assert refused


def test_a_worn_journal_page_that_nobody_looks_at_costs_data():
    found, refused = worn_campaign("unverified")
    assert not refused
    assert found["lost"] + found["unmountable"] + found["torn"] > 0


def test_a_stale_record_is_not_applied_when_its_mark_is_torn_away():
    """The remaining 0.3 % of the sketch: an erase of the older journal page that brings its mark back."""
    board = prepared("safe")
    store = board.firmware.store
    for i in range(4):
        store.write("counter", bytes([65 + i]) * 150)
    state = board.state()
    pages = state.chips["ifs"].pages
    older = min((0, 1), key=lambda index: pages[index][4:8][::-1])
    board.load(state.with_page("ifs", older, pages[older][:-4] + b"\xff" * 4))
    board.power_on()
    assert board.firmware.store.read("counter") == b"D" * 150
