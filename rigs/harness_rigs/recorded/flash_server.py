"""The flash behind a firmware's own driver: `keyharness_flash.c` asks for it over a socket.

The content lies in a file of the working directory, so that it is copied and restored as every other state. Reads are
served from a mapping that the firmware gets at the start; programs and erases are asked for one at a time, recorded,
and answered when they are done.

Protocol, on a stream socket of the Unix domain, all numbers little-endian u32 (docs/vendor-flash.md):
  from the harness at the start: "KHF1", page size, pages, word size, erase value; with it the descriptor of the file
  from the firmware: 1, offset, length, data: program; 2, offset, length: erase
  answer: 0, or an errno
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from harness.api import HarnessFault, RigError, new_folder
from harness_rigs.recorded.directory_ops import flipped
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.options import DRIVER_FILE, FlashOptions

VARIABLE = "KEYHARNESS_FLASH"
"""The environment variable that tells a firmware where its flash is."""
PROGRAM, ERASE = 1, 2
DRAIN_LIMIT_S = 10.0
MAGIC = b"KHF1"
HEAD = struct.Struct("<4s4I")
REQUEST = struct.Struct("<3I")


class FlashServer:
    """Serves one flash to one firmware at a time, in a thread.

    :param folder: the firmware's working directory; the flash is erased if there is none in it.
    :param now_us: the rig's clock.
    """

    def __init__(self, rig: str, folder: Path, flash: FlashOptions, now_us: Callable[[], int]):
        self._rig, self._flash, self._now_us = rig, flash, now_us
        assert flash.pages is not None
        self.size = flash.pages * flash.page_size
        self.path = folder / DRIVER_FILE
        if not self.path.exists():
            self.path.write_bytes(bytes([flash.erase_value]) * self.size)
        self.address = str(new_folder(f"{rig}-flash") / "link")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address)
        self._listener.listen(4)
        self._lock = threading.Lock()
        self._on = False
        self._events: list[FileEvent] = []
        self._count = 0
        self._stop_at: int | None = None
        self._kill: Callable[[], None] | None = None
        self._hit: FileEvent | None = None
        self._dead = False
        self._let_go = threading.Event()
        self._let_go.set()
        self.refused: RigError | None = None
        """What a firmware did that no flash can serve; the last of it."""
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._serve, daemon=True).start()

    def drained(self) -> None:
        """Wait until what a firmware that has ended had asked for is done."""
        if not self._idle.wait(DRAIN_LIMIT_S):
            raise HarnessFault(f'rig "{self._rig}": the flash is in use though its firmware has ended')

    def start(self) -> None:
        with self._lock:
            self._on, self._events = True, []
            self._let_go.set()

    def stop(self) -> list[FileEvent]:
        with self._lock:
            self._on = False
            self._let_go.clear()
            if self.refused is not None:
                raise self.refused
            return self._events

    def let_go(self) -> None:
        """As `RecordingMount.let_go`."""
        self._let_go.set()

    def cut_at(self, number: int, kill: Callable[[], None], act: Callable[[], None]) -> FileEvent | None:
        """As `RecordingMount.cut_at`."""
        with self._lock:
            self._stop_at, self._count, self._kill, self._hit = number, 0, kill, None
        try:
            act()
        finally:
            with self._lock:
                self._stop_at = None
        return self._hit

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                self._dead = False
                self._idle.clear()
                with link, suppress(OSError):
                    self._one(link)
                self._idle.set()

    def _one(self, link: socket.socket) -> None:
        """Serve one boot of the firmware, until it hangs up or loses its power."""
        flash = self._flash
        fd = os.open(self.path, os.O_RDWR)
        try:
            head = HEAD.pack(MAGIC, flash.page_size, flash.pages, flash.word_size, flash.erase_value)
            readable = os.open(self.path, os.O_RDONLY)
            try:
                # Only what is asked for is seen, so the firmware cannot write in another way.
                socket.send_fds(link, [head], [readable])
            finally:
                os.close(readable)
            while len(raw := self._request(link)) == REQUEST.size:
                what, offset, length = REQUEST.unpack(raw)
                if what == PROGRAM and length > self.size:
                    self.refused = self._misused(f"a program of {length} bytes")
                    link.sendall(struct.pack("<I", errno.EINVAL))
                    return
                data = link.recv(length, socket.MSG_WAITALL) if what == PROGRAM else b""
                if what == PROGRAM and len(data) < length:
                    # It was killed in the middle of a request, which no flash has seen.
                    return
                answer = self._do(fd, what, offset, length, data)
                if answer is None:
                    # No power: the firmware has been killed, and gets no answer.
                    return
                link.sendall(struct.pack("<I", answer))
        finally:
            os.close(fd)

    def _request(self, link: socket.socket) -> bytes:
        """The head of the next request; fewer bytes once the firmware has hung up. Nobody else gets the flash."""
        poll = select.poll()
        for one in (link, self._listener):
            poll.register(one, select.POLLIN)
        # A firmware that has ended has hung up before the next one is started.
        while link.fileno() not in [fd for fd, _ in poll.poll()]:
            second, _ = self._listener.accept()
            second.close()
            self.refused = RigError(
                f'rig "{self._rig}": the firmware opened its flash twice',
                found="a second connection while the first one is open",
                expected="one connection, of one process, from its start to its end",
                mend="open the flash once; a firmware of several processes lets one of them use it",
            )
        return link.recv(REQUEST.size, socket.MSG_WAITALL)

    def _misused(self, found: str) -> RigError:
        flash = self._flash
        return RigError(
            f'rig "{self._rig}": the firmware misused its flash',
            found=found,
            expected=f"programs of whole words of {flash.word_size} bytes and erases of whole pages of "
            f"{flash.page_size}, inside {self.size} bytes",
            mend="set [rig.flash] to the geometry that the firmware was built for",
        )

    def _do(self, fd: int, what: int, offset: int, length: int, data: bytes) -> int | None:
        flash = self._flash
        unit = flash.word_size if what == PROGRAM else flash.page_size
        name = "program" if what == PROGRAM else "erase" if what == ERASE else f"command {what}"
        whole = what in (PROGRAM, ERASE) and offset % unit == 0 and length % unit == 0
        if not whole or not length or offset + length > self.size:
            self.refused = self._misused(f"{name} of {length} bytes at {offset}")
            return errno.EINVAL
        start_us = self._now_us()
        if what == ERASE:
            written = bytes([flash.erase_value]) * length
        else:
            old = flipped(os.pread(fd, length, offset), flash.erase_value)
            merged = int.from_bytes(old, "big") & int.from_bytes(flipped(data, flash.erase_value), "big")
            written = flipped(merged.to_bytes(length, "big"), flash.erase_value)
        with self._lock:
            event = FileEvent(
                "erase" if what == ERASE else "program",
                DRIVER_FILE,
                start_us,
                start_us,
                offset,
                data if what == PROGRAM else b"",
                length,
            )
            held = not self._let_go.is_set()
        if held:
            # The recording is over, and the firmware goes on writing until it is killed.
            self._let_go.wait(DRAIN_LIMIT_S)
            return None
        with self._lock:
            if self._dead:
                return None
            self._count += 1
            if self._stop_at is not None and self._count == self._stop_at:
                self._dead, self._hit = True, event
                kill = self._kill
            else:
                kill = None
                os.pwrite(fd, written, offset)
                if self._on:
                    end_us = max(self._now_us(), start_us + 1)
                    self._events.append(
                        FileEvent(event.kind, event.path, start_us, end_us, offset, event.data, length)
                    )
        if kill is not None:
            kill()
            return None
        return 0

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
