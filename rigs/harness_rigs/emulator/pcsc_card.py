"""An emulator's card through a pcscd: pyscard's connection with a time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from harness.api import KeyGone, RigError
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.pcsc import PcscLink, Reader

T = TypeVar("T")
_RESET = {0x80100068, 0x8010000F}
"""SCARD_W_RESET_CARD, and SCARD_E_PROTO_MISMATCH, which pcscd says where the reset has undone the choice of T=1."""


class PcscCard:
    """The raw endpoint "card" through a pcscd. It lasts for one boot.

    :ivar reader: name of the reader, for other programs.
    :raises RigError: the daemon has ended, or no longer has the reader.
    """

    def __init__(self, key: EmulatedKey, reader: Reader, link: PcscLink):
        from smartcard.Exceptions import SmartcardException
        from smartcard.System import readers

        self._key, self._boot, self.reader = key, key.boots, reader.name
        try:
            found = next((one for one in readers() if str(one) == reader.name), None)
        except SmartcardException:
            found = None
        if found is None:
            reader.require_daemon()
            raise RigError(
                f'reader "{reader.name}"',
                found="a moment in which the daemon did not tell of it",
                expected="the reader that the card was put into",
                mend="see whether the daemon was started again",
            )
        self._connection = found.createConnection()
        link.cards.append(self)

    def connect(self) -> None:
        self._in_time(self._connection.connect)

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU.

        :raises OSError: the card has gone, or gave no answer within the rig's limit.
        """
        self._key.link(self._boot)
        self._key.touch.asked_of_a_card()
        data, sw1, sw2 = self._in_time(
            lambda: self._connection.transmit(list(apdu)), self._key.answers.limit_of(apdu)
        )
        return bytes((*data, sw1, sw2))

    def atr(self) -> bytes:
        return bytes(self._connection.getATR())

    def disconnect(self) -> None:
        """Close the connection, whether or not the card is dead."""
        from smartcard.Exceptions import SmartcardException

        with suppress(SmartcardException):
            self._connection.disconnect()

    def close(self) -> None:
        """Close the connection for good, and its context in the daemon: when garbage is collected it is too late."""
        from smartcard.Exceptions import SmartcardException

        with suppress(SmartcardException):
            self._connection.release()
        # Of a daemon that has ended nothing is left to be released; pyscard would try again, and complain.
        getattr(self._connection, "component", self._connection).hcontext = None

    def _in_time(self, do: Callable[[], T], limit_s: float | None = None) -> T:
        """Call the daemon. Only the card's answer or its death ends such a call: after the limit it is killed."""
        from smartcard.Exceptions import SmartcardException

        key, is_over = self._key, threading.Event()

        def watch() -> None:
            if key.answers.until(lambda left_s: is_over.wait(left_s) or None, limit_s) is None:
                key.note_hang(limit_s)
                key.kill()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            return do()
        except SmartcardException as error:
            key.lost_us = key.clock.now_us
            key.connector.reader.require_daemon()
            if getattr(error, "hresult", 0) & 0xFFFFFFFF in _RESET:
                raise RigError(
                    f'reader "{key.connector.reader.name}"',
                    found="another program has reset the card",
                    expected="a card that nobody else uses while it is tested",
                    mend="end the other program, and run it again",
                ) from error
            raise KeyGone(f"the card has gone: {error}") from error
        finally:
            is_over.set()
            thread.join()
