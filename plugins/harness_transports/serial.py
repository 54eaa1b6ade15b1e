"""A serial port of pyserial's shape, with a tap on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.api import Reachable, Tap, TransportKind, wrong_endpoint
from harness_transports.endpoints import SerialPort


class TappedPort:
    """Wraps a port. All other attributes are those of the port.

    Marks: `request-sent` after each call of `write`, `response` with the first bytes that are read after it.
    Protocols that frame their messages wrap this class (`_sent`, `_received`).
    """

    def __init__(self, port: SerialPort, tap: Tap):
        self._port = port
        self._tap = tap
        self._pending = False

    @property
    def timeout(self) -> float | None:
        """How long `read` waits, in seconds: the port's own."""
        return self._port.timeout

    @timeout.setter
    def timeout(self, limit_s: float | None) -> None:
        self._port.timeout = limit_s

    def write(self, data: Iterable[int]) -> int:
        sent = bytes(data)
        written = self._port.write(sent)
        self._sent(sent)
        return written

    def read(self, size: int = 1) -> bytes:
        got = self._port.read(size)
        self._received(got)
        return got

    def _sent(self, data: bytes) -> None:
        self._tap.mark("request-sent")
        self._pending = True

    def _received(self, data: bytes) -> None:
        if data and self._pending:
            self._pending = False
            self._tap.mark("response")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


def raw_port(rig: Reachable, endpoint: object) -> SerialPort:
    """See that an endpoint is a serial port.

    :raises HarnessFault: the rig's driver gave something else.
    """
    if not isinstance(endpoint, SerialPort):
        raise wrong_endpoint(rig, "serial", endpoint, "pyserial's write, read, close, port and timeout")
    return endpoint


SERIAL = TransportKind(
    "serial",
    "a serial port: the shape of pyserial's Serial",
    lambda rig, endpoint: TappedPort(raw_port(rig, endpoint), rig.tap),
)


def serial(rig: Reachable) -> TappedPort:
    """The serial port that the key shows, tapped.

    Besides pyserial's own it has `serial_number`, what the key says of itself on USB.

    :raises KeyGone: the key is not there, or not in a face with a serial port.
    :raises RigError: this rig has no serial ports.
    """
    return rig.transports.open(SERIAL)
