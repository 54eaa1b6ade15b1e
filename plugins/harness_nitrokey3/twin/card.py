"""The card side of a twin: OpenPGP, and the admin application by APDU (admin-app 70086d9; ISO 7816-4 for the frame).

INS is the CTAPHID command's byte. The firmware takes the mode of UPDATE and VERSION from P1; the vendor's SDK
puts it into P2 and sends it as data as well, so the data decide where P1 is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.api import (
    AwaitTouch,
    Board,
    Handler,
    HarnessFault,
    Leave,
    StoreDamaged,
    StoreFull,
    Touched,
    parsed_command,
)
from harness_fido2.twin.hid import Command, HidFirmware
from harness_fido2.twin.status import HidError
from harness_openpgp.twin.card import TOUCH_US, OpenPgpApplication
from harness_openpgp.twin.data import AID as OPENPGP_AID

ENDPOINT = "card"
ATR = bytes.fromhex("3B8F01805D4E6974726F6B657900000000006A")
ADMIN_AID = bytes.fromhex("A00000084700000001")
SELECT, UPDATE, VERSION = 0xA4, 0x51, 0x61

OK, WRONG_LENGTH, NOT_SATISFIED = 0x9000, 0x6700, 0x6985
MEMORY_FAILURE = 0x6581
NOT_FOUND, WRONG_P1P2, NO_INS, NO_CLA = 0x6A82, 0x6A86, 0x6D00, 0x6E00

_STATUS_WORDS = {HidError.INVALID_CMD: NO_INS, HidError.INVALID_LEN: WRONG_LENGTH}


class _Refused(Exception):
    def __init__(self, status: int):
        super().__init__(f"{status:04x}")
        self.status = status


class CardSide:
    """One card: selects, dispatches, and waits for touch as CTAPHID does, without keepalives.

    :param openpgp: the OpenPGP application; None if it is not there in this boot.
    """

    def __init__(
        self, board: Board, commands: Mapping[int, Command], openpgp: OpenPgpApplication | None = None
    ):
        self._board = board
        self._openpgp = openpgp
        self._in_openpgp = False
        self._commands = commands
        self._selected = False
        self._handler: Handler | None = None
        self._instruction = 0
        self._wait: AwaitTouch | None = None
        self._wait_us = 0
        self._pressed_us: int | None = None

    def receive(self, apdu: bytes) -> None:
        if self._wait is not None:
            # A reader has one command under way at a time; a second one means that the first was given up.
            self._finish(touched=False)
        if self._taken_by_openpgp(apdu):
            return
        try:
            self._instruction, data = self._parsed(apdu)
            if self._instruction == SELECT:
                self._answer(b"", OK)
                return
            self._handler = self._commands[self._instruction](data)
        except _Refused as refused:
            self._answer(b"", refused.status)
        except HidError as error:
            self._answer(b"", _STATUS_WORDS.get(error.code, WRONG_LENGTH))
        else:
            self._run(None)

    def restart(self) -> bool:
        """The reader has reset the card: no application is selected, nothing is verified, nothing waits.

        :returns: whether a command waited; it gets no answer.
        """
        waited = self._wait is not None
        if self._handler is not None:
            self._handler.close()
        self._handler = self._wait = self._pressed_us = None
        self._selected = self._in_openpgp = False
        if self._openpgp is not None:
            self._openpgp.restart()
        return waited

    def _taken_by_openpgp(self, apdu: bytes) -> bool:
        """Let the OpenPGP application answer, if it is selected, or is to be."""
        if self._openpgp is None:
            return False
        command = parsed_command(apdu)
        if command is not None and command.ins == SELECT and command.p1 == 0x04 and not command.cla:
            chosen = command.data.startswith(OPENPGP_AID)
            if self._in_openpgp and not chosen:
                self._openpgp.leave()
            self._in_openpgp = chosen
            self._selected = self._selected and not chosen
        if not self._in_openpgp:
            return False
        if command is None:
            self._answer(b"", WRONG_LENGTH)
            return True
        application = self._openpgp
        self._finish_openpgp(lambda: application.obey(command))
        return True

    def _finish_openpgp(self, carry_out: Callable[[], tuple[bytes, int] | None]) -> None:
        try:
            done = carry_out()
        except (StoreDamaged, StoreFull):
            done = b"", MEMORY_FAILURE
        if done is None:
            self._wait, self._wait_us = AwaitTouch(TOUCH_US), self._board.clock.now_us
        else:
            self._answer(*done)

    def next_event_us(self) -> int | None:
        if self._wait is None:
            return None
        timeout = self._wait_us + self._wait.timeout_us
        touch = self._touch_us()
        return timeout if touch is None else min(timeout, touch)

    def advance(self) -> None:
        touch = self._touch_us()
        self._finish(touched=touch is not None and self._board.clock.now_us >= touch)

    def _finish(self, *, touched: bool) -> None:
        """Go on with the command that waits for a touch."""
        self._wait = self._pressed_us = None
        if self._handler is None and self._openpgp is not None:
            application = self._openpgp
            self._finish_openpgp(lambda: application.resume(touched))
            return
        self._run(Touched.GRANTED if touched else Touched.TIMED_OUT)

    def press(self) -> bool:
        """Touch the key now. Returns False if no request waits for a touch."""
        if self._wait is None:
            return False
        self._pressed_us = self._board.clock.now_us
        return True

    def _touch_us(self) -> int | None:
        if self._pressed_us is not None:
            return self._pressed_us
        delay = self._board.touch_delay_us
        return None if delay is None else self._wait_us + delay

    def _parsed(self, apdu: bytes) -> tuple[int, bytes]:
        """Return instruction and data; a SELECT is answered here."""
        if len(apdu) < 4:
            raise _Refused(WRONG_LENGTH)
        cla, ins, p1, _ = apdu[:4]
        data = _data(apdu[4:])
        if cla != 0:
            raise _Refused(NO_CLA)
        if ins == SELECT:
            self._selected = p1 == 0x04 and data == ADMIN_AID
            if not self._selected:
                raise _Refused(NOT_FOUND if p1 == 0x04 else WRONG_P1P2)
            return ins, b""
        if not self._selected or ins not in self._commands:
            raise _Refused(NO_INS)
        if ins in (UPDATE, VERSION) and p1:
            data = bytes((p1,))
        return ins, data

    def _run(self, touched: Touched | None) -> None:
        assert self._handler is not None
        handler, self._handler = self._handler, None
        try:
            step = handler.send(touched)
            if isinstance(step, AwaitTouch):
                self._handler, self._wait, self._wait_us = handler, step, self._board.clock.now_us
            elif isinstance(step, Leave):
                step.then()
            else:
                raise HarnessFault("an admin command answers before it is done")
        except StopIteration as done:
            self._answer(done.value, OK)
        except HidError as error:
            # UPDATE without a touch is INVALID_LEN over CTAPHID and "conditions not satisfied" here.
            late = self._instruction == UPDATE and error.code == HidError.INVALID_LEN
            self._answer(b"", NOT_SATISFIED if late else _STATUS_WORDS.get(error.code, WRONG_LENGTH))

    def _answer(self, data: bytes, status: int) -> None:
        self._board.send(ENDPOINT, data + status.to_bytes(2, "big"))


def _data(rest: bytes) -> bytes:
    """Return the command data of a short or extended APDU, given without its header."""
    if len(rest) <= 1:
        return b""
    if rest[0]:
        size, body = rest[0], rest[1:]
        spare = 1
    elif len(rest) >= 3:
        size, body = int.from_bytes(rest[1:3], "big"), rest[3:]
        spare = 2
        if not body:
            # Three bytes that begin with 0 are an extended Le and no data.
            return b""
    else:
        raise _Refused(WRONG_LENGTH)
    if len(body) not in (size, size + spare):
        raise _Refused(WRONG_LENGTH)
    return body[:size]


class KeyFirmware:
    """A running Nitrokey 3: CTAPHID and the card side, on one board.

    :ivar hid: the CTAPHID engine, for tests.
    :ivar release: bcdDevice: major and minor version, a byte each (nitrokey-3-firmware, utils/src/version.rs).
    """

    face = "application"
    serial_number = None

    def __init__(self, hid: HidFirmware, card: CardSide, release: int = 0x0100):
        self.hid, self._card = hid, card
        self.release = release

    def receive(self, endpoint: str, packet: bytes) -> None:
        if endpoint == ENDPOINT:
            self._card.receive(packet)
        else:
            self.hid.receive(endpoint, packet)

    def card_was_reset(self) -> bool:
        return self._card.restart()

    def next_event_us(self) -> int | None:
        hid, card = self.hid.next_event_us(), self._card.next_event_us()
        if hid is None or card is None:
            return card if hid is None else hid
        return min(hid, card)

    def advance(self) -> None:
        card, hid = self._card.next_event_us(), self.hid.next_event_us()
        if card is not None and (hid is None or card <= hid):
            self._card.advance()
        else:
            self.hid.advance()

    def press(self) -> bool:
        """Touch the key now. Returns False if no request waits for a touch."""
        return self.hid.press() or self._card.press()

    @property
    def waits_for_touch(self) -> bool:
        return self.hid.waits_for_touch or self._card.next_event_us() is not None
