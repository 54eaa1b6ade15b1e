"""From power to a running firmware: flash layer, file systems, applications.

Order as read in nitrokey-3-firmware b9ec0bdc, components/boards/src/store.rs; the policy for a file system
that does not mount is data of the personality.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from harness.api import Layer, Panic, Plain, Platform, PowerLost, Store, StoreDamaged, StoreFull, layer_called
from harness_fido2.twin import persistent_state
from harness_fido2.twin.authenticator import Authenticator
from harness_fido2.twin.features import EXTERNAL, INTERNAL
from harness_fido2.twin.hid import CBOR, MSG, HidFirmware
from harness_nitrokey3.twin import bootloader, factory, migration, openpgp
from harness_nitrokey3.twin.admin import Admin
from harness_nitrokey3.twin.card import CardSide, KeyFirmware
from harness_nitrokey3.twin.settings import SKIP_UP_OFF, Settings

if TYPE_CHECKING:
    from harness.api import Board, Flash
    from harness_nitrokey3.twin.personality import Personality

INTERNAL_FLASH_ERROR, EXTERNAL_FLASH_ERROR = 0x02, 0x04
"""Init status bits (nitrokey SDK, admin_app.InitStatus); they live in the boot that set them."""
START_US = 20_000
ANSWER_US, TRIES = 5_000, 4
"""How long the external flash is waited for between two tries, and how often."""

# The firmware reads four bytes at a time. Reads take no time on a twin and change nothing, so more is read at once:
# what littlefs writes depends on the other figures alone.
INTERNAL_GEOMETRY = {
    "block_size": 256,
    "read_size": 256,
    "prog_size": 256,
    "cache_size": 256,
    "lookahead_size": 8,
}
EXTERNAL_GEOMETRY = {
    "block_size": 4096,
    "read_size": 256,
    "prog_size": 256,
    "cache_size": 256,
    "lookahead_size": 8,
}


def internal_store(board: Board, layer: Layer) -> Store:
    return Store(layer, board.rail, **INTERNAL_GEOMETRY)


def external_store(board: Board) -> Store:
    return Store(Plain(board.flash["efs"]), board.rail, **EXTERNAL_GEOMETRY)


def start(board: Board, personality: Personality, uuid: bytes) -> KeyFirmware:
    """Boot.

    :raises PowerLost: the power failed meanwhile.
    :raises Panic: the firmware gives up.
    """
    board.rail.after_op = None
    board.clock.wait_us(START_US)
    board.rail.check()
    internal, status, formatted = _mount_internal(board, personality)
    external, external_status = _mount_external(board, personality)
    status |= external_status
    platform = Platform(board, {INTERNAL: internal, EXTERNAL: external}, personality.defects)
    try:
        if formatted:
            # That firmware takes an empty file system for a new key.
            factory.make_directories(platform)
            persistent_state.initialise(platform)
            migration.note_layout(internal, personality.layout)
        if not migration.move_files(platform, personality.layout):
            status |= migration.MIGRATION_ERROR
        settings = Settings(platform)
        admin = Admin(platform, personality, uuid, status, settings, lambda: bootloader.enter(board))
        fido = Authenticator(
            platform,
            personality.fido2,
            lambda: not settings.is_on(SKIP_UP_OFF),
            migration.credentials_at(personality.layout),
        )
        wipe_openpgp = partial(openpgp.wipe, platform)
        admin.attach(fido, wipe_openpgp)
        card = openpgp.application(platform, personality, uuid, settings)
    except (StoreDamaged, StoreFull):
        # An application that cannot write what it must at its start is an unhandled error of the firmware.
        raise Panic from None
    commands = {CBOR: fido.cbor, MSG: fido.message, **admin.commands()}
    if status & migration.MIGRATION_ERROR:
        # Only the admin application answers until a boot gets through (admin-app 70086d9, STATUS).
        commands, card = admin.commands(), None
    major, minor, patch = (number & 0xFF for number in personality.numbers)
    firmware = HidFirmware(board, (major, minor, patch), commands)
    platform.tick = firmware.tick
    if "silent-while-writing" in personality.defects:
        board.rail.after_op = platform.tick = lambda: None
    platform.channel = lambda: firmware.channel
    return KeyFirmware(firmware, CardSide(board, admin.card_commands(), card), major << 8 | minor)


def _mount_internal(board: Board, personality: Personality) -> tuple[Store, int, bool]:
    """The mounted store, the init status, and whether it had to be formatted."""
    layer = layer_called(personality.layer)(board.flash["ifs"])
    store = internal_store(board, layer)
    status, formatted = 0, False
    _through(board, layer.on_power_up())
    spare = board.flash["spare"]
    resumes = personality.layer != migration.OLD_LAYER
    if resumes and "journal-migration-once" not in personality.defects and migration.has_copy(spare):
        _restore(store, spare)
    mounted = _mounts(store)
    if not mounted and personality.layer != migration.OLD_LAYER and _copied(board):
        _restore(store, spare)
        mounted = True
    if not mounted:
        status |= INTERNAL_FLASH_ERROR
        if personality.boot == "format":
            store.format()
            formatted = True
        else:
            mended = layer.on_unmountable()
            if not mended:
                _alive(board)
                raise Panic
    _through(board, layer.on_mounted())
    if not mounted and not _mounts(store):
        raise Panic
    return store, status, formatted


def _mount_external(board: Board, personality: Personality) -> tuple[Store, int]:
    """The store and the init status.

    A chip that answers and does not mount is formatted, as in the firmware (store.rs, init_efs). One that does
    not answer is no empty one: it is waited for, and then left alone in this boot.
    """
    external = external_store(board)
    made_anew = "external-store-made-anew" in personality.defects
    for _ in range(TRIES):
        try:
            external.mount()
        except StoreDamaged:
            # The driver is started again.
            board.clock.wait_us(ANSWER_US)
            board.rail.check()
            if made_anew or board.flash["efs"].answers:
                break
        else:
            return external, 0
    # Otherwise it stays unmounted in this boot, and what asks for it is told so.
    if board.flash["efs"].answers and (made_anew or not _mounts(external)):
        external.format()
        external.mount()
    return external, EXTERNAL_FLASH_ERROR


def _copied(board: Board) -> bool:
    """Copy the files of a file system without a journal, if the flash holds one."""
    old = internal_store(board, layer_called(migration.OLD_LAYER)(board.flash["ifs"]))
    if not _mounts(old):
        return False
    migration.copy_files(old, board.flash["spare"])
    return True


def _restore(store: Store, spare: Flash) -> None:
    migration.restore_files(store, spare)
    migration.drop_copy(spare)


def _mounts(store: Store) -> bool:
    try:
        store.mount()
    except StoreDamaged:
        return False
    return True


def _through(board: Board, done: bool) -> None:
    """A step of the layer that can only fail for want of power."""
    if not done:
        _alive(board)
        raise Panic


def _alive(board: Board) -> None:
    if board.rail.dead:
        raise PowerLost
