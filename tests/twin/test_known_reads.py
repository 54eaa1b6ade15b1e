"""Answers of a file system that are used again: they are what littlefs would answer, in whatever state the flash is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.twin.board import Board
from harness.twin.known_reads import ANSWERS, QUESTIONS, KnownReads
from harness.twin.littlefs_store import Store, StoreDamaged, StoreFull
from harness.twin.rail import PowerLost
from support.flash_layers import prepared

PATHS = ("kept1", "counter", "d/a", "d/b", "d/long", "e/a", "nothing")
FOLDERS = ("/", "d", "e")

writes = st.tuples(
    st.just("write"), st.sampled_from(PATHS), st.binary(min_size=1, max_size=2), st.integers(0, 400)
)
renames = st.tuples(st.just("rename"), st.sampled_from(PATHS), st.sampled_from(PATHS))
removes = st.tuples(st.just("remove"), st.sampled_from((*PATHS, "d", "e")))
folders = st.tuples(st.just("mkdir"), st.sampled_from(FOLDERS[1:]))
cuts = st.tuples(st.just("cut"), st.integers(1, 30), st.sampled_from((0.0, 0.3, 0.9, 1.0)))
damages = st.tuples(st.just("damage"), st.integers(0, 19), st.integers(0, 4095), st.binary(max_size=40))
boots = st.tuples(st.just("boot"))
steps = st.lists(st.one_of(writes, writes, renames, removes, folders, cuts, damages, boots), max_size=12)


def outcome(act: Callable[[], object]) -> object:
    try:
        return act()
    except (StoreDamaged, StoreFull, PowerLost) as error:
        return type(error).__name__


def all_read(store: Store) -> list[object]:
    asked: list[Callable[[], object]] = [*(lambda path=path: store.read(path) for path in PATHS)]
    asked += [*(lambda folder=folder: store.names(folder) for folder in FOLDERS)]
    return [outcome(act) for act in (*asked, store.free_blocks)]


class Key:
    """A board with files, booted again whenever it has lost its power."""

    def __init__(self, layer: str, *, remembers: bool):
        self.board, self._remembers = prepared(layer), remembers

    @property
    def store(self) -> Store | None:
        if self.board.firmware is None or self.board.rail.dead:
            self.board.rail.disarm()
            self.board.power_off()
            self.board.power_on()
        if self.board.firmware is None:
            return None
        store: Store = self.board.firmware.store
        if not self._remembers:
            store.known = None
        return store

    def does(self, step: tuple) -> object:
        """Do one step; what came of it, and everything that can be read then."""
        store = self.store
        if store is None:
            return "halted"
        what, *args = step
        if what == "cut":
            self.board.rail.arm_op(*args)
            return None
        if what == "boot":
            self.board.power_off()
        elif what == "damage":
            page, at, data = args
            flash = self.board.flash["ifs"]
            flash.pages[page] = (flash.pages[page][:at] + data + flash.pages[page][at + len(data) :])[:4096]
            self.board.power_off()
        acts: dict[str, Callable[[], object]] = {
            "write": lambda: store.write(args[0], args[1] * args[2]),
            "rename": lambda: store.rename(*args),
            "remove": lambda: store.remove(*args),
            "mkdir": lambda: store.make_directory(*args),
        }
        came = outcome(acts[what]) if what in acts else None
        after = self.store
        return came, None if after is None else all_read(after)


# A file that is moved between two directories, cut in every operation: littlefs hides one of the two.
MOVED = [("mkdir", "d"), ("mkdir", "e"), ("write", "d/a", b"x", 100), ("write", "e/a", b"y", 9)]


@pytest.mark.parametrize("layer", ["safe", "late-replay"])
@settings(max_examples=40)
@given(steps)
@example([*MOVED, ("cut", 6, 0.3), ("rename", "d/a", "e/a"), ("boot",), ("write", "counter", b"n", 9)])
@example([*MOVED, ("cut", 9, 1.0), ("rename", "d/a", "kept1"), ("boot",), ("remove", "d/a"), ("boot",)])
def test_what_is_used_again_is_what_littlefs_answers(layer: str, done: list[tuple]) -> None:
    remembering, asking = Key(layer, remembers=True), Key(layer, remembers=False)
    for step in done:
        assert remembering.does(step) == asking.does(step), step
        assert remembering.board.state() == asking.board.state(), step


def test_every_cut_of_a_move_reads_and_is_repaired_as_without_a_memory() -> None:
    for number in range(1, 60):
        keys = Key("safe", remembers=True), Key("safe", remembers=False)
        cut = [("cut", number, 0.5), ("rename", "d/a", "e/b"), ("boot",), ("write", "counter", b"n", 9)]
        for step in [*MOVED, *cut]:
            got, wanted = (key.does(step) for key in keys)
            assert got == wanted, (number, step)
            assert keys[0].board.state() == keys[1].board.state(), (number, step)


def test_a_second_boot_of_the_same_image_asks_littlefs_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    board = prepared("safe")
    first = all_read(board.firmware.store)
    asked: list[str] = []
    monkeypatch.setattr(Store, "_read", lambda self, path: asked.append(path))
    monkeypatch.setattr(Store, "_names", lambda self, path: asked.append(path))
    board.power_off()
    board.power_on()
    assert (all_read(board.firmware.store), asked) == (first, [])


def test_memory_is_bounded() -> None:
    known = KnownReads([(0, 256 * number) for number in range(16)], 256)
    for number in range(2 * QUESTIONS):
        page = number.to_bytes(4, "big") * 1024
        for answer in range(2 * ANSWERS):
            pages = [page[:512] + bytes([answer]) * 256 + page[768:]]
            known.keep(("read", str(number)), pages, {2}, b"")
            assert known.find(("read", str(number)), pages)
    kept = [len(answers) for answers in known._known.values()]
    assert len(kept) <= QUESTIONS
    assert max(kept) == ANSWERS


def test_an_answer_holds_while_its_blocks_read_the_same() -> None:
    known = KnownReads([(0, 256 * number) for number in range(16)], 256)
    page = bytes(4096)
    known.keep(("read", "a"), [page], {3}, b"old")
    others = page[:512] + b"\1" * 256 + page[768:]
    found = known.find(("read", "a"), [others])
    assert found is not None
    assert found.answer == b"old"
    for at in (0, 511, 768, 1023):
        assert known.find(("read", "a"), [page[:at] + b"\1" + page[at + 1 :]]) is None, at
    assert known.find(("read", "b"), [page]) is None


def test_boards_of_one_geometry_share_no_content() -> None:
    boards: list[Board] = [prepared("safe"), prepared("safe")]
    boards[0].firmware.store.write("counter", b"one")
    boards[1].firmware.store.write("counter", b"two")
    assert [board.firmware.store.read("counter") for board in boards * 2] == [b"one", b"two"] * 2
