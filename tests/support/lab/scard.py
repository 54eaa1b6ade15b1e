"""pcscd's readers in the laboratory, by the functions and return values of pyscard's `smartcard.scard`."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.host.uevents import wait_until
from harness.host.usb import UsbDevice, devices
from harness_nitrokey3.twin.card import ATR
from support.lab.wire import call

if TYPE_CHECKING:
    from support.lab.labhost import LabHost


READERS: dict[tuple[Path, tuple[int, int]], threading.Lock] = {}


class LabScard:
    """The constants are those of pcsc-lite's winscard.h.

    As there, a context takes one call at a time (winscard_clnt.c), and a reader one command (ifdwrapper.c).
    """

    SCARD_S_SUCCESS = 0
    SCARD_E_TIMEOUT = 0x8010000A
    SCARD_E_NO_READERS_AVAILABLE = 0x8010002E
    SCARD_W_REMOVED_CARD = 0x80100069
    SCARD_W_SECURITY_VIOLATION, SCARD_E_SHARING_VIOLATION = 0x8010006A, 0x8010000B
    SCARD_SCOPE_USER, SCARD_LEAVE_CARD, SCARD_STATE_UNAWARE = 0, 0, 0
    SCARD_SHARE_SHARED, SCARD_SHARE_DIRECT = 2, 3
    SCARD_PROTOCOL_T0, SCARD_PROTOCOL_T1 = 1, 2
    SCARD_ATTR_CHANNEL_ID = 0x20110

    def __init__(self, host: LabHost):
        self._host = host
        self._open: dict[int, tuple[UsbDevice, socket.socket | None]] = {}
        self._last = 0
        self._contexts: dict[int, threading.Lock] = {}
        self._of: dict[int, int] = {}

    def _reader(self, device: UsbDevice) -> threading.Lock:
        """The lock of a reader, which all of this process's connections to the daemon share."""
        return READERS.setdefault((self._host.root, device.token), threading.Lock())

    def _cards(self) -> dict[str, UsbDevice]:
        found = [device for device in devices(self._host) if device.has_card]
        return {f"{one.product} [CCID/ICCD Interface] {at:02} 00": one for at, one in enumerate(found)}

    def SCardGetErrorMessage(self, code: int) -> str:
        return "Card was removed." if code == self.SCARD_W_REMOVED_CARD else f"error {code:#x}"

    def SCardEstablishContext(self, scope: int) -> list[int]:
        self._last += 1
        self._contexts[self._last] = threading.Lock()
        return [self.SCARD_S_SUCCESS, self._last]

    def SCardReleaseContext(self, context: int) -> int:
        with self._contexts[context]:
            return self.SCARD_S_SUCCESS

    def SCardListReaders(self, context: int, groups: list[str]) -> list[Any]:
        names = list(self._cards())
        return [self.SCARD_S_SUCCESS if names else self.SCARD_E_NO_READERS_AVAILABLE, names]

    def SCardConnect(self, context: int, reader: str, share: int, protocols: int) -> list[int]:
        device = self._cards().get(reader)
        if device is None:
            return [self.SCARD_W_REMOVED_CARD, 0, 0]
        link = None
        if share != self.SCARD_SHARE_DIRECT:
            try:
                link = call(self._host.root, f"card {device.port}")
            except OSError:
                return [self.SCARD_W_REMOVED_CARD, 0, 0]
        self._last += 1
        self._open[self._last] = device, link
        self._of[self._last] = context
        return [self.SCARD_S_SUCCESS, self._last, self.SCARD_PROTOCOL_T1]

    def SCardDisconnect(self, handle: int, disposition: int) -> int:
        with self._contexts[self._of[handle]]:
            _, link = self._open.pop(handle)
            if link is not None:
                link.close()
        return self.SCARD_S_SUCCESS

    def SCardGetAttrib(self, handle: int, attribute: int) -> list[Any]:
        assert attribute == self.SCARD_ATTR_CHANNEL_ID
        device, _ = self._open[handle]
        with self._contexts[self._of[handle]], self._reader(device):
            return [
                self.SCARD_S_SUCCESS,
                list((0x200000 | device.bus << 8 | device.number).to_bytes(4, "little")),
            ]

    def SCardStatus(self, handle: int) -> list[Any]:
        with self._contexts[self._of[handle]]:
            return [self.SCARD_S_SUCCESS, "", 0, self.SCARD_PROTOCOL_T1, list(ATR)]

    def SCardTransmit(self, handle: int, protocol: int, apdu: list[int]) -> list[Any]:
        device, link = self._open[handle]
        assert link is not None
        with self._contexts[self._of[handle]], self._reader(device):
            try:
                link.send(bytes(apdu))
                answer = link.recv(65536)
            except OSError:
                answer = b""
        return [self.SCARD_S_SUCCESS, list(answer)] if answer else [self.SCARD_W_REMOVED_CARD, []]

    def SCardGetStatusChange(self, context: int, limit_ms: int, states: list[Any]) -> list[Any]:
        before = set(os.listdir(self._host.sys / "bus/usb/devices"))

        def changed() -> bool | None:
            return set(os.listdir(self._host.sys / "bus/usb/devices")) != before or None

        code = (
            self.SCARD_S_SUCCESS if wait_until(self._host, changed, limit_ms / 1000) else self.SCARD_E_TIMEOUT
        )
        return [code, states]
