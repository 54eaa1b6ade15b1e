"""The simulated Nitrokey HSM 2 that the plugin offers.

The genuine device is a closed applet on a secure element: its chip, its file layer and its order of writes are not
published. This one has a chip and a littlefs of its own, and is a model for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.api import Board, CardFirmware, Defect, Offered, Store, TwinOptions, child, modules_in
from harness_cards import files, rsa
from harness_cards.twin_model import SECURE_ELEMENT, CardModel, aged, formatted, started, store_of
from harness_nitrokey_hsm2.defects import DEFECTS, OPEN_SOURCE
from harness_schsm.roots import private_of, twin_certificates, twin_root
from harness_schsm.twin.card import ENDPOINT, Maker, ScHsmFirmware
from harness_schsm.twin.state import DEVICE, Identity

CHIP, REFERENCE, OPEN = "flash", "reference", "open-order"
PERSONALITIES = {
    REFERENCE: frozenset[str](),
    # Writes in the order of an open implementation of the same applet, and has its further ciphers.
    OPEN: frozenset(defect.name for defect in DEFECTS.values() if defect.source.startswith(OPEN_SOURCE)),
}
"""Name -> the defects that the personality has."""
ATR = bytes.fromhex("3BDE18FF8191FE1FC38031815448534D317380214081071C")
VERSION = (4, 1)
START_US, PROG_SIZE = 40_000, 64


class NitrokeyHsm2Twin(CardModel):
    """The twin's model: implements harness.twin.model.TwinModel."""

    title = "the Nitrokey HSM 2 twin"

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

    def code(self) -> list[str]:
        """The modules of the card's application, with its files and its RSA."""
        return [files.__name__, rsa.__name__, *modules_in("harness_schsm.twin", ("status",))]

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        self.check(options, PERSONALITIES, DEFECTS)
        defects = PERSONALITIES[options.personality] | set(options.defects)
        maker = Maker(VERSION, twin_root().encoded, defects, is_open=options.personality == OPEN)
        board = Board({CHIP: SECURE_ELEMENT}, lambda board: _start(board, maker), seed)
        store = formatted(board, card_store(board))
        origin = options.uuid or seed
        private, name = private_of("device", origin.hex()), _name(origin)
        store.write(DEVICE, Identity(private, twin_certificates(private, name), name).sealed())
        board.power_off()
        return board

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Age the file system; use counters are chosen by the host."""
        return aged(board, CHIP, bits, lambda store: {}, prog_size=PROG_SIZE)


def _name(seed: bytes) -> str:
    """CHR of the device: country, maker, seven digits, sequence number."""
    number = int.from_bytes(child(seed, "serial")[:4], "big") % 10**7
    return f"UTKH{number:07d}00000"


def card_store(board: Board) -> Store:
    """The card's file system, not mounted yet."""
    return store_of(board, CHIP, prog_size=PROG_SIZE)


def _start(board: Board, maker: Maker) -> CardFirmware:
    """Boot; without an identity, too, it panics."""
    store = card_store(board)

    def firmware() -> ScHsmFirmware:
        board.stores["files"] = store
        return ScHsmFirmware(board, store, maker)

    return started(board, store, START_US, firmware)


MODEL = NitrokeyHsm2Twin()
