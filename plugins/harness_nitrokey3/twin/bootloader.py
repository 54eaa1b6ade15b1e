"""The bootloader face of a twin: Nordic's secure DFU over a serial line (nRF5 SDK 17).

Requests and responses are SLIP frames: an op code and little-endian parameters; 0x60, the op code, a result.
There is one bank, written in place: once an init packet has been accepted the old application is invalid, and
only a whole, verified image makes a valid one again. Progress is kept in RAM, so that a cut starts over.

    enter()      from the application, through a register that only a reset without power loss keeps
    Bootloader   what runs then, and after every power-on without a valid application
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_cc_pb2 as pb

from harness.api import Board, PowerLost
from harness_nitrokey3.twin import dfu_image, dfu_settings, slip
from harness_nitrokey3.twin.dfu_codes import (
    BAD_PARAMETER,
    BAD_SIGNATURE,
    BAD_TYPE,
    COMMAND_OBJECT,
    CRC,
    CREATE,
    DATA_OBJECT,
    EXECUTE,
    EXTENDED,
    FIRMWARE,
    GET_MTU,
    HARDWARE,
    NO_RESOURCES,
    NOT_PERMITTED,
    NOT_SUPPORTED,
    OK,
    PING,
    READ_ERROR,
    RESPONSE,
    SELECT,
    SET_PRN,
    VERSION_TOO_LOW,
    WRITE,
    WRONG_HASH,
    ResponseError,
)
from harness_nitrokey3.twin.dfu_settings import BY_CRC, NO_IMAGE, VALID_IMAGE, DfuSettings
from harness_nitrokey3.twin.init_packet import HARDWARE_VERSION, Checked, Door, checked

ENDPOINT = "serial"
STAY = 0xB1
"""In the retained register: do not start the application."""
MTU = 2051
"""Such that a chunk of the vendor's client is 1024 bytes, and four of them are a page."""
INIT_MAX = 512
PAGE = 4096
RESET_US = 50_000
"""From the last response to the reset that starts the new application."""
PREPARE_US, HASH_US_PER_KB = 1_000, 180


@dataclass
class _Progress:
    """Data that have arrived since the last reset or init packet."""

    command: bytes = b""
    command_size: int = 0
    accepted: pb.InitCommand | None = None
    signature_ok: bool = True
    offset: int = 0
    crc: int = 0
    executed: int = 0
    object_size: int = 0
    tail: bytes = b""


def enter(board: Board) -> None:
    """Leave the application for the bootloader."""
    board.retained = STAY
    board.power_on()


class Bootloader:
    """The bootloader during one boot.

    :param settings: the settings that this boot has loaded.
    :ivar serial_number: its USB serial number, in hex.
    """

    face = "bootloader"

    def __init__(self, board: Board, settings: DfuSettings, door: Door, serial_number: str):
        self._board = board
        self._settings = settings
        self._door = door
        self.serial_number = serial_number
        self._app, self._pages = board.flash["app"], board.flash["settings"]
        self._frames = slip.Decoder(MTU)
        self._progress = _Progress()
        self._selected = COMMAND_OBJECT
        self._was_accepted = False
        self._error = 0
        self._prn = self._since_prn = 0
        self._reset_us: int | None = None
        self._requests: dict[int, Callable[[bytes], bytes | None]] = {
            CREATE: self._create,
            SET_PRN: self._set_prn,
            CRC: lambda data: self._where(),
            EXECUTE: self._execute,
            READ_ERROR: self._read_error,
            SELECT: self._select,
            GET_MTU: lambda data: struct.pack("<H", MTU),
            WRITE: self._write,
            PING: lambda data: data[:1],
            HARDWARE: lambda data: struct.pack("<5I", HARDWARE_VERSION, 0x41414430, 0x100000, 0x40000, PAGE),
            FIRMWARE: self._firmware,
        }
        board.rail.after_op = None

    # The board's side

    def receive(self, endpoint: str, packet: bytes) -> None:
        if endpoint != ENDPOINT or self._reset_us is not None:
            return
        for frame in self._frames.feed(packet):
            self._handle(frame[0], frame[1:])

    def press(self) -> bool:
        """A bootloader never asks for a touch."""
        return False

    def bus_reset(self) -> None:
        """Handle a bus reset: the frame on the line is lost, the received objects stay."""
        self._frames = slip.Decoder(MTU)
        self._board.drop_packets()

    def next_event_us(self) -> int | None:
        return self._reset_us

    def advance(self) -> None:
        self._reset_us = None
        self._board.power_on()

    # Requests

    def _handle(self, code: int, data: bytes) -> None:
        request = self._requests.get(code)
        try:
            if request is None:
                raise ResponseError(NOT_SUPPORTED)
            answer = request(data)
        except ResponseError as refused:
            tail = bytes((refused.extended,)) if refused.result == EXTENDED else b""
            self._error = refused.extended
            self._respond(bytes((RESPONSE, code, refused.result)) + tail)
        except struct.error:
            self._respond(bytes((RESPONSE, code, BAD_PARAMETER)))
        else:
            if answer is not None:
                self._respond(bytes((RESPONSE, code, OK)) + answer)

    def _respond(self, frame: bytes) -> None:
        self._board.send(ENDPOINT, slip.encode(frame))

    def _set_prn(self, data: bytes) -> bytes:
        (self._prn,) = struct.unpack_from("<H", data)
        return b""

    def _read_error(self, data: bytes) -> bytes:
        return bytes((self._error,))

    def _firmware(self, data: bytes) -> bytes:
        """Type 1 (application), version, address and length of image 0."""
        kind = 1 if self._settings.bank == VALID_IMAGE else 0xFF
        return struct.pack("<B3I", kind, self._settings.app_version, 0x1000, self._settings.size)

    def _select(self, data: bytes) -> bytes:
        self._selected = self._type(data)
        limit = INIT_MAX if self._selected == COMMAND_OBJECT else PAGE
        return struct.pack("<I", limit) + self._where()

    def _where(self) -> bytes:
        """Return offset and CRC of the received data of the selected object type."""
        if self._selected == COMMAND_OBJECT:
            command = self._progress.command
            return struct.pack("<2I", len(command), zlib.crc32(command))
        return struct.pack("<2I", self._progress.offset, self._progress.crc)

    def _type(self, data: bytes) -> int:
        (kind,) = struct.unpack_from("<B", data)
        if kind not in (COMMAND_OBJECT, DATA_OBJECT):
            raise ResponseError(BAD_TYPE)
        return int(kind)

    def _create(self, data: bytes) -> bytes:
        kind = self._type(data)
        (size,) = struct.unpack_from("<I", data, 1)
        if not size:
            raise ResponseError(BAD_PARAMETER)
        if kind == COMMAND_OBJECT:
            if size > INIT_MAX:
                raise ResponseError(NO_RESOURCES)
            self._progress = _Progress(command_size=size)
        else:
            self._create_data(size)
        self._selected = kind
        return b""

    def _create_data(self, size: int) -> None:
        progress = self._progress
        init = self._accepted()
        left = init.app_size - progress.executed
        if size > PAGE or size > left or (size < PAGE and size != left):
            raise ResponseError(BAD_PARAMETER)
        # An object that was given up is written again from its start.
        progress.offset = progress.executed
        progress.crc = zlib.crc32(dfu_image.content(self._app, progress.offset))
        progress.object_size, progress.tail = size, b""
        _done(self._app.erase(progress.offset // PAGE))

    def _accepted(self) -> pb.InitCommand:
        if self._progress.accepted is None:
            raise ResponseError(NOT_PERMITTED)
        return self._progress.accepted

    def _write(self, data: bytes) -> bytes | None:
        progress = self._progress
        if self._selected == COMMAND_OBJECT:
            if not progress.command_size or len(progress.command) + len(data) > progress.command_size:
                raise ResponseError(NOT_PERMITTED if not progress.command_size else BAD_PARAMETER)
            progress.command += data
        else:
            self._accepted()
            end = progress.executed + progress.object_size
            if not data or progress.offset + len(data) > end:
                raise ResponseError(BAD_PARAMETER)
            self._program(data, last=progress.offset + len(data) == end)
        if not self._prn:
            return None
        self._since_prn += 1
        if self._since_prn < self._prn:
            return None
        self._since_prn = 0
        self._respond(bytes((RESPONSE, CRC, OK)) + self._where())
        return None

    def _program(self, data: bytes, last: bool) -> None:
        """Whole words go to flash; the rest of a word waits for what follows, or is filled up at the end."""
        progress = self._progress
        start = progress.offset - len(progress.tail)
        waiting = progress.tail + data
        cut = len(waiting) if last else len(waiting) & ~3
        words, progress.tail = waiting[:cut], waiting[cut:]
        if words:
            padded = words + b"\xff" * (-len(words) % 4)
            _done(self._app.program(start, padded))
        progress.offset += len(data)
        progress.crc = zlib.crc32(data, progress.crc)

    def _execute(self, data: bytes) -> bytes:
        if self._selected == COMMAND_OBJECT:
            self._execute_command()
        else:
            self._execute_data()
        return b""

    # The init packet

    def _execute_command(self) -> None:
        progress = self._progress
        if not progress.command or len(progress.command) != progress.command_size:
            raise ResponseError(NOT_PERMITTED)
        defects = self._door.defects
        self._work(PREPARE_US)
        if "refusal-erases" in defects:
            # What the defect is: the bank is given up before it is known whether anything may replace it.
            self._invalidate(self._settings.app_version)
        packet = self._checked(progress.command)
        init, progress.signature_ok = packet.init, packet.signature_ok
        raised = init.fw_version if "version-raised-early" in defects else self._settings.app_version
        self._invalidate(raised)
        progress.accepted = init
        self._was_accepted = True

    def _checked(self, command: bytes) -> Checked:
        """The packet, if it may be installed.

        :raises ResponseError: it may not.
        """
        defects, settings = self._door.defects, self._settings
        if "second-packet-unchecked" in defects and self._was_accepted:
            settings = replace(settings, app_version=0)
        try:
            return checked(command, self._door, settings, self._app.part.size, self._work)
        except ResponseError as refused:
            if "refusal-lowers-floor" in defects and refused.extended == VERSION_TOO_LOW:
                self._store(replace(self._settings, app_version=self._settings.app_version - 1))
            raise

    def _invalidate(self, app_version: int) -> None:
        """From here on there is no application, and so no way back to the old one."""
        changed = replace(self._settings, bank=NO_IMAGE, app_version=app_version)
        if changed != self._settings:
            self._store(changed)

    # The image

    def _execute_data(self) -> None:
        progress = self._progress
        init = self._accepted()
        if progress.offset - progress.executed != progress.object_size:
            raise ResponseError(NOT_PERMITTED)
        progress.executed, progress.object_size = progress.offset, 0
        if progress.executed == init.app_size:
            self._activate(init)

    def _activate(self, init: pb.InitCommand) -> None:
        """The image is whole: check it as it stands in flash, make it the application, and start it."""
        image = dfu_image.content(self._app, init.app_size)
        self._work(HASH_US_PER_KB * len(image) // 1024)
        if hashlib.sha256(image).digest()[::-1] != init.hash.hash or not self._progress.signature_ok:
            signed = self._progress.signature_ok
            self._progress = _Progress()
            raise ResponseError(EXTENDED, WRONG_HASH) if signed else ResponseError(BAD_SIGNATURE)
        validation, signature = BY_CRC, bytes(64)
        for wanted in init.boot_validation[:1]:
            if wanted.type != pb.VALIDATE_GENERATED_CRC:
                # NO_VALIDATION and kinds that do not exist pass nothing.
                validation, signature = wanted.type, wanted.bytes_.ljust(64, b"\0")
        if not dfu_image.passes(validation, signature, image, self._door.keys):
            self._progress = _Progress()
            raise ResponseError(BAD_SIGNATURE)
        floor, pending = init.fw_version, 0
        if "version-raised-late" in self._door.defects:
            floor, pending = self._settings.pending or self._settings.app_version, init.fw_version
        self._store(
            DfuSettings(floor, VALID_IMAGE, init.app_size, zlib.crc32(image), validation, signature, pending)
        )
        self._reset_us = self._board.clock.now_us + RESET_US

    def _store(self, settings: DfuSettings) -> None:
        defects = self._door.defects
        dfu_settings.store(
            self._pages, settings, "settings-lost-open" in defects, "backup-left-behind" in defects
        )
        self._settings = settings

    def _work(self, duration_us: int) -> None:
        self._board.clock.wait_us(duration_us)
        self._board.rail.check()


def _done(done: bool) -> None:
    if not done:
        raise PowerLost
