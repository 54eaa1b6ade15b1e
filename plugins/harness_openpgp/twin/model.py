"""The simulated OpenPGP card that the plugin offers: one chip, the application, four personalities.

No chip in an OpenPGP card is documented: pages and times are those of flash on secure elements in general.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.api import Board, CardFirmware, Defect, Offered, TwinOptions, child, modules_in
from harness_cards.twin_model import SECURE_ELEMENT, CardModel, aged, formatted, started, store_of
from harness_openpgp.twin.defects import DEFECTS, OPCARD_ORDER
from harness_openpgp.twin.firmware import ENDPOINT, OpenPgpFirmware
from harness_openpgp.twin.state import age_counter
from harness_openpgp.twin.traits import CHIP_2, CHIP_3, NITROKEY3, REFERENCE, Traits

CHIP = "flash"
PERSONALITIES = {
    "reference": REFERENCE,
    "nitrokey3": replace(NITROKEY3, defects=OPCARD_ORDER),
    "chip-3.3": CHIP_3,
    "chip-2.1": CHIP_2,
}
SOUND = ("reference", "chip-3.3", "chip-2.1")
START_US = 40_000


class OpenPgpTwin(CardModel):
    """The twin's model: implements harness.twin.model.TwinModel."""

    title = "the OpenPGP twin"

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

    def code(self) -> list[str]:
        """The modules of the card's application."""
        return modules_in("harness_openpgp.twin", ("defects", "model", "status", "traits"))

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.check(options, PERSONALITIES, DEFECTS)
        known = PERSONALITIES[options.personality]
        traits = replace(known, defects=known.defects | set(options.defects))
        serial = child(options.uuid or seed, "serial")[:4]
        board = Board({CHIP: SECURE_ELEMENT}, lambda board: _start(board, traits, serial), seed)
        # The maker makes the first PINs.
        OpenPgpFirmware(board, formatted(board, store_of(board, CHIP)), traits, serial)
        board.power_off()
        return board

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Age the file system, and the signature counter."""
        return aged(board, CHIP, bits, lambda store: age_counter(store, bits))


def _start(board: Board, traits: Traits, serial: bytes) -> CardFirmware:
    store = store_of(board, CHIP)

    def firmware() -> OpenPgpFirmware:
        board.stores["files"] = store
        return OpenPgpFirmware(board, store, traits, serial)

    return started(board, store, START_US, firmware)


MODEL = OpenPgpTwin()
