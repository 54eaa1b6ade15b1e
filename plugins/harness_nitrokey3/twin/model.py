"""The simulated Nitrokey 3A Mini that the plugin offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from harness.api import (
    GD25Q16,
    NRF52840_IFS,
    Board,
    BoardState,
    Defect,
    Hid,
    Offered,
    Part,
    Plain,
    Platform,
    TwinOptions,
    age,
    child,
    layer_called,
    modules_in,
)
from harness_fido2.trace import CtaphidTracer
from harness_fido2.twin import hid, persistent_state
from harness_fido2.twin.features import EXTERNAL, INTERNAL
from harness_nitrokey3.twin import boot, bootloader, card, factory, migration, reset
from harness_nitrokey3.twin.bootloader import Bootloader
from harness_nitrokey3.twin.card import KeyFirmware
from harness_nitrokey3.twin.dfu_image import APPLICATION
from harness_nitrokey3.twin.dfu_settings import SETTINGS
from harness_nitrokey3.twin.migration import SPARE
from harness_nitrokey3.twin.personality import Personality, book, chosen, running

SOUND_LAYER = "safe"
VENDOR_COMMANDS = {
    0x51: "UPDATE",
    0x53: "REBOOT",
    0x60: "RNG",
    0x61: "VERSION",
    0x62: "UUID",
    0x63: "LOCKED",
    0x70: "SECRETS",
    0x71: "PROVISIONER",
    0x72: "ADMIN",
}
PARTS: dict[str, Part] = {
    "ifs": NRF52840_IFS,
    "efs": GD25Q16,
    "spare": SPARE,
    "app": APPLICATION,
    "settings": SETTINGS,
}


class Nitrokey3Twin:
    """The twin's model: implements harness.twin.model.TwinModel."""

    @property
    def personalities(self) -> Mapping[str, str]:
        return {name: f"v{known.version}" for name, known in book().personalities.items()}

    @property
    def sound(self) -> Sequence[str]:
        """Names of our sound personalities on the sound flash layer, the default one first."""
        known = book().personalities
        names = [name for name, one in known.items() if one.sound and one.layer == SOUND_LAYER]
        return sorted(names, key=lambda name: name != TwinOptions().personality)

    @property
    def defects(self) -> Mapping[str, Defect]:
        return book().defects

    @property
    def endpoints(self) -> Mapping[str, Offered]:
        # In the order of the interfaces on USB: the card is 0, CTAPHID is 1 (nitrokey-3-firmware, boards/src/init.rs).
        return {
            card.ENDPOINT: Offered("apdus", atr=card.ATR),
            hid.ENDPOINT: Offered("packets", usb=Hid(hid.REPORT_DESCRIPTOR)),
            bootloader.ENDPOINT: Offered("bytes", (bootloader.Bootloader.face,)),
        }

    def tracer(self) -> CtaphidTracer:
        return CtaphidTracer(VENDOR_COMMANDS)

    def layer(self, options: TwinOptions) -> str:
        return _personality(options).layer

    def build(self, options: TwinOptions, seed: bytes) -> Board:
        board = _board(options, seed)
        personality = _personality(options)
        board.load(_factory_state(personality.layer, personality.layout, personality.version, seed))
        return board

    def pairs(self, options: TwinOptions) -> tuple[str, ...]:
        """The two copies of the bootloader's settings, and the two records of the journal, where there is one."""
        journaled = layer_called(_personality(options).layer).journal_pages > 0
        return ("settings", "ifs") if journaled else ("settings",)

    def code(self) -> list[str]:
        """The modules of FIDO2 and of the key, less what only makes keys and what only defects use."""
        return [
            *modules_in("harness_fido2.twin", ("context", "split_state", "status")),
            *modules_in(
                "harness_nitrokey3.twin", ("factory", "model", "openpgp", "personality", "dfu_codes")
            ),
        ]

    def age(self, board: Board, options: TwinOptions, bits: int) -> dict[str, int]:
        """Age both file systems, and FIDO2's signature counter."""
        board.power_off()
        board.rail.restore_for_boot()
        internal = layer_called(_personality(options).layer)(board.flash["ifs"])
        store = boot.internal_store(board, internal)
        store.mount()
        counter = persistent_state.age_counter(store, bits)
        board.power_off()
        for layer in (internal, Plain(board.flash["efs"])):
            age(layer, bits)
        return {"sign counter": counter}


def _personality(options: TwinOptions) -> Personality:
    """Return the personality that the key leaves the factory with."""
    return running(options, options.version) if options.version else chosen(options)


def _board(options: TwinOptions, seed: bytes) -> Board:
    device = reset.device(options, options.uuid or child(seed, "uuid")[:16], seed)

    def start(board: Board) -> KeyFirmware | Bootloader:
        return reset.start(board, device)

    return Board(PARTS, start, seed)


@lru_cache(maxsize=16)
def _file_systems(layer: str, layout: int, seed: bytes) -> BoardState:
    """A key without firmware: its data are the same for all versions with one flash layer and one layout."""
    board = _board(TwinOptions(), seed)
    board.rail.restore_for_boot()
    internal = boot.internal_store(board, layer_called(layer)(board.flash["ifs"]))
    external = boot.external_store(board)
    for store in (internal, external):
        store.format()
        store.mount()
    factory.provision(Platform(board, {INTERNAL: internal, EXTERNAL: external}), seed)
    migration.note_layout(internal, layout)
    return board.state()


@lru_cache(maxsize=64)
def _factory_state(layer: str, layout: int, version: str, seed: bytes) -> BoardState:
    """The image of a key that leaves the factory."""
    state = _file_systems(layer, layout, seed)
    pages, settings = reset.factory_pages(version, seed)
    for number, page in enumerate(pages):
        state = state.with_page("app", number, page)
    for number in range(SETTINGS.pages):
        state = state.with_page("settings", number, settings)
    return state


MODEL = Nitrokey3Twin()
