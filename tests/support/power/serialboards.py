"""Relay boards on pseudo-terminals, which answer byte for byte as their manufacturers' papers say."""

from __future__ import annotations

import os
import select
import threading
import tty
from pathlib import Path


class SerialBoard:
    """A board: takes bytes, switches relays, answers.

    :ivar heard: every byte that it was sent.
    :ivar relays: which are energised; by number from 1.
    :ivar garbage: what it answers instead, to anything.
    :ivar drops_after: it leaves the bus once it has switched so often.
    """

    def __init__(self, node: Path, relays: int = 2):
        self._node = node
        self.relays = dict.fromkeys(range(1, relays + 1), False)
        self.heard = bytearray()
        self.switched = 0
        self.garbage: bytes | None = None
        self.dies_on: bytes | None = None
        self.drops_after: int | None = None
        self.stuck = False
        self._buffer = b""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        node.symlink_to(os.ttyname(self._slave))
        self._wake, self._waker = os.pipe()
        self.changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._is_served():
            pass

    def _is_served(self) -> bool:
        ready, _, _ = select.select([self._master, self._wake], [], [])
        if self._wake in ready:
            return False
        data = os.read(self._master, 256)
        with self.changed:
            self.heard += data
            if self.dies_on is not None and self.dies_on in self.heard:
                return self._leave()
            self._buffer += data
            answer = b"" if self.garbage is None else self.garbage
            while (used := self.take(self._buffer)) is not None:
                size, said = used
                self._buffer = self._buffer[size:]
                answer += said if self.garbage is None else b""
                if self.drops_after is not None and self.switched >= self.drops_after:
                    return self._leave()
            if answer:
                os.write(self._master, answer)
            self.changed.notify_all()
        return True

    def take(self, data: bytes) -> tuple[int, bytes] | None:
        """The first command in some bytes: how long it is, and the answer; None for no whole command."""
        raise NotImplementedError

    def switch(self, number: int, on: bool) -> None:
        self.switched += 1
        if not self.stuck and number in self.relays:
            self.relays[number] = on

    def _leave(self) -> bool:
        os.close(self._master)
        os.close(self._slave)
        self._master = -1
        self._node.unlink()
        return False

    def is_hearing(self, data: bytes) -> bool:
        """Wait until it has been sent these bytes, at the end of all."""
        with self.changed:
            return self.changed.wait_for(lambda: self.heard.endswith(data), 5)

    def unplug(self) -> None:
        self.close()
        if self._master >= 0:
            self._leave()

    def close(self) -> None:
        os.write(self._waker, b"x")
        self._thread.join(5)


class LcusBoard(SerialBoard):
    """:ivar tells: "lines", "bytes" or None for a board that answers nothing to FF."""

    tells: str | None = "lines"

    def take(self, data):
        if data[:1] == b"\xff":
            if self.tells == "lines":
                rows = (f"CH{n}: {'ON' if on else 'OFF'}\r\n" for n, on in self.relays.items())
                return 1, "".join(rows).encode()
            return 1, bytes(self.relays.values()) if self.tells == "bytes" else b""
        if data[:1] == b"\xa0" and len(data) >= 4:
            if sum(data[:3]) & 0xFF == data[3]:
                self.switch(data[1], bool(data[2]))
            return 4, b""
        return (1, b"") if data and data[0] != 0xA0 else None


class DevantechBoard(SerialBoard):
    module = 8

    def take(self, data):
        if not data:
            return None
        if data[0] == 0x5A:
            return 1, bytes([self.module, 1])
        if data[0] == 0x5B:
            return 1, bytes([sum(on << (n - 1) for n, on in self.relays.items())])
        if 0x64 < data[0] <= 0x6C:
            self.switch(data[0] - 0x64, True)
        if 0x6E < data[0] <= 0x76:
            self.switch(data[0] - 0x6E, False)
        return 1, b""


class KmtronicBoard(SerialBoard):
    def take(self, data):
        if len(data) < 3:
            return None
        _, number, what = data[:3]
        if number == 9 and len(self.relays) > 2:
            return 3, bytes(self.relays.values())
        if what == 3 and len(self.relays) <= 2:
            return 3, bytes([0xFF, number, self.relays[number]])
        self.switch(number, bool(what))
        return 3, b""


class NumatoBoard(SerialBoard):
    def take(self, data):
        line, end, _ = data.partition(b"\r")
        if not end:
            return None
        echo = line + b"\n\r"
        word = line.decode().split()
        number = "0123456789ABCDEFGHIJKLMNOPQRSTUV".index(word[2]) + 1
        if number not in self.relays:
            return len(line) + 1, echo + b">"
        if word[1] == "read":
            return len(line) + 1, echo + (b"on" if self.relays[number] else b"off") + b"\n\r>"
        self.switch(number, word[1] == "on")
        return len(line) + 1, echo + b">"
