"""The HID side of the key as a device on the bus: takes a report, is busy, and shows its answer to whoever asks.

A report is received (3), the firmware is busy with it (1), then ready (0). Reports that come meanwhile are dropped
without a word.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Board, Stream
from harness_nitrokey_pro import images, reports
from harness_nitrokey_pro.reports import Status
from harness_nitrokey_pro.twin import firmware_commands, otp_commands, pin_commands, safe_commands
from harness_nitrokey_pro.twin.card_side import CardSide
from harness_nitrokey_pro.twin.device import Device, Done, Values
from harness_nitrokey_pro.twin.pages import Pages

ENDPOINT = "hid-feature"
REPORT_DESCRIPTOR = bytes.fromhex(
    "0600ff 0901 a1010901 1500 26ff00 7508 9540 81020902 1500 26ff00 7508 9540 91020902 7508 9540 b102 c0"
)
"""A page of the vendor's, and reports of 64 bytes: of the feature report alone anything is said
(nitrokey-pro-firmware, CCIDHID_usb_desc.c).
"""
PICKED_US, WORK_US, LATER_US = 500, 2_000, 15_000
"""How long a report waits for the main loop, and the least that a command takes; how long after its
answer a defect writes."""
HANDLERS: dict[str, Callable[[Device, Values], Done]] = {
    "status": pin_commands.status,
    "admin_tries": pin_commands.admin_tries,
    "user_tries": pin_commands.user_tries,
    "admin": pin_commands.admin,
    "user": pin_commands.user,
    "unblock": pin_commands.unblock,
    "change_user": pin_commands.change_user,
    "change_admin": pin_commands.change_admin,
    "random": pin_commands.random,
    "otp_data": otp_commands.otp_data,
    "write_slot": otp_commands.write_slot,
    "slot_name": otp_commands.slot_name,
    "read_slot": otp_commands.read_slot,
    "code": otp_commands.code,
    "erase_slot": otp_commands.erase_slot,
    "verify": otp_commands.verify,
    "config": otp_commands.config,
    "time": otp_commands.time,
    "safe_status": safe_commands.safe_status,
    "safe_name": safe_commands.safe_name,
    "safe_password": safe_commands.safe_password,
    "safe_login": safe_commands.safe_login,
    "safe_put": safe_commands.safe_put,
    "safe_store": safe_commands.safe_store,
    "safe_erase": safe_commands.safe_erase,
    "safe_enable": safe_commands.safe_enable,
    "detect_aes": safe_commands.detect_aes,
    "new_aes_key": safe_commands.new_aes_key,
    "lock": safe_commands.lock,
    "factory_reset": firmware_commands.factory_reset,
    "update": firmware_commands.update,
    "change_firmware_password": firmware_commands.change_firmware_password,
}

WITH_BOOTLOADER = ("update", "change_firmware_password")
"""What firmware without a bootloader does not know."""


class HidSide:
    """One boot of it.

    :param start_bootloader: reboots into the bootloader. :param version: of the firmware, 0x000F is 0.15.
    """

    def __init__(
        self,
        board: Board,
        pages: Pages,
        card: CardSide,
        random: Stream,
        start_bootloader: Callable[[], None],
        version: int,
    ):
        self._board, self._card, self._start_bootloader = board, card, start_bootloader
        self.device = Device(pages, card, random, lambda: board.uptime_us, version)
        self._shown = self._next = bytes(reports.SIZE)
        self._picked_us = self._done_us = 0

    def receive(self, report: bytes) -> None:
        """SET_REPORT: carry the command out, unless one is in hand."""
        board = self._board
        at_us = board.received_us
        if at_us < self._done_us:
            return
        self._shown = self._next
        self._picked_us, self._done_us = at_us + PICKED_US, at_us + LONG_US
        board.clock.wait_us(WORK_US)
        board.rail.check()
        self._next = self._answered(report.ljust(reports.SIZE, b"\0")[: reports.SIZE])
        self._done_us = board.clock.now_us
        if self.device.later is not None:
            later, self.device.later = self.device.later, None
            board.clock.wait_us(LATER_US)
            board.rail.check()
            later()
        if self.device.reboots:
            self._start_bootloader()

    def report(self, at_us: int) -> bytes:
        """GET_REPORT: the last answer, with the state of this instant."""
        if at_us >= self._done_us:
            return self._next
        state = reports.RECEIVED if at_us < self._picked_us else reports.BUSY
        return bytes([state]) + self._shown[1:]

    def _answered(self, report: bytes) -> bytes:
        body = report[: reports.CRC_AT]
        crc = reports.crc32(body)
        if crc.to_bytes(4, "little") != report[reports.CRC_AT :]:
            return reports.answer(report[0], crc, Status.WRONG_CRC)
        command = reports.BY_CODE.get(report[0])
        if command is None or (
            command.name in WITH_BOOTLOADER and self.device.version < images.BOOTLOADER_SINCE
        ):
            return reports.answer(report[0], crc, Status.UNKNOWN)
        with self._card.alone():
            status, fields = HANDLERS[command.name](self.device, reports.unpacked(command.request, body[1:]))
        data = reports.packed(command.answer, fields) if status == Status.OK else b""
        return reports.answer(report[0], crc, status, data)


LONG_US = 1 << 40
"""Until the work is done, the device is busy for good: so it is where the power fails meanwhile."""
