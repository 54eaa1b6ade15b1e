"""One boot of the Nitrokey Pro's firmware: the HID side, and the card through CCID."""

from __future__ import annotations

from collections.abc import Callable

from harness.api import Board, CardFirmware, Command, Store
from harness_cards.files import Files
from harness_nitrokey_pro.twin.card_side import CardSide
from harness_nitrokey_pro.twin.firmware_commands import finish_reset
from harness_nitrokey_pro.twin.hid_side import ENDPOINT, HidSide
from harness_nitrokey_pro.twin.pages import Pages
from harness_openpgp.twin.card import OpenPgpApplication
from harness_openpgp.twin.firmware import BoardServices
from harness_openpgp.twin.lifecycle import begin
from harness_openpgp.twin.traits import Traits

CHECKS_BACKUP = frozenset({"backup-address-half", "hotp-roll-locks-flash"})
"""With one of these the backup page is in use, and looked at in each boot."""


class ProFirmware(CardFirmware):
    """Implements harness.twin.board.Firmware, and OffersReports.

    :param store: the card's mounted file system.
    :param serial: of the card, four bytes. :param version: 0x000F is 0.15.
    """

    def __init__(
        self,
        board: Board,
        store: Store,
        pages: Pages,
        traits: Traits,
        serial: bytes,
        start_bootloader: Callable[[], None],
        version: int,
    ):
        super().__init__(board)
        if pages.defects & CHECKS_BACKUP:
            pages.check_backup()
        pages.resume()
        files = Files(store)
        files.resume()
        services = BoardServices(board)
        self.application = OpenPgpApplication(files, services, traits, serial)
        begin(self.application.card)
        card = CardSide(self.application)
        self.hid = HidSide(board, pages, card, services.stream("microcontroller"), start_bootloader, version)
        finish_reset(self.hid.device)

    def receive(self, endpoint: str, packet: bytes) -> None:
        if endpoint == ENDPOINT:
            self.hid.receive(packet)
        else:
            super().receive(endpoint, packet)

    def obey(self, command: Command) -> tuple[bytes, int] | None:
        return self.application.obey(command)

    def card_was_reset(self) -> bool:
        self.application.restart()
        return False

    def report(self, endpoint: str, at_us: int) -> bytes:
        return self.hid.report(at_us)
