"""A board with a few files in a flash layer, and what becomes of them."""

from __future__ import annotations

from harness.twin.board import Board
from harness.twin.flash_layers import LAYERS
from harness.twin.littlefs_store import Store, StoreDamaged
from harness.twin.parts import NRF52840_IFS, FlashOp
from harness.twin.rail import Panic, PowerLost
from harness.twin.trace import Trace

GEOMETRY = {"block_size": 256, "read_size": 4, "prog_size": 256, "cache_size": 256, "lookahead_size": 8}
KEPT = {f"kept{i}": bytes([i]) * 200 for i in range(6)}


class Files:
    """A firmware that does nothing but mount."""

    def __init__(self, board: Board, layer: str):
        self.layer = LAYERS[layer](board.flash["ifs"])
        self.store = Store(self.layer, board.rail, **GEOMETRY)
        self._step(board, self.layer.on_power_up)
        try:
            self.store.mount()
        except StoreDamaged:
            if not self.layer.on_unmountable():
                if board.rail.dead:
                    raise PowerLost from None
                raise Panic from None
        self._step(board, self.layer.on_mounted)
        try:
            self.store.mount()
        except StoreDamaged:
            raise Panic from None

    @staticmethod
    def _step(board, step):
        if not step():
            raise PowerLost if board.rail.dead else Panic


def prepared(layer: str) -> Board:
    board = Board({"ifs": NRF52840_IFS}, lambda b: Files(b, layer), b"k" * 32)
    board.rail.dead = False
    Store(LAYERS[layer](board.flash["ifs"]), board.rail, **GEOMETRY).format()
    board.power_on()
    for name, data in KEPT.items():
        board.firmware.store.write(name, data)
    board.firmware.store.write("counter", b"old" * 50)
    return board


def recorded(board: Board, act) -> Trace:
    log: list[FlashOp] = []
    base = board.state()
    board.rail.watch(log)
    act()
    board.rail.watch(None)
    parts = {name: flash.part for name, flash in board.flash.items()}
    return Trace(base, tuple(log), (), (), 0, board.clock.now_us, board.state(), parts, board.rail.seed)


def verdict(board: Board, state) -> str:
    board.load(state)
    board.power_on()
    if board.firmware is None:
        return "unmountable"
    try:
        store = board.firmware.store
        if any(store.read(name) != data for name, data in KEPT.items()):
            return "lost"
        return {b"old" * 50: "old", b"new" * 50: "new"}.get(store.read("counter"), "torn")
    except StoreDamaged:
        return "lost"
