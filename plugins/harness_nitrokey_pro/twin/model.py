"""The simulated Nitrokey Pro that the plugin offers: a microcontroller with its flash, and the chip of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api import (
    Board,
    CallerError,
    Defect,
    HexTracer,
    Hid,
    Offered,
    Panic,
    Plain,
    Store,
    StoreDamaged,
    TwinOptions,
    child,
    modules_in,
    one_of,
)
from harness_nitrokey_pro import reports
from harness_nitrokey_pro.twin.defects import AS_READ, DEFECTS
from harness_nitrokey_pro.twin.firmware import ProFirmware
from harness_nitrokey_pro.twin.hid_side import ENDPOINT, REPORT_DESCRIPTOR
from harness_nitrokey_pro.twin.layout import STM32F103
from harness_nitrokey_pro.twin.pages import Pages
from harness_openpgp.twin.firmware import ENDPOINT as CARD_ENDPOINT
from harness_openpgp.twin.model import GEOMETRY, SECURE_ELEMENT
from harness_openpgp.twin.traits import CHIP_2, CHIP_3, Traits

MICROCONTROLLER, CARD = "mcu", "card"
REFERENCE, READ, OLD_CARD = "reference", "v0.15", "card-2.1"
VERSION = "v0.15"
START_US = 60_000


@dataclass(frozen=True)
class Personality:
    """:ivar traits: of the card's chip. :ivar defects: that it has."""

    traits: Traits
    defects: frozenset[str] = frozenset()


PERSONALITIES = {
    REFERENCE: Personality(CHIP_3),
    READ: Personality(CHIP_3, AS_READ),
    OLD_CARD: Personality(CHIP_2),
}


@dataclass(frozen=True)
class NitrokeyProTwin:
    """The twin's model: implements harness.twin.model.TwinModel."""

    @property
    def personalities(self) -> Mapping[str, str]:
        return dict.fromkeys(PERSONALITIES, VERSION)

    @property
    def sound(self) -> Sequence[str]:
        return [REFERENCE, OLD_CARD]

    @property
    def defects(self) -> Mapping[str, Defect]:
        return DEFECTS

    @property
    def endpoints(self) -> Mapping[str, Offered]:
        # In the order of the interfaces on USB: HID is 0, the card is 1.
        hid = Hid(REPORT_DESCRIPTOR, feature_size=reports.SIZE)
        return {ENDPOINT: Offered("reports", usb=hid), CARD_ENDPOINT: Offered("apdus", atr=CHIP_3.atr)}

    def tracer(self) -> HexTracer:
        return HexTracer()

    def layer(self, options: TwinOptions) -> str:
        if options.layer not in (None, Plain.name):
            raise CallerError(
                f'flash layer "{options.layer}" of the Nitrokey Pro twin',
                found=options.layer,
                expected=Plain.name,
                mend="leave it out: the firmware rewrites its pages itself",
            )
        return Plain.name

    def code(self) -> list[str]:
        """The modules of the HID side; those of the card stand in the OpenPGP card's twin."""
        return modules_in("harness_nitrokey_pro.twin", ("defects", "layout", "model"))

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.layer(options)
        _among("personality", options.personality, PERSONALITIES)
        for defect in options.defects:
            _among("defect", defect, DEFECTS)
        known = PERSONALITIES[options.personality]
        defects = known.defects | set(options.defects)
        serial = child(options.uuid or seed, "serial")[:4]
        parts = {MICROCONTROLLER: STM32F103, CARD: SECURE_ELEMENT}
        board = Board(parts, lambda board: _start(board, known.traits, defects, serial), seed)
        board.rail.restore_for_boot()
        store = _store(board)
        store.format()
        store.mount()
        _firmware(board, store, known.traits, defects, serial).hid.device.make_new()
        board.power_off()
        return board


def _among(what: str, name: str, known: Mapping[str, object]) -> None:
    if name not in known:
        raise CallerError(
            f'{what} "{name}" of the Nitrokey Pro twin',
            found=name,
            expected=one_of(name, list(known)),
            mend="name one of these",
        )


def _store(board: Board) -> Store:
    return Store(Plain(board.flash[CARD]), board.rail, **GEOMETRY)


def _firmware(
    board: Board, store: Store, traits: Traits, defects: frozenset[str], serial: bytes
) -> ProFirmware:
    pages = Pages(board, MICROCONTROLLER, defects)
    return ProFirmware(board, store, pages, traits, serial, board.power_on)


def _start(board: Board, traits: Traits, defects: frozenset[str], serial: bytes) -> ProFirmware:
    """Boot.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: the card has no file system, or the firmware gives up.
    """
    board.clock.wait_us(START_US)
    board.rail.check()
    store = _store(board)
    try:
        store.mount()
        return _firmware(board, store, traits, defects, serial)
    except StoreDamaged:
        raise Panic from None


MODEL = NitrokeyProTwin()
