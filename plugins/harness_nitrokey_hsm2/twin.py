"""The simulated Nitrokey HSM 2 that the plugin offers.

The genuine device is a closed applet on a secure element: its chip, its file layer and its order of writes are not
published. This one has a chip and a littlefs of its own, and is a model for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api import (
    Board,
    CallerError,
    Defect,
    HexTracer,
    Offered,
    Panic,
    Part,
    Plain,
    Store,
    StoreDamaged,
    TwinOptions,
    child,
    modules_in,
    one_of,
)
from harness_cards import files, rsa
from harness_nitrokey_hsm2.defects import DEFECTS, OPEN_SOURCE
from harness_schsm.roots import private_of, twin_certificates, twin_root
from harness_schsm.twin.card import ENDPOINT, Maker, ScHsmFirmware
from harness_schsm.twin.state import DEVICE, Identity

CHIP, REFERENCE, OPEN = "flash", "reference", "open-order"
PERSONALITIES = {
    REFERENCE: frozenset[str](),
    # Writes in the order of an open implementation of the same applet.
    OPEN: frozenset(defect.name for defect in DEFECTS.values() if defect.source.startswith(OPEN_SOURCE)),
}
"""Name -> the defects that the personality has."""
SECURE_ELEMENT = Part("secure element", 512, 240, 4, 120, 2_500, 500_000)
"""120 KiB in pages of 512 bytes. Its figures are those of flash on secure elements in general, not of this one."""
GEOMETRY = {"block_size": 512, "read_size": 4, "prog_size": 64, "cache_size": 512, "lookahead_size": 32}
ATR = bytes.fromhex("3BDE18FF8191FE1FC38031815448534D317380214081071C")
VERSION = (4, 1)
START_US = 40_000


@dataclass(frozen=True)
class NitrokeyHsm2Twin:
    """The twin's model: implements harness.twin.model.TwinModel."""

    @property
    def personalities(self) -> Mapping[str, str]:
        return dict.fromkeys(PERSONALITIES, f"v{VERSION[0]}.{VERSION[1]}")

    @property
    def sound(self) -> Sequence[str]:
        return [REFERENCE]

    @property
    def defects(self) -> Mapping[str, Defect]:
        return DEFECTS

    @property
    def endpoints(self) -> Mapping[str, Offered]:
        return {ENDPOINT: Offered("apdus", atr=ATR)}

    def tracer(self) -> HexTracer:
        return HexTracer()

    def layer(self, options: TwinOptions) -> str:
        if options.layer not in (None, Plain.name):
            raise CallerError(
                f'flash layer "{options.layer}" of the Nitrokey HSM 2 twin',
                found=options.layer,
                expected=Plain.name,
                mend="leave it out: this chip's pages are as small as its blocks",
            )
        return Plain.name

    def code(self) -> list[str]:
        """The modules of the card's application, with its files and its RSA."""
        return [files.__name__, rsa.__name__, *modules_in("harness_schsm.twin", ("status",))]

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.layer(options)
        _among("personality", options.personality, self.personalities)
        for defect in options.defects:
            _among("defect", defect, self.defects)
        maker = Maker(VERSION, twin_root().encoded, PERSONALITIES[options.personality] | set(options.defects))
        board = Board({CHIP: SECURE_ELEMENT}, lambda board: _start(board, maker), seed)
        board.rail.restore_for_boot()
        store = _store(board)
        store.format()
        store.mount()
        origin = options.uuid or seed
        private, name = private_of("device", origin.hex()), _name(origin)
        store.write(DEVICE, Identity(private, twin_certificates(private, name), name).sealed())
        board.power_off()
        return board


def _among(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise CallerError(
            f'{what} "{name}" of the Nitrokey HSM 2 twin',
            found=name,
            expected=one_of(name, list(known)),
            mend="name one of these",
        )


def _name(seed: bytes) -> str:
    """CHR of the device: country, maker, seven digits, sequence number."""
    number = int.from_bytes(child(seed, "serial")[:4], "big") % 10**7
    return f"UTKH{number:07d}00000"


def _store(board: Board) -> Store:
    return Store(Plain(board.flash[CHIP]), board.rail, **GEOMETRY)


def _start(board: Board, maker: Maker) -> ScHsmFirmware:
    """Boot.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: there is no file system, or no identity on it.
    """
    board.clock.wait_us(START_US)
    board.rail.check()
    store = _store(board)
    try:
        store.mount()
        board.stores["files"] = store
        return ScHsmFirmware(board, store, maker)
    except StoreDamaged:
        raise Panic from None


MODEL = NitrokeyHsm2Twin()
