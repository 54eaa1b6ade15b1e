"""A twin with one flash chip and one littlefs on it: what the plugin of a small key needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.twin.board import Board, Firmware
from harness.twin.flash_layers import layer_called
from harness.twin.littlefs_store import Store, StoreDamaged
from harness.twin.model import Defect, Offered, TwinOptions
from harness.twin.parts import Part
from harness.twin.rail import Panic

CHIP, REFERENCE = "flash", "reference"
GEOMETRY = {"block_size": 256, "read_size": 4, "prog_size": 256, "cache_size": 256, "lookahead_size": 8}


class HexTracer:
    """Shows messages as hex digits."""

    def packet(self, endpoint: str, to_host: bool, data: bytes) -> list[str]:
        return [f"{endpoint} {'<' if to_host else '>'} {data.hex()}"]


@dataclass(frozen=True)
class OneChipTwin:
    """Implements `harness.twin.model.TwinModel` with one personality, "reference".

    :param part: the flash chip; its pages are a multiple of 256 bytes.
    :param factory: path -> content of the files of a new key.
    :param firmware: boots: (board, its mounted file system, options) -> what runs. May raise PowerLost and Panic.
    :param version: of the firmware, as `keyharness list` shows it: "v1.0".
    :param endpoints: as `TwinModel.endpoints`: `{"card": Offered("apdus", atr=...)}`.
    :param known_defects: bugs that the firmware has if `options.defects` names them.
    """

    part: Part
    factory: Mapping[str, bytes]
    firmware: Callable[[Board, Store, TwinOptions], Firmware]
    version: str
    endpoints: Mapping[str, Offered]
    known_defects: tuple[Defect, ...] = ()

    @property
    def personalities(self) -> Mapping[str, str]:
        return {REFERENCE: self.version}

    @property
    def sound(self) -> Sequence[str]:
        return [REFERENCE]

    @property
    def defects(self) -> Mapping[str, Defect]:
        return {defect.name: defect for defect in self.known_defects}

    def tracer(self) -> HexTracer:
        return HexTracer()

    def layer(self, options: TwinOptions) -> str:
        return options.layer or "safe"

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        """A board as it leaves the factory."""

        def start(board: Board) -> Firmware:
            return self.firmware(board, _mounted(board, self.layer(options)), options)

        board = Board({CHIP: self.part}, start, seed)
        board.rail.restore_for_boot()
        store = Store(layer_called(self.layer(options))(board.flash[CHIP]), board.rail, **GEOMETRY)
        store.format()
        store.mount()
        for path, content in self.factory.items():
            store.write(path, content)
        board.power_off()
        return board


def _mounted(board: Board, layer_name: str) -> Store:
    """Do what the flash layer does at every boot, and mount.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: there is no file system.
    """
    layer = layer_called(layer_name)(board.flash[CHIP])
    layer.on_power_up()
    board.rail.check()
    store = Store(layer, board.rail, **GEOMETRY)
    try:
        store.mount()
    except StoreDamaged:
        layer.on_unmountable()
        board.rail.check()
        try:
            store.mount()
        except StoreDamaged:
            raise Panic from None
    layer.on_mounted()
    board.rail.check()
    return store
