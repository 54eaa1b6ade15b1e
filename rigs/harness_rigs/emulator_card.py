"""The card side of an emulator, in the shape of pyscard's CardConnection: ours over vpcd's protocol, or pcscd's."""

from __future__ import annotations

import ctypes
from typing import Any

from harness.errors import RigError
from harness.rig import KeyGone
from harness.tap import Tap
from harness_rigs.emulator_link import VpcdLink
from harness_rigs.emulator_process import Process

POLL_S = 1


class Card:
    """A connection to a card that has dialled us; no daemon in between."""

    def __init__(self, link: VpcdLink, tap: Tap, limit_s: float):
        self._link, self._tap, self._limit_s = link, tap, limit_s

    def connect(self, *_: Any, **__: Any) -> None:
        """Reset the card."""
        self._link.reset(self._limit_s)

    def reconnect(self, *_: Any, **__: Any) -> None:
        self._link.reset(self._limit_s)

    def disconnect(self) -> None:
        """A card of ours needs no farewell."""

    def getATR(self) -> list[int]:
        return list(self._link.atr)

    def transmit(self, apdu: list[int], protocol: int | None = None) -> tuple[list[int], int, int]:
        """Send a command APDU; returns data, SW1 and SW2.

        :raises OSError: the card has gone.
        :raises KeyGone: it does not answer.
        """
        if len(apdu) < 4:
            raise ValueError(f"a command APDU has at least 4 bytes, this one {len(apdu)}")
        self._link.send(bytes(apdu))
        self._tap.mark("request-sent")
        answer = self._link.receive(self._limit_s)
        if answer is None or len(answer) < 2:
            raise KeyGone(f"the card gave no answer within {self._limit_s:g} s")
        self._tap.mark("response", answer[-2])
        return list(answer[:-2]), answer[-2], answer[-1]


def _smartcard() -> Any:
    """pyscard, which is not needed for anything else.

    :raises RigError: it, or the library that it talks to, is not there.
    """
    try:
        import smartcard.System
    except ImportError:
        raise RigError(
            "transport pcsc",
            found="no pyscard in this environment",
            expected="pyscard, which speaks to pcscd",
            mend="pip install pyscard (needs libpcsclite-dev and a compiler), or use transport vpcd",
        ) from None
    try:
        ctypes.CDLL("libpcsclite.so.1")
    except OSError:
        raise RigError(
            "transport pcsc",
            found="no libpcsclite.so.1",
            expected="the library of pcscd",
            mend="install Debian's libpcsclite1 and pcscd",
        ) from None
    return smartcard


def _reader(name: str) -> Any:
    smartcard = _smartcard()
    try:
        readers = smartcard.System.readers()
    except Exception as error:
        raise RigError(
            "transport pcsc",
            found=f"{error}",
            expected="a pcscd that answers on PCSCLITE_CSOCK_NAME or its usual socket",
            mend="start pcscd",
        ) from None
    for reader in readers:
        if name in str(reader):
            return reader
    raise RigError(
        f'reader "{name}"',
        found=", ".join(f'"{reader}"' for reader in readers) or "no reader",
        expected="a reader with that in its name",
        mend="name one of those that are there",
    )


def wait_for_reader(name: str, process: Process, limit_s: float) -> bool:
    """Wait until there is a card in the reader; False if there is none within the limit."""
    _reader(name)
    from smartcard.CardRequest import CardRequest
    from smartcard.Exceptions import CardRequestTimeoutException

    # The daemon wakes us (SCardGetStatusChange); in between a death is looked for.
    left_s = limit_s
    while left_s > 0:
        if process.wait(0):
            raise OSError(19, "the emulator has gone")
        try:
            CardRequest(readers=[_reader(name)], timeout=min(POLL_S, left_s)).waitforcard()
        except CardRequestTimeoutException:
            left_s -= POLL_S
        else:
            return True
    return False


class PcscCard:
    """A card connection of pyscard's, tapped."""

    def __init__(self, reader: str, tap: Tap):
        self._connection = _reader(reader).createConnection()
        self._tap = tap

    def transmit(self, apdu: list[int], protocol: int | None = None) -> tuple[list[int], int, int]:
        from smartcard.Exceptions import SmartcardException

        self._tap.mark("request-sent")
        try:
            data, sw1, sw2 = self._connection.transmit(apdu, protocol)
        except SmartcardException as error:
            raise KeyGone(f"the card has gone: {error}") from error
        self._tap.mark("response", sw1)
        return data, sw1, sw2

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
