"""A served twin in a process that is forked, so that it is up in a tenth of a second; and clients for it."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from harness.base.seeds import child
from harness.bench.registry import discover
from harness.commands.serve_twin import ServeOptions, serve
from harness.twin.model import TwinOptions

LIMIT_S = 20
BROADCAST = b"\xff" * 4


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def report(channel: bytes, command: int, data: bytes = b"") -> bytes:
    """The first report of a message, after its length."""
    packet = channel + bytes((0x80 | command,)) + len(data).to_bytes(2, "big") + data
    return b"\0\x40" + packet.ljust(64, b"\0")


class Frames(CtapHidConnection):
    """Reports behind a length: a client of `--ctaphid-tcp`."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self._file = self.socket.makefile("rb")

    def read_packet(self) -> bytes:
        data = self._file.read(int.from_bytes(self._file.read(2), "big"))
        if not data:
            raise OSError(19, "gone")
        return data

    def write_packet(self, data: bytes) -> None:
        self.socket.sendall(len(data).to_bytes(2, "big") + data)

    def ask(self, channel: bytes, command: int, data: bytes = b"") -> bytes:
        self.socket.sendall(report(channel, command, data))
        return self.read_packet()

    def channel(self, nonce: bytes = b"a nonce.") -> bytes:
        return self.ask(BROADCAST, 0x06, nonce)[15:19]

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def device(connection: CtapHidConnection) -> CtapHidDevice:
    return CtapHidDevice(HidDescriptor("twin", 0x20A0, 0x42B2, 64, 64, "Nitrokey 3", None), connection)


class ForkedTwin:
    """A twin that is served by a child of this process.

    :ivar port: of `--ctaphid-tcp`.
    """

    def __init__(self, state: Path, **more: Any):
        self.port = more.get("ctaphid_tcp") or free_port()
        options = ServeOptions(
            **{
                "key": "nitrokey3-mini",
                "options": TwinOptions(),
                "state": state,
                "seed": 1,
                "ctaphid_udp": None,
                "ctaphid_tcp": self.port,
                "vpcd": None,
                "touch": "always",
                "speed": "max",
                "trace": False,
                **more,
            }
        )
        # What is the same for each twin is made once, in the parent.
        discover().twin(options.key).build(options.options, child(options.seed, "twin", options.key))
        reader, writer = os.pipe()
        log, log_writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # Whatever happens, the child must not return into pytest.
            code = 70
            try:
                sys.stdout, sys.stderr = os.fdopen(writer, "w"), os.fdopen(log_writer, "w")
                code = serve(options)
            finally:
                os._exit(code)
        os.close(writer)
        os.close(log_writer)
        self._log = os.fdopen(log)
        self.pidfd = os.pidfd_open(self.pid)
        with os.fdopen(reader) as out:
            assert out.readline() == "ready\n"

    def client(self) -> Frames:
        return Frames(self.port)

    def wait_for(self, line: str) -> None:
        """Read what it writes to standard error until it says this."""
        assert any(line in said for said in self._log), f"it ended without saying {line!r}"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, limit_s: float = LIMIT_S) -> int | None:
        """Its exit code; None if it goes on, or a signal ended it."""
        if not select.select([self.pidfd], [], [], limit_s)[0]:
            return None
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return code if code >= 0 else None

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self._log.close()


@contextmanager
def forked_twin(state: Path, **more: Any) -> Iterator[ForkedTwin]:
    twin = ForkedTwin(state, **more)
    try:
        yield twin
    finally:
        twin.close()
