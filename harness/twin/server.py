"""Serve a twin as a process, in real time: what an emulator of a firmware is, made of the same board.

State lives in files of a directory. Each flash operation takes its real time and is written to its file only
when that is over, so SIGKILL is a power cut in which each operation stands before or after. Packets leave at
the instant that the board stamped on them.

Transports as PC builds of firmware have them: reports in datagrams (`ctaphid-udp`), reports behind a
big-endian length (`ctaphid-tcp`), and the virtual smart card protocol (`vpcd`), where the twin dials.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from harness.base.errors import CallerError
from harness.twin.board import Board
from harness.twin.image import BoardState, FlashImage
from harness.twin.model import Tracer

LOOPBACK = "127.0.0.1"


class StateFiles:
    """The flash of a board in a directory: one file per chip, and the number of boots."""

    def __init__(self, path: Path, board: Board, label: dict[str, object]):
        self.path, self._board = path, board
        path.mkdir(parents=True, exist_ok=True)
        self._head = path / "twin.json"
        self._label = label
        if self._head.exists():
            self._load()
        else:
            for name, flash in board.flash.items():
                self._file(name).write_bytes(b"".join(flash.pages))
            self.note_boots()
        self._open = {name: os.open(self._file(name), os.O_RDWR) for name in board.flash}

    def _file(self, chip: str) -> Path:
        return self.path / f"{chip}.bin"

    def _load(self) -> None:
        head = json.loads(self._head.read_text())
        for name, value in self._label.items():
            if head.get(name) != value:
                raise CallerError(
                    f"{self.path}",
                    found=f"the state of a twin with {name} = {head.get(name)}",
                    expected=f"{name} = {value}",
                    mend="name another directory, or start the twin as it was started the first time",
                )
        chips = {}
        for name, flash in self._board.flash.items():
            data, size = self._file(name).read_bytes(), flash.part.page_size
            if len(data) != flash.part.size:
                raise CallerError(
                    f"{self._file(name)}", found=f"{len(data)} bytes", expected=f"{flash.part.size} bytes"
                )
            pages = tuple(data[at : at + size] for at in range(0, len(data), size))
            chips[name] = FlashImage(pages, (0,) * flash.part.pages)
        self._board.load(BoardState(chips, int(head["boots"])))

    def note_boots(self) -> None:
        """Keep how often the board has booted."""
        temporary = self._head.with_suffix(".new")
        temporary.write_text(json.dumps({**self._label, "boots": self._board.boots}, sort_keys=True) + "\n")
        temporary.replace(self._head)

    def about_to_boot(self) -> None:
        """Count the boot before it happens: random numbers of a boot that was cut must not come again."""
        self._board.boots += 1
        self.note_boots()
        self._board.boots -= 1

    def store(self, chip: str, page: int, content: bytes) -> None:
        # One page in one call: it is there whole or not at all when the process is killed.
        os.pwrite(self._open[chip], content, page * len(content))


class Face(ABC):
    """One transport of a served twin."""

    endpoint: str

    @abstractmethod
    def sockets(self) -> list[Any]:
        """What to wait on: sockets, or descriptors."""

    @abstractmethod
    def readable(self, sock: Any) -> list[bytes]:
        """Take what has arrived: packets for the board."""

    @abstractmethod
    def send(self, data: bytes) -> None: ...

    def replugged(self) -> None:  # noqa: B027 - only streams are ever connected
        """The key has left the bus and come back: who was connected no longer is."""

    def present(self, face: str) -> None:  # noqa: B027 - most transports are there in any face
        """The key shows the face of this name now."""

    def close(self) -> None:  # noqa: B027 - sockets go with the process
        """The twin is no longer served."""


class UdpFace(Face):
    """64-byte reports in datagrams: they come to one port and are always answered to another."""

    endpoint = "ctaphid"

    def __init__(self, listen: int, answer: int):
        self._socket = _bound(socket.SOCK_DGRAM, listen)
        self._answer = (LOOPBACK, answer)

    def sockets(self) -> list[Any]:
        return [self._socket]

    def readable(self, sock: socket.socket) -> list[bytes]:
        with contextlib.suppress(OSError):
            data = self._socket.recv(2048)
            return [data[1:] if len(data) == 65 else data] if data else []
        return []

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(data, self._answer)


class Stream:
    """Frames of a big-endian length and as many bytes."""

    def __init__(self, sock: socket.socket):
        self.socket = sock
        self._buffer = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> list[bytes] | None:
        """The frames that are whole by now; None if the other end has gone."""
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            return None
        self._buffer += data
        frames = []
        while len(self._buffer) >= 2 and len(self._buffer) >= (
            end := 2 + int.from_bytes(self._buffer[:2], "big")
        ):
            frames.append(self._buffer[2:end])
            self._buffer = self._buffer[end:]
        return frames

    def send(self, data: bytes) -> None:
        # A client that has gone is noticed when it is read from.
        with contextlib.suppress(OSError):
            self.socket.sendall(len(data).to_bytes(2, "big") + data)


class TcpFace(Face):
    """Reports on a TCP port that the twin listens on; each client gets the packets of its own channels."""

    endpoint = "ctaphid"
    _BROADCAST = b"\xff" * 4

    def __init__(self, port: int):
        self._listener = _bound(socket.SOCK_STREAM, port)
        self._listener.listen(8)
        self._streams: dict[socket.socket, Stream] = {}
        self._owners: dict[bytes, Stream] = {}

    def sockets(self) -> list[Any]:
        return [self._listener, *self._streams]

    def readable(self, sock: socket.socket) -> list[bytes]:
        if sock is self._listener:
            client, _ = self._listener.accept()
            self._streams[client] = Stream(client)
            return []
        stream = self._streams[sock]
        frames = stream.read()
        if frames is None:
            del self._streams[sock]
            sock.close()
            return []
        for frame in frames:
            self._owners[frame[:4]] = stream
        return frames

    def send(self, data: bytes) -> None:
        channel = data[:4]
        owner = self._owners.get(channel)
        if owner is not None:
            if channel == self._BROADCAST and data[4] == 0x86:
                # The answer to INIT names the channel that its sender will use.
                self._owners[data[15:19]] = owner
            owner.send(data)

    def replugged(self) -> None:
        for sock in self._streams:
            sock.close()
        self._streams.clear()
        self._owners.clear()


class VpcdFace(Face):
    """A card in a virtual reader: the twin dials once, at its start, and speaks vpcd's protocol."""

    endpoint = "ccid"
    _GET_ATR = 4

    def __init__(self, host: str, port: int, atr: bytes):
        self._atr = atr
        try:
            sock = socket.create_connection((host, port), timeout=10)
        except OSError as error:
            raise CallerError(
                f"--vpcd {host}:{port}",
                found=str(error),
                expected="a virtual reader that listens there",
                mend="start it first: a card dials only once",
            ) from None
        sock.settimeout(None)
        self._stream: Stream | None = Stream(sock)

    def sockets(self) -> list[Any]:
        return [self._stream.socket] if self._stream is not None else []

    def readable(self, sock: socket.socket) -> list[bytes]:
        assert self._stream is not None
        frames = self._stream.read()
        if frames is None:
            sock.close()
            self._stream = None
            return []
        if bytes((self._GET_ATR,)) in frames:
            self._stream.send(self._atr)
        # A frame of one byte is a control (off, on, reset, get ATR), of which only the last is answered.
        return [frame for frame in frames if len(frame) > 1]

    def send(self, data: bytes) -> None:
        if self._stream is not None:
            self._stream.send(data)


def _bound(kind: int, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError as error:
        raise CallerError(
            f"port {port}",
            found=error.strerror,
            expected=f"a port of {LOOPBACK} that is free",
            mend="name another",
        ) from None
    return sock


@dataclass(frozen=True)
class Serving:
    """How a twin is served.

    :ivar touch_ms: touch so long after the key asks; None leaves it to SIGUSR1 and, with `stdin`, to a line.
    :ivar paced: whether flash operations take their time.
    :ivar exit_on_reboot: the code to end with when the firmware reboots, so that whoever serves it starts it again;
        None reboots inside the process.
    """

    touch_ms: int | None = None
    stdin: bool = False
    paced: bool = True
    exit_on_reboot: int | None = None


class Server:
    """Runs a board in real time until it is told to stop."""

    def __init__(
        self,
        board: Board,
        state: StateFiles,
        faces: list[Face],
        how: Serving,
        tracer: Tracer | None,
        out: TextIO,
    ):
        self._board, self._state, self._faces, self._how = board, state, faces, how
        self._tracer, self._out = tracer, out
        self._origin_ns = time.monotonic_ns()
        self._stopped = False
        self._boots = 0
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_w, False)
        os.set_blocking(self._wake_r, False)
        board.touch_delay_us = None if how.touch_ms is None else how.touch_ms * 1000
        board.rail.on_stored = self._stored

    def _now_us(self) -> int:
        now_us = (time.monotonic_ns() - self._origin_ns) // 1000
        ahead_us = self._board.clock.now_us - now_us
        if self._how.paced or ahead_us <= 0:
            return now_us
        # Unpaced work takes no time: what the board's clock is ahead by has passed here as well.
        self._origin_ns -= ahead_us * 1000
        return now_us + ahead_us

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return 0; or until a reboot that is to end it, and return its code."""
        signal.signal(signal.SIGUSR1, lambda *_: self._press())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        self._power_on()
        self._out.write("ready\n")
        self._out.flush()
        code = 0
        while not self._stopped:
            if self._watch_for_reboot() and self._how.exit_on_reboot is not None:
                code = self._how.exit_on_reboot
                break
            self._step()
        self._board.power_off()
        for face in self._faces:
            face.close()
        return code

    def _power_on(self) -> None:
        self._board.clock.reach_us(self._now_us())
        self._state.about_to_boot()
        self._board.power_on()
        self._boots = self._board.boots
        if self._board.firmware is None:
            self._say("the firmware halted in its boot and does not answer")
        self._show_face()

    def _show_face(self) -> None:
        shown = getattr(self._board.firmware, "face", "application")
        for face in self._faces:
            face.present(shown)

    def _watch_for_reboot(self) -> bool:
        if self._board.boots == self._boots:
            return False
        self._boots = self._board.boots
        self._state.note_boots()
        for face in self._faces:
            face.replugged()
        self._show_face()
        self._say("the firmware rebooted")
        return True

    def _stop(self) -> None:
        self._stopped = True

    def _press(self) -> None:
        press = getattr(self._board.firmware, "press", None)
        if press is None or not press():
            self._say("touched, but nobody had asked for it")

    def _step(self) -> None:
        """Wait for the next thing to happen, and let it happen."""
        board = self._board
        due = [packet.at_us for packet in list(board.to_host)[:1]]
        event = board.firmware.next_event_us() if board.firmware else None
        if event is not None:
            due.append(event)
        timeout = None if not due else max(0.0, (min(due) - self._now_us()) / 1e6)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_r, selectors.EVENT_READ)
            if self._how.stdin:
                selector.register(sys.stdin, selectors.EVENT_READ)
            for face in self._faces:
                for sock in face.sockets():
                    selector.register(sock, selectors.EVENT_READ, face)
            for key, _ in selector.select(timeout):
                self._ready(key)
        self._flush(self._now_us())
        if board.firmware is not None:
            board.advance(self._now_us())

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.data is not None:
            for packet in key.data.readable(key.fileobj):
                self._deliver(key.data.endpoint, packet)
        elif key.fileobj == self._wake_r:
            os.read(self._wake_r, 4096)
        elif sys.stdin.readline():
            self._press()
        else:
            # The other end has closed: no more touches from there.
            self._how = replace(self._how, stdin=False)

    def _deliver(self, endpoint: str, packet: bytes) -> None:
        self._trace(endpoint, False, packet)
        if self._board.firmware is not None:
            self._board.deliver(endpoint, packet, self._now_us())

    def _stored(self, chip: str, page: int, content: bytes) -> None:
        """A flash operation is over on the board's clock: wait until it is in real time, then keep it."""
        if self._how.paced:
            until = self._board.clock.now_us
            while (now := self._now_us()) < until and not self._stopped:
                self._flush(now)
                # The only wait here: a CPU that stands still while its flash is busy. SIGTERM ends it.
                select.select([self._wake_r], [], [], min(until - now, 20_000) / 1e6)
        self._state.store(chip, page, content)

    def _flush(self, now_us: int) -> None:
        """Put on the wire what is due."""
        queue = self._board.to_host
        while queue and (queue[0].at_us <= now_us or not self._how.paced):
            packet = queue.popleft()
            self._trace(packet.endpoint, True, packet.data)
            for face in self._faces:
                if face.endpoint == packet.endpoint:
                    face.send(packet.data)

    def _trace(self, endpoint: str, to_host: bool, data: bytes) -> None:
        if self._tracer is not None:
            for text in self._tracer.packet(endpoint, to_host, data):
                self._say(f"{self._now_us() / 1e6:10.3f} {text}")

    def _say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
