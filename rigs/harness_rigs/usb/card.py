"""The card side of a key on a USB port, through pcscd: only the reader that is on the rig's port.

Names of readers number equal keys in the order in which they came. The channel of a reader tells its port:
SCARD_ATTR_CHANNEL_ID is 0x0020BBDD for device DD of USB bus BB (PC/SC part 3, 3.1.3; so in libccid). Handles are
disconnected at once, because a handle that is collected later would reset the next card in the reader.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from harness.api import KeyGone, RigError, UsbDevice
from harness_rigs.usb.plugged_key import PluggedKey

T = TypeVar("T")

USB_CHANNEL = 0x0020
NEW_READERS = "\\\\?PnP?\\Notification"
"""Name that stands for readers that come and go, in a wait for a state (pcsc-lite)."""
LOOK_AGAIN_MS = 1000
"""A reader that comes between the look and the wait raises no event: look again after this time."""


class UsbCard:
    """The raw endpoint "card": APDUs, each with a time limit. It lasts for one boot.

    A key that has gone raises OSError, as a USB device does.

    :ivar reader: name of the reader, for other programs.
    """

    def __init__(self, key: PluggedKey, scard: Any, context: Any, reader: str):
        self._key, self._scard, self._context, self.reader = key, scard, context, reader
        self._handle: Any = None
        self._protocol = 0
        self._gone = False
        self._under_way: threading.Thread | None = None
        """The last call to the daemon: a context takes one at a time (pcsc-lite locks it in each function)."""

    def connect(self) -> None:
        """Connect in shared mode, with T=0 or T=1."""
        if self._handle is not None:
            return
        scard = self._scard
        share, protocols = scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, self._handle, self._protocol = self._in_time(
            lambda: scard.SCardConnect(self._context, self.reader, share, protocols)
        )
        self._check(code)

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU.

        :raises OSError: the card has gone, or gave no answer within the rig's limit.
        """
        self.connect()
        self._key.touch.asked_of_a_card()
        handle, protocol = self._handle, self._protocol
        code, answer = self._in_time(
            lambda: self._scard.SCardTransmit(handle, protocol, list(apdu)), self._key.answers.limit_of(apdu)
        )
        self._check(code)
        return bytes(answer)

    def atr(self) -> bytes:
        """The answer to reset.

        :raises OSError: the card has gone.
        """
        self.connect()
        handle = self._handle
        code, _, _, _, atr = self._in_time(lambda: self._scard.SCardStatus(handle))
        self._check(code)
        return bytes(atr)

    def disconnect(self) -> None:
        """Disconnect without a reset."""
        self._disconnect()

    @property
    def is_over(self) -> bool:
        return self._gone

    def power_went(self) -> None:
        """Close it; the daemon ends a call that is under way when it sees that the reader has gone."""
        if self._under_way is not None:
            self._under_way.join(self._key.options.gone_s)
        self.close()

    def close(self) -> None:
        """Disconnect, and close the connection to pcscd."""
        self._disconnect()
        if not self._gone:
            self._gone = True
            self._let_go(lambda: self._scard.SCardReleaseContext(self._context))

    def _disconnect(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._let_go(lambda: self._scard.SCardDisconnect(handle, self._scard.SCARD_LEAVE_CARD))

    def _let_go(self, do: Callable[[], object]) -> None:
        """Do it now; after a call that the card has not answered, without waiting for that."""
        before = self._under_way
        if before is None or not before.is_alive():
            do()
            return

        def then() -> None:
            before.join()
            do()

        self._start(then)

    def _start(self, do: Callable[[], None]) -> None:
        self._under_way = threading.Thread(target=do, name="card", daemon=True)
        self._under_way.start()

    def _check(self, code: int) -> None:
        _refuse_if_denied(self._scard, self._key.rig, code)
        if code != self._scard.SCARD_S_SUCCESS:
            self._key.note_lost()
            raise OSError(errno.ENODEV, f"the card has gone: {self._scard.SCardGetErrorMessage(code)}")

    def _in_time(self, do: Callable[[], T], limit_s: float | None = None) -> T:
        """A call to the daemon ends when the card answers or is gone; we wait no longer than our limit, and touch
        meanwhile where that is due. A card that asks for more time for ever (CCID, section 6.2.6: bmCommandStatus 2)
        hangs: its driver goes on waiting.
        """
        if self._gone:
            raise OSError(errno.ENODEV, "the key has been switched off")
        key, is_done = self._key, threading.Event()
        got: list[T] = []

        def call() -> None:
            got.append(do())
            is_done.set()

        self._start(call)
        answer = key.answers.until(lambda left_s: got[0] if is_done.wait(left_s) else None, limit_s)
        if answer is None:
            key.note_hang(limit_s)
            raise OSError(errno.ETIMEDOUT, key.answers.limit_words(limit_s))
        key.touch.answered()
        return answer


def open_card(key: PluggedKey, device: UsbDevice) -> UsbCard:
    """A connection to the card of the key on a rig's port; its reader is waited for.

    :raises RigError: no pyscard, no library, no daemon.
    :raises KeyGone: no reader on that port comes within the rig's limit.
    """
    scard = _scard(key)
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    _refuse_if_denied(scard, key.rig, code)
    if code != scard.SCARD_S_SUCCESS:
        raise RigError(
            f'rig "{key.rig}": pcscd',
            found=scard.SCardGetErrorMessage(code),
            expected="a pcscd that answers",
            mend="start it (systemctl start pcscd.socket); scdaemon may hold the readers",
        )
    until = time.monotonic() + key.options.up_s
    while True:
        names = _readers(scard, context)
        reader = next((name for name in names if _is_on(key, scard, name, device)), None)
        if reader is not None:
            return UsbCard(key, scard, context, reader)
        left_ms = round((until - time.monotonic()) * 1000)
        if left_ms <= 0:
            scard.SCardReleaseContext(context)
            raise KeyGone(
                f'rig "{key.rig}": no reader of pcscd is on port {key.port} '
                f"({', '.join(names) or 'it has none'})"
            )
        scard.SCardGetStatusChange(
            context, min(left_ms, LOOK_AGAIN_MS), [(NEW_READERS, scard.SCARD_STATE_UNAWARE)]
        )


def _refuse_if_denied(scard: Any, rig: str, code: int) -> None:
    """Tell a daemon that does not let us in from a card that is not there.

    pcscd asks polkit, which by default allows local sessions alone: neither SSH nor a CI server's.

    :raises RigError: polkit denies it, or another program has the card for itself.
    """
    if code == scard.SCARD_W_SECURITY_VIOLATION:
        raise RigError(
            f'rig "{rig}": pcscd',
            found="polkit denies this session the card",
            expected="a session that may use cards",
            mend="as root: allow org.debian.pcsc-lite.access_pcsc and .access_card in /etc/polkit-1/rules.d, or run it "
            "in a local session",
        )
    if code == scard.SCARD_E_SHARING_VIOLATION:
        raise RigError(
            f'rig "{rig}": pcscd',
            found="another program has the card for itself",
            expected="a card that is free, or shared",
            mend="gpgconf --kill scdaemon, and pcsc-shared in scdaemon.conf; `keyharness doctor` names who runs",
        )


def _scard(key: PluggedKey) -> Any:
    try:
        return key.host.scard()
    except ImportError as error:
        raise RigError(
            f'rig "{key.rig}": its card cannot be reached',
            found=str(error),
            expected="pyscard and the library of pcscd",
            mend="install Debian's libpcsclite1 and pcscd, and pip install 'keyharness[pcsc]'",
        ) from None


def _readers(scard: Any, context: Any) -> list[str]:
    code, names = scard.SCardListReaders(context, [])
    return list(names or ()) if code == scard.SCARD_S_SUCCESS else []


def _is_on(key: PluggedKey, scard: Any, name: str, device: UsbDevice) -> bool:
    if key.options.reader is not None:
        return key.options.reader in name
    told: list[tuple[int, int]] = []
    asking = threading.Thread(target=lambda: told.append(_channel(scard, name)), name="channel", daemon=True)
    asking.start()
    # A reader whose card hangs answers nobody, and may be that of another rig.
    asking.join(LOOK_AGAIN_MS / 1000)
    if not told:
        return False
    code, channel = told[0]
    _refuse_if_denied(scard, key.rig, code)
    return code == scard.SCARD_S_SUCCESS and channel == (USB_CHANNEL << 16 | device.bus << 8 | device.number)


def _channel(scard: Any, name: str) -> tuple[int, int]:
    """Return code, and the channel of a reader. It is asked in a context of its own, which may have to wait for it."""
    code, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
    if code != scard.SCARD_S_SUCCESS:
        return code, 0
    try:
        # Direct mode: the card in it is not touched, and not reset by the disconnect.
        code, handle, _ = scard.SCardConnect(context, name, scard.SCARD_SHARE_DIRECT, 0)
        if code != scard.SCARD_S_SUCCESS:
            return code, 0
        code, channel = scard.SCardGetAttrib(handle, scard.SCARD_ATTR_CHANNEL_ID)
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        return code, int.from_bytes(bytes(channel), "little") if code == scard.SCARD_S_SUCCESS else 0
    finally:
        scard.SCardReleaseContext(context)
