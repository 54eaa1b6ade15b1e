"""The file system of a twin: what it writes does not depend on how it is read."""

from __future__ import annotations

import pytest

from harness.twin.board import Board
from harness.twin.flash_layers import LAYERS, Layer, Plain
from harness.twin.image import BoardState
from harness.twin.littlefs_store import Store, StoreDamaged
from harness.twin.parts import GD25Q16, NRF52840_IFS
from support.small_twin import Echo


def board(layer: type[Layer]) -> Board:
    part = GD25Q16 if layer is Plain else NRF52840_IFS
    made = Board({"data": part}, Echo, b"seed")
    made.rail.restore_for_boot()
    return made


def store_on(made: Board, layer: type[Layer], read_size: int = 4) -> Store:
    on = layer(made.flash["data"])
    store = Store(
        on,
        made.rail,
        block_size=on.block_size,
        read_size=read_size,
        prog_size=256,
        cache_size=256,
        lookahead_size=8,
    )
    store.format()
    store.mount()
    return store


def after_work(layer: type[Layer], read_size: int) -> BoardState:
    """The flash after files were made, replaced, renamed and removed until the store is nearly full."""
    made = board(layer)
    store = store_on(made, layer, read_size)
    store.make_directory("rk")
    for number in range(40):
        store.write(f"rk/{number:02}", bytes([number]) * (20 + 11 * number))
        if number % 3 == 0:
            store.write("state", bytes([number]) * 300)
        if number % 7 == 3:
            store.remove(f"rk/{number - 1:02}")
            store.rename(f"rk/{number:02}", f"rk/{number - 1:02}")
    assert store.read("rk/05") == bytes([5]) * 75
    return made.state()


@pytest.mark.parametrize("layer", [*LAYERS.values(), Plain])
def test_the_size_of_a_read_changes_nothing_that_is_written(layer: type[Layer]) -> None:
    assert after_work(layer, 256).digest() == after_work(layer, 4).digest()


@pytest.mark.parametrize("layer", [LAYERS["safe"], Plain])
def test_a_chip_that_does_not_answer_reads_as_erased(layer: type[Layer]) -> None:
    made = board(layer)
    store = store_on(made, layer)
    store.write("a", b"kept")
    made.flash["data"].answers_us = made.clock.now_us + 1
    with pytest.raises(StoreDamaged):
        store.mount()
    made.clock.wait_us(1)
    store.mount()
    assert store.read("a") == b"kept"
