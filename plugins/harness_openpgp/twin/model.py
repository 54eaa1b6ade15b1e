"""The simulated OpenPGP card that the plugin offers: one chip, the application, four personalities.

No chip in an OpenPGP card is documented: pages and times are those of flash on secure elements in general.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from harness_openpgp.twin.defects import DEFECTS, OPCARD_ORDER
from harness_openpgp.twin.firmware import ENDPOINT, OpenPgpFirmware
from harness_openpgp.twin.traits import CHIP_2, CHIP_3, NITROKEY3, REFERENCE, Traits

CHIP = "flash"
PERSONALITIES = {
    "reference": REFERENCE,
    "nitrokey3": replace(NITROKEY3, defects=OPCARD_ORDER),
    "chip-3.3": CHIP_3,
    "chip-2.1": CHIP_2,
}
SOUND = ("reference", "chip-3.3", "chip-2.1")
SECURE_ELEMENT = Part("secure element", 512, 240, 4, 120, 2_500, 500_000)
"""120 KiB in pages of 512 bytes."""
GEOMETRY = {"block_size": 512, "read_size": 4, "prog_size": 256, "cache_size": 512, "lookahead_size": 32}
START_US = 40_000


@dataclass(frozen=True)
class OpenPgpTwin:
    """The twin's model: implements harness.twin.model.TwinModel."""

    @property
    def personalities(self) -> Mapping[str, str]:
        return {name: f"v{traits.version[0]}.{traits.version[1]}" for name, traits in PERSONALITIES.items()}

    @property
    def sound(self) -> Sequence[str]:
        return SOUND

    @property
    def defects(self) -> Mapping[str, Defect]:
        return DEFECTS

    @property
    def endpoints(self) -> Mapping[str, Offered]:
        return {ENDPOINT: Offered("apdus", atr=REFERENCE.atr)}

    def tracer(self) -> HexTracer:
        return HexTracer()

    def layer(self, options: TwinOptions) -> str:
        if options.layer not in (None, Plain.name):
            raise CallerError(
                f'flash layer "{options.layer}" of the OpenPGP twin',
                found=options.layer,
                expected=Plain.name,
                mend="leave it out: this chip's pages are as small as its blocks",
            )
        return Plain.name

    def code(self) -> list[str]:
        """The modules of the card's application."""
        return modules_in("harness_openpgp.twin", ("defects", "model", "status", "traits"))

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.layer(options)
        _among("personality", options.personality, PERSONALITIES)
        for defect in options.defects:
            _among("defect", defect, DEFECTS)
        known = PERSONALITIES[options.personality]
        traits = replace(known, defects=known.defects | set(options.defects))
        serial = child(options.uuid or seed, "serial")[:4]
        board = Board({CHIP: SECURE_ELEMENT}, lambda board: _start(board, traits, serial), seed)
        board.rail.restore_for_boot()
        store = _store(board)
        store.format()
        store.mount()
        # The maker makes the first PINs.
        OpenPgpFirmware(board, store, traits, serial)
        board.power_off()
        return board


def _among(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise CallerError(
            f'{what} "{name}" of the OpenPGP twin',
            found=name,
            expected=one_of(name, list(known)),
            mend="name one of these",
        )


def _store(board: Board) -> Store:
    return Store(Plain(board.flash[CHIP]), board.rail, **GEOMETRY)


def _start(board: Board, traits: Traits, serial: bytes) -> OpenPgpFirmware:
    """Boot.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: there is no file system.
    """
    board.clock.wait_us(START_US)
    board.rail.check()
    store = _store(board)
    try:
        store.mount()
        return OpenPgpFirmware(board, store, traits, serial)
    except StoreDamaged:
        raise Panic from None


MODEL = OpenPgpTwin()
