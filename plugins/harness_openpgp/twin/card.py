"""The OpenPGP application of a simulated card: selection and dispatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.api import OK, CardDialog, Command, StoreFull
from harness_openpgp.slots import Slot
from harness_openpgp.twin import data, keys, lifecycle, pins, use
from harness_openpgp.twin.state import KEY_FILES, Card, CardFiles, Services
from harness_openpgp.twin.status import (
    CONDITIONS,
    NO_CLASS,
    NO_INSTRUCTION,
    NO_SECURE_MESSAGING,
    NO_SPACE,
    NOT_FOUND,
    NOT_TOUCHED,
    TERMINATED,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)
from harness_openpgp.twin.traits import Traits

SELECT, SIGN_AND_MORE, AUTHENTICATE, CHALLENGE = 0xA4, 0x2A, 0x88, 0x84
TERMINATE, ACTIVATE, ENVIRONMENT = 0xE6, 0x44, 0x22
SECURE = 0x0C
TOUCH_US = 15_000_000
"""How long a use of a key waits for the touch that its flag asks for."""
Answer = tuple[bytes, int]
Handler = Callable[[Card, int, int, bytes], bytes]
HANDLERS: dict[int, Handler] = {
    0x20: pins.verify,
    0x24: pins.change,
    0x2A: use.operate,
    0x2C: pins.reset_retry,
    0x44: lifecycle.activate,
    0x47: keys.generate,
    0x88: use.authenticate,
    0xA5: data.select_data,
    0xCA: data.get,
    0xCC: data.next_data,
    0xDA: data.put,
    0xDB: data.put_odd,
    0xE6: lifecycle.terminate,
}
"""Instruction -> what carries it out: (card, P1, P2, data) -> data of the answer."""


class OpenPgpApplication:
    """One boot of the application on a device.

    :param serial: four bytes.
    """

    def __init__(self, files: CardFiles, services: Services, traits: Traits, serial: bytes):
        self.card = Card(files, services, traits, serial)
        self._dialog = self._new_dialog()
        self._selected = traits.starts_selected
        self._waits: Command | None = None

    def obey(self, command: Command) -> Answer | None:
        """Carry out a command. None: the application waits for a touch; `resume` goes on."""
        self._waits = None
        self._pay_later()
        whole = self._dialog.take(command)
        if not isinstance(whole, Command):
            return whole
        if self._needs_touch(whole):
            self._waits = whole
            return None
        return self._finished(whole)

    def resume(self, touched: bool) -> Answer:
        """Go on with the command that waited for a touch."""
        command, self._waits = self._waits, None
        if command is None or not touched:
            return b"", NOT_TOUCHED
        return self._finished(command)

    @property
    def is_selected(self) -> bool:
        """Was it selected since the power came?"""
        return self._selected

    @property
    def is_terminated(self) -> bool:
        return lifecycle.is_terminated(self.card)

    def leave(self) -> None:
        """Another application was selected: nobody is verified any more."""
        self._selected = False
        self.card.end_session()
        self.card.read_anew()

    def restart(self) -> None:
        """The card was reset: as after power-up, but nothing is read or written."""
        self._dialog = self._new_dialog()
        self._waits = None
        self.card.end_session()
        self._selected = self.card.traits.starts_selected

    def _new_dialog(self) -> CardDialog:
        traits = self.card.traits
        return CardDialog(max(traits.longest[0], traits.special_max) + 1024)

    def _finished(self, command: Command) -> Answer:
        try:
            found, status = self._answer(command), OK
        except CardError as refused:
            found, status = b"", refused.status
        except StoreFull:
            found, status = b"", NO_SPACE
        return self._dialog.limited(found, status, command.le, wants_le=self.card.traits.wants_le)

    def _answer(self, command: Command) -> bytes:
        if command.cla & SECURE:
            raise CardError(NO_SECURE_MESSAGING)
        if command.cla:
            raise CardError(NO_CLASS)
        if command.ins == SELECT:
            return self._select(command)
        if not self._selected:
            raise CardError(CONDITIONS)
        card = self.card
        if command.ins == CHALLENGE:
            return self._challenge(command)
        if command.ins == ENVIRONMENT and card.traits.has_environments:
            handler: Handler | None = use.set_environment
        else:
            handler = HANDLERS.get(command.ins)
        if handler is None:
            raise CardError(NO_INSTRUCTION)
        if lifecycle.is_terminated(card) and command.ins not in (TERMINATE, ACTIVATE):
            raise CardError(CONDITIONS)
        return handler(card, command.p1, command.p2, command.data)

    def _select(self, command: Command) -> bytes:
        if command.p1 != 0x04 or command.p2 not in (0x00, 0x0C):
            raise CardError(WRONG_P1P2)
        # Six bytes name the application of any version and card.
        if len(command.data) < 6 or not data.aid(self.card).startswith(command.data):
            raise CardError(NOT_FOUND)
        self.card.end_session()
        # The device may have reset the application meanwhile.
        self.card.read_anew()
        self._selected = True
        lifecycle.begin(self.card)
        if lifecycle.is_terminated(self.card):
            raise CardError(TERMINATED)
        return b""

    def _challenge(self, command: Command) -> bytes:
        traits = self.card.traits
        # The application of the Nitrokey 3 gives them and does not say so in the first byte of DO C0.
        if not traits.challenge_max:
            raise CardError(NO_INSTRUCTION)
        if command.p1 or command.p2:
            raise CardError(WRONG_P1P2)
        if not command.le or command.le > traits.challenge_max:
            raise CardError(WRONG_LENGTH)
        return self.card.services.random("challenge", command.le)

    def _needs_touch(self, command: Command) -> bool:
        """Is it a use of a key that would go through, of a slot whose flag asks for a touch?"""
        card, asked = self.card, (command.ins, command.p1, command.p2)
        if not self._selected or lifecycle.is_terminated(card) or card.stored is None or command.cla:
            return False
        if asked == (SIGN_AND_MORE, 0x9E, 0x9A):
            slot, verified = Slot.SIGN, card.session.sign
        elif asked == (SIGN_AND_MORE, 0x80, 0x86):
            slot, verified = Slot.DECIPHER, card.session.other
        elif asked == (AUTHENTICATE, 0, 0):
            slot, verified = Slot.AUTHENTICATE, card.session.other
        else:
            return False
        slot = card.session.swapped.get(slot, slot)
        return verified and card.files.read(KEY_FILES[slot]) is not None and card.stored.slot(slot).touch > 0

    def _pay_later(self) -> None:
        """What a defect leaves for the next command."""
        card = self.card
        if card.later is not None:
            counter, card.later = card.later, None
            card.save(replace(card.state, counter=counter))
