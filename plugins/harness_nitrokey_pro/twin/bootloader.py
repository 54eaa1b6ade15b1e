"""The bootloader of the Nitrokey Pro: DFU 1.1 with a raw image, which is written as it comes.

States and results are those of dapboot, the bootloader in this key: a block is written after the GETSTATUS that follows
it, each page is erased, written and compared, and what came after the last page of the application is refused. Sources:
devanlai/dapboot, src/dfu.c; nitrokey-pro-firmware 981a7e6, its notes and hw_config.c.
"""

from __future__ import annotations

from harness.api import Board
from harness_nitrokey_pro import images
from harness_nitrokey_pro.twin.installed import Installed, application
from harness_nitrokey_pro.twin.layout import APPLICATION_PAGES, BOOTLOADER_PAGES, PAGE
from harness_transports.dfu import REPORT, SETUP, Ask, State, Status

ENDPOINT = "dfu"
STAY = 0x544F4F42
"""What the application leaves in the backup registers before it resets: "BOOT"."""
TRANSFER = 1024
POLL_MS = 100
RESET_US = 20_000
"""From the end of an update to the reset that starts what was installed."""


def enter(board: Board) -> None:
    """Leave the application for the bootloader. The registers keep their value over a reset, not over a power cycle."""
    board.retained = STAY
    board.power_on()


class Bootloader:
    """One boot of it: implements harness.twin.board.Firmware, and OffersReports.

    :param installed: what it knows of the application.
    :ivar serial_number: what it shows on USB, in hex.
    """

    face = "bootloader"

    def __init__(self, board: Board, chip: str, installed: Installed, serial_number: str):
        self._board, self._installed = board, installed
        self._flash = board.flash[chip]
        self.serial_number = serial_number
        self._state, self._status = State.IDLE, Status.OK
        self._block, self._offset = b"", 0
        self._done_us = 0
        self._reset_us: int | None = None

    # The board's side

    def receive(self, endpoint: str, packet: bytes) -> None:
        if endpoint != ENDPOINT:
            return
        _, ask, _, _, length = SETUP.unpack(packet[: SETUP.size].ljust(SETUP.size, b"\0"))
        data = packet[SETUP.size :]
        if ask == Ask.DOWNLOAD and length == len(data):
            self._download(data)
        elif ask == Ask.GET_STATUS:
            self._go_on()
        elif ask == Ask.CLEAR_STATUS:
            if self._state == State.ERROR:
                self._state, self._status = State.IDLE, Status.OK
        elif ask == Ask.ABORT:
            if self._state in (State.DOWNLOAD_SYNC, State.DOWNLOAD_IDLE, State.MANIFEST_SYNC):
                self._state = State.IDLE
        elif ask != Ask.GET_STATE:
            self._fail(Status.STALLED)

    def report(self, endpoint: str, at_us: int) -> bytes:
        """What GETSTATUS answers at that instant, and the state."""
        state, poll_ms = self._state, 0
        status = self._status
        if at_us < self._done_us or state == State.DOWNLOAD_SYNC:
            state, poll_ms = State.BUSY, POLL_MS
        elif state == State.MANIFEST_SYNC:
            taken = images.starts(application(self._flash))
            status, state = (status, State.MANIFEST) if taken else (Status.WRONG_FIRMWARE, State.ERROR)
        return REPORT.pack(status, poll_ms.to_bytes(3, "little"), state, 0, self._state)

    def next_event_us(self) -> int | None:
        return self._reset_us

    def advance(self) -> None:
        self._reset_us = None
        self._board.power_on()

    def press(self) -> bool:
        """A bootloader never asks for a touch."""
        return False

    # Downloads

    def _fail(self, status: Status) -> None:
        self._state, self._status = State.ERROR, status

    def _download(self, data: bytes) -> None:
        if self._state == State.IDLE:
            if not data:
                self._fail(Status.STALLED)
                return
            self._offset = 0
        elif self._state != State.DOWNLOAD_IDLE:
            return
        if len(data) > TRANSFER:
            self._fail(Status.STALLED)
        elif data:
            self._block, self._state = data, State.DOWNLOAD_SYNC
        else:
            self._state = State.MANIFEST_SYNC

    def _go_on(self) -> None:
        """What a GETSTATUS sets off: the block that came is written, or the update ends."""
        if self._state == State.DOWNLOAD_SYNC:
            if self._offset + len(self._block) > APPLICATION_PAGES * PAGE:
                self._fail(Status.WRONG_ADDRESS)
                return
            self._state = State.BUSY
            written = self._write(self._block)
            self._done_us = self._board.clock.now_us
            if not written:
                self._fail(Status.NOT_WRITTEN)
                return
            self._offset += len(self._block)
            self._state = State.DOWNLOAD_IDLE
        elif self._state == State.MANIFEST_SYNC:
            if not images.starts(application(self._flash)):
                self._fail(Status.WRONG_FIRMWARE)
                return
            self._state = State.MANIFEST
            self._installed.end(self._offset)
            self._reset_us = self._board.clock.now_us + RESET_US

    def _write(self, block: bytes) -> bool:
        """Write a block at the place of the image that it has. :raises PowerLost: the power failed."""
        if self._offset == 0:
            self._installed.begin()
        rail, flash, at = self._board.rail, self._flash, self._offset
        while block:
            index, offset = divmod(at, PAGE)
            piece, block = block[: PAGE - offset], block[PAGE - offset :]
            page = BOOTLOADER_PAGES + index
            before = flash.pages[page][:offset]
            flash.erase(page)
            rail.check()
            flash.program(page * PAGE, before + piece)
            rail.check()
            if flash.pages[page][offset:][: len(piece)] != piece:
                return False
            at += len(piece)
        return True
