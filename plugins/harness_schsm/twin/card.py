"""The card side of a simulated SmartCard-HSM: selection, dispatch, command chaining, long answers to short commands."""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.api import OK, Board, CardFirmware, Command, Panic, Store, StoreFull
from harness_cards.files import Files
from harness_cards.tlv import tlv
from harness_schsm.twin import domains, elementary, generate, initialize, pins, pka, update, use, wrap
from harness_schsm.twin.identity import load_identity
from harness_schsm.twin.state import Card, Handler, Session
from harness_schsm.twin.status import (
    NO_CLASS,
    NO_INSTRUCTION,
    NO_SPACE,
    NOT_FOUND,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_P1P2,
    CardError,
)

ENDPOINT = "card"
AID = bytes.fromhex("E82B0601040181C31F0201")
SELECT, GET_RESPONSE, READ, UPDATE = 0xA4, 0xC0, 0xB1, 0xD7
CHAINED, SECURE = 0x10, 0x0C
"""Bits of CLA: not the last command of its chain; secure messaging."""
MORE, NO_SECURE_MESSAGING = 0x6100, 0x6882
CHAIN_MAX = 4096
PLATFORM = 0x00
"""Fourth byte of the version object 85 but two: for JCOP."""
HANDLERS: dict[int, Handler] = {
    0x20: pins.verify,
    0x22: pka.set_environment,
    0x24: pins.change,
    0x2A: pka.verify_certificate,
    0x2C: pins.reset_retry,
    0x46: generate.generate,
    0x48: generate.generate_symmetric,
    0x82: pka.authenticate,
    0x84: pka.challenge,
    0xE4: elementary.delete,
    0x50: initialize.initialize,
    0x52: domains.manage,
    0x54: pka.register,
    0x58: elementary.enumerate_objects,
    0x62: use.decipher,
    0x68: use.sign,
    0x72: wrap.wrap,
    0x74: wrap.unwrap,
    0x76: use.derive,
    0x78: use.aes,
    update.PORTAL: update.portal,
}
"""By INS alone. Clients send one command with 00 and with 80 (OpenSC 80 58, pypicohsm 00 58): no INS has two meanings.
Assumed: nobody has published that the genuine card is as lenient."""


@dataclass(frozen=True)
class Maker:
    """What the maker of a device decided.

    :ivar version: major and minor number, as SELECT shows them. :ivar root: the root certificate of the maker.
    :ivar is_open: the device answers as an open implementation of the applet.
    """

    version: tuple[int, int]
    root: bytes
    defects: frozenset[str] = frozenset()
    is_open: bool = False


class ScHsmFirmware(CardFirmware):
    """One boot of the card. Raises Panic if the device has no identity.

    :param store: its mounted file system.
    """

    def __init__(self, board: Board, store: Store, maker: Maker):
        super().__init__(board)
        files = Files(store)
        files.resume()
        identity = load_identity(files)
        if identity is None:
            raise Panic
        version = identity.version or maker.version
        self._card = Card(files, board, identity, maker.root, version, maker.defects, is_open=maker.is_open)
        if "blocked-forgotten" in maker.defects:
            pins.forget_block(self._card)
        self._selected = 0
        self._chain: Command | None = None
        self._rest = b""

    def obey(self, command: Command) -> tuple[bytes, int]:
        rest, self._rest = self._rest, b""
        while self._card.later:
            self._card.later.pop(0)()
        if command.ins == GET_RESPONSE and command.cla == 0:
            return self._cut(rest, command.le or 256, OK) if rest else (b"", WRONG_P1P2)
        try:
            whole = self._chained(command)
            if whole is None:
                return b"", OK
            data, status = self._answer(whole), OK
        except CardError as refused:
            data, status = refused.data, refused.status
        except StoreFull:
            data, status = b"", NO_SPACE
        # A host that takes 256 bytes at most asks for the rest; an extended Le takes everything.
        return self._cut(data, command.le, status) if command.le and command.le <= 256 else (data, status)

    def card_was_reset(self) -> bool:
        self._card.session = Session()
        self._card.staged = b""
        self._selected, self._chain, self._rest = 0, None, b""
        return False

    def _cut(self, data: bytes, most: int, status: int) -> tuple[bytes, int]:
        if len(data) <= most:
            return data, status
        self._rest = data[most:]
        return data[:most], MORE | min(len(self._rest), 256) & 0xFF

    def _chained(self, command: Command) -> Command | None:
        """Put a chain together; None while more is to come.

        :raises CardError: the chain changes its command, or is too long.
        """
        before, self._chain = self._chain, None
        plain = replace(command, cla=command.cla & ~CHAINED)
        if before is not None:
            if (before.cla, before.ins, before.p1, before.p2) != (plain.cla, plain.ins, plain.p1, plain.p2):
                raise CardError(WRONG_DATA)
            plain = replace(plain, data=before.data + plain.data)
        if len(plain.data) > CHAIN_MAX:
            raise CardError(WRONG_LENGTH)
        if command.cla & CHAINED:
            self._chain = plain
            return None
        return plain

    def _answer(self, command: Command) -> bytes:
        if command.cla & SECURE:
            raise CardError(NO_SECURE_MESSAGING)
        if command.cla not in (0x00, 0x80):
            raise CardError(NO_CLASS)
        if command.ins == SELECT:
            return self._select(command)
        if command.ins == READ:
            return elementary.read(self._card, self._file(command), command.data, command.le)
        if command.ins == UPDATE:
            elementary.update(self._card, self._file(command), command.data)
            self._selected = self._file(command)
            return b""
        handler = HANDLERS.get(command.ins)
        if handler is None:
            raise CardError(NO_INSTRUCTION)
        return handler(self._card, command.p1, command.p2, command.data, command.le)

    def _file(self, command: Command) -> int:
        """The file that a command is for: P1 and P2, or the selected one where they are 0."""
        return command.p1 << 8 | command.p2 or self._selected

    def _select(self, command: Command) -> bytes:
        """SELECT the applet, which ends every login, or an elementary file."""
        if command.p1 == 0x04:
            if not command.data or not AID.startswith(command.data):
                raise CardError(NOT_FOUND)
            self._card.session = Session()
            self._selected = 0
            return self._control()
        if command.p1 or len(command.data) != 2:
            raise CardError(WRONG_P1P2)
        fid = int.from_bytes(command.data, "big")
        shown = elementary.control(self._card, fid)
        self._selected = fid
        return shown

    def _control(self) -> bytes:
        """The applet's control parameters; 85 holds options, platform and version."""
        configuration = self._card.configuration
        options = configuration.options if configuration else 0
        told = options.to_bytes(2, "big") + bytes([PLATFORM, *self._card.version])
        return tlv(0x6F, tlv(0x82, b"\x78"), tlv(0x84, AID), tlv(0x85, told))
