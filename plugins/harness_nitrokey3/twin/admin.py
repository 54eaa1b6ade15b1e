"""The admin application (admin-app 70086d9, src/admin.rs; nitrokey SDK, trussed/admin_app.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.api import (
    AwaitTouch,
    Damaged,
    Handler,
    Leave,
    Platform,
    Step,
    StoreDamaged,
    StoreFull,
    Touched,
    cbor,
    records,
)
from harness_fido2.twin.features import EXTERNAL, INTERNAL
from harness_fido2.twin.hid import Command
from harness_fido2.twin.status import HidError
from harness_nitrokey3.twin.settings import FIELDS, Settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from harness_fido2.twin.authenticator import Authenticator
    from harness_nitrokey3.twin.personality import Personality

UPDATE, REBOOT, RNG, VERSION, UUID, LOCKED, ADMIN = 0x51, 0x53, 0x60, 0x61, 0x62, 0x63, 0x72
STATUS, TEST_SE050, GET_CONFIG, SET_CONFIG, FACTORY_RESET, FACTORY_RESET_APP, LIST_FIELDS = range(0x80, 0x87)
VARIANT_NRF52 = 2
RNG_SIZE = 57
UP_TIMEOUT_US = 15_000_000

CONFIG_OK, DESERIALIZATION_FAILED, INVALID_KEY, INVALID_VALUE, NOT_CONFIRMED = 0, 3, 5, 6, 8
RESET_OK, RESET_NOT_CONFIRMED, RESET_NOT_ALLOWED, RESET_NO_TEXT = 0, 1, 2, 3

RESET_PENDING = "admin/reset"
"""The marker of a factory reset: from when it is whole the reset has happened, and a boot finishes it."""
_ALL = "*"


class Admin:
    """The admin application during one boot.

    :param status: init status bits that the boot has set.
    :param enter_bootloader: leaves the application for the bootloader.
    """

    def __init__(
        self,
        platform: Platform,
        personality: Personality,
        uuid: bytes,
        status: int,
        settings: Settings,
        enter_bootloader: Callable[[], None],
    ):
        self._platform = platform
        self._personality = personality
        self._uuid = uuid
        self._boot_status = status
        self._settings = settings
        self._enter_bootloader = enter_bootloader
        self._fido: Authenticator | None = None
        self._wipe_openpgp: Callable[[], None] | None = None

    def attach(self, fido: Authenticator, wipe_openpgp: Callable[[], None]) -> None:
        """Take the applications that resets are done to, and finish a reset that was begun."""
        self._fido, self._wipe_openpgp = fido, wipe_openpgp
        try:
            pending = records.read(self._platform.store(INTERNAL), RESET_PENDING)
        except Damaged:
            pending = None
        if pending is None:
            return
        if "reset-not-finished" in self._platform.defects:
            self._platform.store(INTERNAL).remove(RESET_PENDING)
        else:
            self._reset(pending[1])

    def commands(self) -> dict[int, Command]:
        """CTAPHID command -> handler. Each old command is also a sub-command of ADMIN."""
        return {ADMIN: self._admin, **self._old_commands()}

    def card_commands(self) -> dict[int, Command]:
        """INS -> handler on the card side, and sub-command -> handler of ADMIN.

        TEST_SE050 is not among them: the 3A Mini twin has no secure element.
        """
        return {
            **self._old_commands(),
            STATUS: _guarded(self._status),
            GET_CONFIG: self._get_config,
            SET_CONFIG: _guarded(self._set_config),
            FACTORY_RESET: _guarded(self._factory_reset),
            FACTORY_RESET_APP: _guarded(self._factory_reset_app),
            LIST_FIELDS: self._list_fields,
        }

    @property
    def init_status(self) -> int:
        return self._boot_status | self._platform.faults

    def _old_commands(self) -> dict[int, Command]:
        return {
            UPDATE: self._update,
            REBOOT: self._reboot,
            RNG: self._rng,
            VERSION: self._version,
            UUID: self._identity,
            LOCKED: self._locked,
        }

    def _admin(self, data: bytes) -> Handler:
        if not data:
            raise HidError(HidError.INVALID_LEN)
        commands = self.card_commands()
        if data[0] not in commands:
            raise HidError(HidError.INVALID_CMD)
        return (yield from commands[data[0]](data[1:]))

    # Information

    def _rng(self, data: bytes) -> Handler:
        return self._platform.random("admin rng", RNG_SIZE)
        yield

    def _version(self, data: bytes) -> Handler:
        """As an integer (major << 22 | minor << 6 | patch), or with an argument of 1 as text."""
        if data[:1] == b"\x01":
            return self._personality.version.encode()
        major, minor, patch = self._personality.numbers
        return (major << 22 | minor << 6 | patch).to_bytes(4, "big")
        yield

    def _identity(self, data: bytes) -> Handler:
        return self._uuid if self._personality.tells_uuid else b""
        yield

    def _locked(self, data: bytes) -> Handler:
        return b"\x01"
        yield

    def _status(self, data: bytes) -> Handler:
        """Init status, free blocks of both file systems, variant."""
        size = self._personality.status_size
        if not size:
            raise HidError(HidError.INVALID_CMD)
        internal = min(self._platform.store(INTERNAL).free_blocks(), 0xFF)
        try:
            external = min(self._platform.store(EXTERNAL).free_blocks(), 0xFFFF)
        except StoreDamaged:
            # The bit for it is in the init status, which has to be told most of all then.
            external = 0
        whole = bytes((self.init_status, internal)) + external.to_bytes(2, "big") + bytes((VARIANT_NRF52,))
        return whole[:size]
        yield

    # Leaving

    def _reboot(self, data: bytes) -> Handler:
        yield Leave(self._platform.board.power_on)
        return b""

    def _update(self, data: bytes) -> Handler:
        """Into the bootloader, after a touch; without one the error is INVALID_LEN, as in the firmware."""
        if not (yield from self._confirmed()):
            raise HidError(HidError.INVALID_LEN)
        yield Leave(self._enter_bootloader)
        return b""

    def _confirmed(self) -> Generator[Step, Touched | None, bool]:
        return (yield AwaitTouch(UP_TIMEOUT_US)) is Touched.GRANTED

    # Configuration

    def _get_config(self, data: bytes) -> Handler:
        name = _text(data)
        if name is None or name not in FIELDS:
            return bytes((INVALID_KEY,))
        return bytes((CONFIG_OK,)) + (b"true" if self._settings.is_on(name) else b"false")
        yield

    def _set_config(self, data: bytes) -> Handler:
        request = _request(data)
        if request is None:
            return bytes((DESERIALIZATION_FAILED,))
        name, value = request
        field = FIELDS.get(name)
        if field is not None and field.touch and not (yield from self._confirmed()):
            return bytes((NOT_CONFIRMED,))
        if field is None:
            return bytes((INVALID_KEY,))
        if value not in ("true", "false"):
            return bytes((INVALID_VALUE,))
        self._settings.change(name, value == "true")
        return bytes((CONFIG_OK,))

    def _list_fields(self, data: bytes) -> Handler:
        """Names and what changing them takes; all are of type 0, on or off."""
        listed: list[dict[str, Any]] = [
            {"n": name, "c": field.touch, "r": field.reboot, "d": field.destructive, "t": 0}
            for name, field in FIELDS.items()
        ]
        return cbor.encode(listed)
        yield

    # Factory reset

    def _factory_reset(self, data: bytes) -> Handler:
        """Everything back to how it left the factory, then a reboot instead of a response."""
        if not (yield from self._confirmed()):
            return bytes((RESET_NOT_CONFIRMED,))
        self._begin_reset(_ALL)
        yield Leave(self._platform.board.power_on)
        return b""

    def _factory_reset_app(self, data: bytes) -> Handler:
        """Of OpenPGP only, as in the firmware: its config offers no reset of FIDO2, which has one of its own.

        Read in nitrokey-3-firmware b9ec0bdc, components/apps/src/lib.rs, reset_client_id; what it does not
        offer is refused before anybody is asked for a touch.
        """
        name = _text(data)
        if name is None:
            return bytes((RESET_NO_TEXT,))
        if name not in ("opcard", "piv"):
            return bytes((RESET_NOT_ALLOWED,))
        if not (yield from self._confirmed()):
            return bytes((RESET_NOT_CONFIRMED,))
        if name == "piv":
            return bytes((RESET_NOT_ALLOWED,))
        self._begin_reset(name)
        return bytes((RESET_OK,))

    def _begin_reset(self, scope: str) -> None:
        self._platform.store(INTERNAL).write(RESET_PENDING, records.seal({1: scope}))
        self._reset(scope)

    def _reset(self, scope: str) -> None:
        """Can be done again from any point of it; the marker goes last."""
        assert self._fido is not None
        assert self._wipe_openpgp is not None
        if scope == _ALL:
            self._fido.wipe()
        self._wipe_openpgp()
        self._settings.reset(None if scope == _ALL else scope)
        self._platform.store(INTERNAL).remove(RESET_PENDING)


def _guarded(command: Command) -> Command:
    """A command for which a file system that cannot be read or is full is an error, not a halt."""

    def run(data: bytes) -> Handler:
        try:
            return (yield from command(data))
        except (StoreDamaged, StoreFull):
            raise HidError(HidError.OTHER) from None

    return run


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _request(data: bytes) -> tuple[str, str] | None:
    """Key and value of a SET_CONFIG request."""
    try:
        request = cbor.decode(data)
    except cbor.CborError:
        return None
    if type(request) is not dict:
        return None
    key, value = request.get("key"), request.get("value")
    return (key, value) if type(key) is str and type(value) is str else None
