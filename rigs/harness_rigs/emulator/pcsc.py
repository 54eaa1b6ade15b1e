"""An emulator's card in a reader of pcscd: for clients that speak only to a daemon, such as OpenSC and GnuPG.

The daemon looks at its readers every 400 ms (measured with pcscd 1.9.9) and misses a card that comes back faster: so
after each cut the reader has to be seen empty. That a reader is called empty is not enough. When a client asks a card
that has gone, or lets go of it, pcscd writes "absent" at once, but the thread that looks does not learn of it
(SCardTransmit and SCardDisconnect in winscard.c, EHStatusHandlerThread in eventhandler.c). If the next card is there
before that thread looks again, the thread sees no change, and the reader stays empty for clients until that card is
taken out, too. The thread's own view is in the reader's event counter: one more with each card that comes or goes.

Handles are disconnected at once, because a handle that is collected later resets the next card in the reader.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from harness.api import RigError
from harness_rigs.emulator.link import Link, gone
from harness_rigs.emulator.process import Process, ProcessHost

EMPTY_LIMIT_S, CANCEL_AGAIN_S = 60.0, 0.01
"""A daemon on a busy host may take long until it looks; it is a fault only if it never does."""
UNSEEN_S = 1.0
"""The daemon may just be finding a card that died unseen: nothing more comes after two of its looks."""


def _scard() -> Any:
    """pyscard's module of the C functions.

    :raises RigError: pyscard or the library of pcscd is missing.
    """
    try:
        ctypes.CDLL("libpcsclite.so.1")
    except OSError:
        raise RigError(
            "transport pcsc",
            found="no libpcsclite.so.1",
            expected="the library of pcscd",
            mend="install Debian's libpcsclite1 and pcscd",
        ) from None
    try:
        from smartcard import scard
    except ImportError:
        raise RigError(
            "transport pcsc",
            found="no pyscard in this environment",
            expected="pyscard, which speaks to pcscd",
            mend="pip install 'keyharness[pcsc]' (needs libpcsclite-dev and a compiler), or use transport vpcd",
        ) from None
    return scard


class Reader:
    """One reader of a pcscd. Waits end with the daemon's events.

    :param name: a part of the reader's name.
    :raises RigError: no pyscard, no daemon, no such reader.
    """

    def __init__(self, name: str):
        self._scard = scard = _scard()
        self._context: Any
        self._context = self._new_context()
        _, readers = scard.SCardListReaders(self._context, [])
        matching = [reader for reader in readers or () if name in reader]
        if not matching:
            self.close()
            raise RigError(
                f'reader "{name}"',
                found=", ".join(f'"{reader}"' for reader in readers or ()) or "no reader",
                expected="a reader with that in its name",
                mend="name one of those that are there",
            )
        self.name: str = matching[0]
        self._events = 0
        """How often a card had come or gone when it was last known to be empty."""

    def _new_context(self) -> Any:
        code, context = self._scard.SCardEstablishContext(self._scard.SCARD_SCOPE_USER)
        if code != self._scard.SCARD_S_SUCCESS:
            raise RigError(
                "transport pcsc",
                found=self._scard.SCardGetErrorMessage(code),
                expected="a pcscd that answers on PCSCLITE_CSOCK_NAME or its usual socket",
                mend="start pcscd",
            )
        return context

    def require_daemon(self) -> None:
        """See that what failed was the card and not its daemon.

        :raises RigError: the daemon has ended, or no longer has the reader.
        """
        context = self._new_context()
        try:
            _, readers = self._scard.SCardListReaders(context, [])
        finally:
            self._scard.SCardReleaseContext(context)
        if self.name not in (readers or ()):
            raise RigError(
                f'reader "{self.name}"',
                found=", ".join(f'"{reader}"' for reader in readers or ()) or "no reader",
                expected="the reader that the card was put into",
                mend="see why the daemon was started again, or the reader taken away",
            )

    def is_empty(self) -> bool:
        """Look whether it is empty now; if so, cards that come and go are counted from here."""
        state = self._wait(time.monotonic(), lambda state: True)
        self._events = _events(state)
        return bool(state & self._scard.SCARD_STATE_EMPTY)

    def wait_for_card(self, until: float, process: Process | None = None) -> bool:
        """Wait until a card is in it; False if there is none by `until`.

        :param until: on time.monotonic().
        :raises OSError: the process has died meanwhile.
        """
        # A card without an ATR is mute: present, but not ready.
        present, mute = self._scard.SCARD_STATE_PRESENT, self._scard.SCARD_STATE_MUTE

        def is_ready(state: int) -> bool:
            return bool(state & present) and not state & mute

        return is_ready(self._wait(until, is_ready, process))

    def wait_until_empty(self, until: float) -> bool:
        """Wait until the daemon has noticed that the card of before has gone; False if it has not by `until`."""
        empty = self._scard.SCARD_STATE_EMPTY

        def is_over(state: int) -> bool:
            return bool(state & empty) and (_events(state) - self._events) % 2 == 0

        unseen_until = min(until, time.monotonic() + UNSEEN_S)
        if not is_over(self._wait(unseen_until, lambda state: _events(state) != self._events)):
            return is_over(self._wait(until, is_over))
        return True

    def _wait(self, until: float, is_it: Callable[[int], bool], process: Process | None = None) -> int:
        """Wait for a state of the reader; returns the last one, which is another one if it was not seen by `until`.

        :raises OSError: the process has died meanwhile.
        """
        scard = self._scard
        state: int = scard.SCARD_STATE_UNAWARE
        with self._woken_by(process):
            while True:
                left_s = 0.0 if state == scard.SCARD_STATE_UNAWARE else max(0.0, until - time.monotonic())
                code, states = scard.SCardGetStatusChange(
                    self._context, round(left_s * 1000), [(self.name, state)]
                )
                if code == scard.SCARD_E_CANCELLED or (process is not None and process.wait(0)):
                    raise gone()
                if code not in (scard.SCARD_S_SUCCESS, scard.SCARD_E_TIMEOUT):
                    raise RigError(
                        f'reader "{self.name}"',
                        found=scard.SCardGetErrorMessage(code),
                        expected="a pcscd that tells what is in it",
                        mend="see why the daemon ended, or lost the reader, and run it again",
                    )
                state = states[0][1] & ~scard.SCARD_STATE_CHANGED
                if is_it(state) or time.monotonic() >= until:
                    return state

    @contextmanager
    def _woken_by(self, process: Process | None) -> Iterator[None]:
        """While entered, the death of the process cancels the wait for the card."""
        if process is None:
            yield
            return
        over = threading.Event()
        woken = os.eventfd(0, os.EFD_CLOEXEC)

        def watch() -> None:
            poll = select.poll()
            poll.register(process.pidfd, select.POLLIN)
            poll.register(woken, select.POLLIN)
            poll.poll()
            # A cancel before the wait has begun has no effect: repeat it until the wait is over.
            while not over.wait(CANCEL_AGAIN_S):
                self._scard.SCardCancel(self._context)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            os.eventfd_write(woken, 1)
            thread.join()
            os.close(woken)

    def close(self) -> None:
        self._scard.SCardReleaseContext(self._context)


def _events(state: int) -> int:
    """How often a card has come or gone, as the daemon counts it, in the upper half of the state."""
    return state >> 16 & 0xFFFF


class OpenCard(Protocol):
    """What a link needs of a connection to its card."""

    def close(self) -> None: ...


class PcscLink(Link):
    """One boot's card in a reader.

    :ivar cards: the connections to it that clients have; closed with the link.
    """

    def __init__(self, host: ProcessHost, process: Process, reader: Reader):
        super().__init__(host, process)
        self._reader = reader
        self.cards: list[OpenCard] = []

    def ready(self, until: float) -> bool:
        return self._reader.wait_for_card(until, self._process)

    def send(self, data: bytes) -> None:
        raise OSError(errno.EOPNOTSUPP, "a daemon is in between")

    def receive(self, limit_s: float) -> bytes | None:
        raise OSError(errno.EOPNOTSUPP, "a daemon is in between")

    def close(self) -> None:
        """Disconnect from the dead card, and wait until the daemon has noticed.

        :raises RigError: the daemon does not notice.
        """
        for card in self.cards:
            card.close()
        if not self._reader.wait_until_empty(time.monotonic() + EMPTY_LIMIT_S):
            raise RigError(
                f'reader "{self._reader.name}"',
                found=f"a card {EMPTY_LIMIT_S:.0f} s after the emulator was killed",
                expected="a reader that is empty without the emulator",
                mend="look for another card in it",
            )
