"""The firmware of a device that is an OpenPGP card and nothing else; it waits for touches."""

from __future__ import annotations

from harness.api import Board, CardFirmware, Command, Store, Stream
from harness_cards.files import Files
from harness_openpgp.twin.card import TOUCH_US, OpenPgpApplication
from harness_openpgp.twin.lifecycle import begin
from harness_openpgp.twin.traits import Traits

ENDPOINT = "card"


class BoardServices:
    """Random numbers and time of one boot of a board."""

    def __init__(self, board: Board):
        self._board = board
        self._streams: dict[str, Stream] = {}

    def stream(self, purpose: str) -> Stream:
        return self._streams.setdefault(purpose, self._board.random(purpose))

    def random(self, purpose: str, count: int) -> bytes:
        return self.stream(purpose).bytes(count)

    def work(self, duration_us: int) -> None:
        """Compute. :raises PowerLost: the power failed meanwhile."""
        self._board.clock.wait_us(duration_us)
        self._board.rail.check()


class OpenPgpFirmware(CardFirmware):
    """One boot of the card.

    :param store: its mounted file system.
    """

    def __init__(self, board: Board, store: Store, traits: Traits, serial: bytes):
        super().__init__(board)
        files = Files(store)
        files.resume()
        self.application = OpenPgpApplication(files, BoardServices(board), traits, serial)
        begin(self.application.card)
        self._waits_us: int | None = None
        self._pressed_us: int | None = None

    def receive(self, endpoint: str, packet: bytes) -> None:
        if self._waits_us is not None:
            # A reader has one command under way at a time: the host gave up the one that waits for a touch.
            self._finish(touched=False)
        super().receive(endpoint, packet)

    def obey(self, command: Command) -> tuple[bytes, int] | None:
        answer = self.application.obey(command)
        if answer is None:
            self._waits_us = self._board.clock.now_us
        return answer

    def card_was_reset(self) -> bool:
        waited = self._waits_us is not None
        self._waits_us = self._pressed_us = None
        self.application.restart()
        return waited

    def next_event_us(self) -> int | None:
        if self._waits_us is None:
            return None
        timeout, touch = self._waits_us + TOUCH_US, self._touch_us()
        return timeout if touch is None else min(timeout, touch)

    def advance(self) -> None:
        touch = self._touch_us()
        self._finish(touched=touch is not None and self._board.clock.now_us >= touch)

    def _finish(self, *, touched: bool) -> None:
        self._waits_us = self._pressed_us = None
        self.answer(ENDPOINT, lambda: self.application.resume(touched))

    def press(self) -> bool:
        """Touch the card now. False: no command waits for a touch."""
        if self._waits_us is None:
            return False
        self._pressed_us = self._board.clock.now_us
        return True

    def _touch_us(self) -> int | None:
        if self._pressed_us is not None or self._waits_us is None:
            return self._pressed_us
        delay = self._board.touch_delay_us
        return None if delay is None else self._waits_us + delay
