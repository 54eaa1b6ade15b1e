"""The simulated Nitrokey Pro that the plugin offers: a microcontroller with its flash, and the chip of a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.api import (
    Board,
    CallerError,
    CardFirmware,
    Defect,
    Dfu,
    Hid,
    Offered,
    Panic,
    Store,
    TwinOptions,
    child,
    modules_in,
)
from harness_cards.twin_model import SECURE_ELEMENT, CardModel, aged, formatted, started, store_of
from harness_nitrokey_pro import images, reports
from harness_nitrokey_pro.twin import bootloader
from harness_nitrokey_pro.twin.bootloader import Bootloader
from harness_nitrokey_pro.twin.defects import AS_READ, DEFECTS
from harness_nitrokey_pro.twin.firmware import ProFirmware
from harness_nitrokey_pro.twin.hid_side import ENDPOINT, REPORT_DESCRIPTOR
from harness_nitrokey_pro.twin.installed import Installed, application, put_factory_image
from harness_nitrokey_pro.twin.layout import STM32F103
from harness_nitrokey_pro.twin.pages import Pages
from harness_nitrokey_pro.twin.slots import age_slots
from harness_openpgp.twin.firmware import ENDPOINT as CARD_ENDPOINT
from harness_openpgp.twin.state import age_counter
from harness_openpgp.twin.traits import CHIP_2, CHIP_3, Traits

MICROCONTROLLER, CARD = "mcu", "card"
REFERENCE, READ, OLD_CARD = "reference", "v0.15", "card-2.1"
VERSION = 0x000F
"""0.15, the latest."""
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
        return dict.fromkeys(PERSONALITIES, f"v{images.text(VERSION)}")

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
        return {
            ENDPOINT: Offered("reports", usb=hid),
            CARD_ENDPOINT: Offered("apdus", atr=CHIP_3.atr),
            bootloader.ENDPOINT: Offered(
                "reports", (Bootloader.face,), usb=Dfu(transfer_size=bootloader.TRANSFER)
            ),
        }

    def code(self) -> list[str]:
        """The modules of the HID side; those of the card stand in the OpenPGP card's twin."""
        return modules_in("harness_nitrokey_pro.twin", ("defects", "layout", "model"))

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.check(options, PERSONALITIES, DEFECTS)
        known = PERSONALITIES[options.personality]
        defects = known.defects | set(options.defects)
        what = Made(known.traits, defects, child(options.uuid or seed, "serial")[:4])
        parts = {MICROCONTROLLER: STM32F103, CARD: SECURE_ELEMENT}
        board = Board(parts, lambda board: _start(board, what), seed)
        put_factory_image(board.flash[MICROCONTROLLER], images.make_image(_version(options)))
        store = formatted(board, store_of(board, CARD))
        _firmware(board, store, what).hid.device.make_new()
        board.power_off()
        return board

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Age the card's file system, its signature counter, and the counters of HOTP slots."""
        counted = aged(board, CARD, bits, lambda store: age_counter(store, bits))
        return {**counted, **age_slots(board.flash[MICROCONTROLLER], bits)}


@dataclass(frozen=True)
class Made:
    """What does not change with the firmware.

    :ivar traits: of the card's chip. :ivar serial: of the card, four bytes.
    """

    traits: Traits
    defects: frozenset[str]
    serial: bytes


def _version(options: TwinOptions) -> int:
    """The version that the key leaves the factory with."""
    if options.version is None:
        return VERSION
    found = images.number(options.version)
    if found is None:
        raise CallerError(
            "firmware version of the Nitrokey Pro twin",
            found=options.version,
            expected="MAJOR.MINOR, e.g. 0.10",
        )
    return found


def _firmware(board: Board, store: Store, what: Made, version: int = VERSION) -> ProFirmware:
    pages = Pages(board, MICROCONTROLLER, what.defects)
    return ProFirmware(
        board, store, pages, what.traits, what.serial, lambda: bootloader.enter(board), version
    )


def _start(board: Board, what: Made) -> CardFirmware | Bootloader:
    """Start the bootloader, or the application that is installed; it may give up, too.

    :raises Panic: what is installed is parts of two firmwares.
    """
    stays, board.retained = board.retained == bootloader.STAY, 0
    installed = Installed(board, MICROCONTROLLER, what.defects)
    if stays or not installed.starts():
        return Bootloader(board, MICROCONTROLLER, installed, what.serial.hex())
    found = images.about(application(board.flash[MICROCONTROLLER]))
    if not found.is_whole:
        raise Panic
    store = store_of(board, CARD)
    # What an image of the vendor does, only its code knows: it is taken for the latest version.
    version = VERSION if found.version is None else found.version

    def firmware() -> ProFirmware:
        board.stores["files of the card"] = store
        return _firmware(board, store, what, version)

    return started(board, store, START_US, firmware)


MODEL = NitrokeyProTwin()
