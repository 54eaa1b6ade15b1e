"""What the applications of a twin stand on: stores by name, handlers, records."""

from __future__ import annotations

import pytest

from harness.base.errors import HarnessFault
from harness.twin import records
from harness.twin.board import Board
from harness.twin.flash_layers import Plain
from harness.twin.handlers import AwaitTouch, Cancelled, Touched, touch
from harness.twin.littlefs_store import Store
from harness.twin.parts import Part
from harness.twin.platform import Platform

PART = Part("small", 4096, 8, 4, 41, 85_000, 10_000)


@pytest.fixture
def platform() -> Platform:
    board = Board({"flash": PART}, lambda board: pytest.fail("not booted here"), b"seed")
    board.rail.restore_for_boot()
    geometry = {"block_size": 4096, "read_size": 4, "prog_size": 256, "cache_size": 256, "lookahead_size": 8}
    store = Store(Plain(board.flash["flash"]), board.rail, **geometry)
    store.format()
    store.mount()
    return Platform(board, {"files": store})


def test_a_store_that_the_key_does_not_have_is_a_fault_of_ours(platform: Platform) -> None:
    platform.store("files").write("a", b"1")
    with pytest.raises(HarnessFault, match="has: files"):
        platform.store("internal")


@pytest.mark.parametrize("end", [Touched.CANCELLED, None])
def test_a_cancelled_wait_is_an_exception_of_its_own(end: Touched | None) -> None:
    wait = touch(250_000)
    assert next(wait) == AwaitTouch(250_000)
    with pytest.raises(Cancelled):
        wait.send(end)


def test_a_wait_returns_how_it_ended() -> None:
    wait = touch(1)
    next(wait)
    with pytest.raises(StopIteration) as done:
        wait.send(Touched.TIMED_OUT)
    assert done.value.value is Touched.TIMED_OUT


def test_a_record_with_one_bit_changed_is_damaged(platform: Platform) -> None:
    store = platform.store("files")
    whole = records.seal({1: b"value", 2: 7})
    store.write("record", whole)
    assert records.read(store, "record") == {1: b"value", 2: 7}
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1
        store.write("record", bytes(broken))
        with pytest.raises(records.Damaged):
            records.read(store, "record")


def test_an_empty_file_is_a_record_that_was_never_written(platform: Platform) -> None:
    platform.store("files").write("record", b"")
    assert records.read(platform.store("files"), "record") is None
