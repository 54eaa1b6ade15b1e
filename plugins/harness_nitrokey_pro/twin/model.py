"""The simulated Nitrokey Pro that the plugin offers: a microcontroller with its flash, and the chip of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api import Board, CardFirmware, Defect, Hid, Offered, Store, TwinOptions, child, modules_in
from harness_cards.twin_model import SECURE_ELEMENT, CardModel, aged, formatted, started, store_of
from harness_nitrokey_pro import reports
from harness_nitrokey_pro.twin.defects import AS_READ, DEFECTS
from harness_nitrokey_pro.twin.firmware import ProFirmware
from harness_nitrokey_pro.twin.hid_side import ENDPOINT, REPORT_DESCRIPTOR
from harness_nitrokey_pro.twin.layout import STM32F103
from harness_nitrokey_pro.twin.pages import Pages
from harness_nitrokey_pro.twin.slots import age_slots
from harness_openpgp.twin.firmware import ENDPOINT as CARD_ENDPOINT
from harness_openpgp.twin.state import age_counter
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


class NitrokeyProTwin(CardModel):
    """The twin's model: implements harness.twin.model.TwinModel."""

    title = "the Nitrokey Pro twin"
    one_layer = "the firmware rewrites its pages itself"

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

    def code(self) -> list[str]:
        """The modules of the HID side; those of the card stand in the OpenPGP card's twin."""
        return modules_in("harness_nitrokey_pro.twin", ("defects", "layout", "model"))

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.check(options, PERSONALITIES, DEFECTS)
        known = PERSONALITIES[options.personality]
        defects = known.defects | set(options.defects)
        serial = child(options.uuid or seed, "serial")[:4]
        parts = {MICROCONTROLLER: STM32F103, CARD: SECURE_ELEMENT}
        board = Board(parts, lambda board: _start(board, known.traits, defects, serial), seed)
        store = formatted(board, store_of(board, CARD))
        _firmware(board, store, known.traits, defects, serial).hid.device.make_new()
        board.power_off()
        return board

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Age the card's file system, its signature counter, and the counters of HOTP slots."""
        counted = aged(board, CARD, bits, lambda store: age_counter(store, bits))
        return {**counted, **age_slots(board.flash[MICROCONTROLLER], bits)}


def _firmware(
    board: Board, store: Store, traits: Traits, defects: frozenset[str], serial: bytes
) -> ProFirmware:
    pages = Pages(board, MICROCONTROLLER, defects)
    return ProFirmware(board, store, pages, traits, serial, board.power_on)


def _start(board: Board, traits: Traits, defects: frozenset[str], serial: bytes) -> CardFirmware:
    """Boot; the firmware may give up, too."""
    store = store_of(board, CARD)
    return started(board, store, START_US, lambda: _firmware(board, store, traits, defects, serial))


MODEL = NitrokeyProTwin()
