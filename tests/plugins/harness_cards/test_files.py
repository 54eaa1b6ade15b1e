"""The card's files: a change of several files happens whole or not at all, wherever the power fails."""

from __future__ import annotations

import pytest

from harness.twin.board import Board
from harness.twin.littlefs_store import StoreFull
from harness.twin.trace import all_cuts, images
from harness_cards.files import Files
from harness_nitrokey_hsm2.twin import card_store
from support.hsm import hsm

OLD = {"a": b"old a", "b": b"old b" * 40, "gone": b"x" * 300}
NEW = {"a": b"new a" * 100, "b": b"new b", "made": b"y" * 700, "gone": None}


def opened(board: Board) -> Files:
    store = card_store(board)
    store.mount()
    return Files(store)


def contents(files: Files) -> dict[str, bytes | None]:
    return {name: files.read(name) for name in files.names() if name != "device"}


@pytest.mark.parametrize("wipe", [False, True])
def test_a_change_of_several_files_is_old_or_new_in_every_cut(wipe):
    rig = hsm()
    rig.power.on()
    files = opened(rig.board)
    for name, content in OLD.items():
        files.write(name, content)
    files.write("other", b"kept")
    rest = {} if wipe else {"other": b"kept"}
    new = {name: content for name, content in NEW.items() if content is not None}
    rig.power.off()
    trace = rig.inside.record(lambda: (rig.power.on(), opened(rig.board).change(NEW, wipe=wipe)))
    seen = set()
    for _, state in images(trace, all_cuts(trace, rig.inside.torn_phases)):
        rig.inside.restore(state)
        rig.power.on()
        found = contents(opened(rig.board))
        assert found in ({**OLD, "other": b"kept"}, {**new, **rest})
        seen.add(found["a"])
    assert seen == {OLD["a"], NEW["a"]}


def test_the_identity_outlives_a_change_that_wipes():
    rig = hsm()
    rig.power.on()
    files = opened(rig.board)
    device = files.read("device")
    files.write("other", b"gone")
    files.change({"a": b"1"}, wipe=True)
    assert device
    assert files.names() == ["a", "device"]
    assert files.read("device") == device


def test_a_change_that_does_not_fit_is_refused_before_anything_is_written():
    rig = hsm()
    rig.power.on()
    files = opened(rig.board)
    files.write("a", b"old")
    with pytest.raises(StoreFull):
        files.change({"a": b"new", "b": bytes(60_000)})
    assert contents(files) == {"a": b"old"}
    with pytest.raises(StoreFull):
        files.write("b", bytes(200_000))
    assert contents(files) == {"a": b"old"}


def test_a_file_whose_creation_was_broken_off_is_missing():
    rig = hsm()
    rig.power.on()
    files = opened(rig.board)
    files._store.write("a", b"")
    assert files.read("a") is None
    assert "a" not in files.names()
