"""What the raw endpoints of a rig must be able to do, by their names.

A rig's driver offers objects of these shapes and imports nothing from here. All of them last for one boot. All
methods raise OSError (ENODEV, ETIMEDOUT) or KeyGone when the key has gone or does not answer.

    ctaphid       Packets          64-byte reports, as CTAP 2.1, section 11.2, frames them
    card          Apdus            command and response APDUs, ISO 7816-4
    serial        SerialPort       bytes
    hid-feature   FeatureReports   feature reports without a report number
    mboot         Packets          input and output reports, each behind its number, of any size (NXP's bootloader)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Packets(Protocol):
    """Packets in both directions, each whole."""

    def send(self, data: bytes) -> None: ...

    def receive(self) -> bytes:
        """The next packet; waits for it no longer than the rig's limit."""

    def close(self) -> None: ...


@runtime_checkable
class Apdus(Protocol):
    """A card in a reader."""

    def connect(self) -> None:
        """Make the card ready for its first command; again does no harm."""

    def exchange(self, apdu: bytes) -> bytes:
        """Send a command APDU; the response APDU: data and the two status bytes."""

    def atr(self) -> bytes:
        """The answer to reset."""

    def disconnect(self) -> None:
        """Let go of the card."""


@runtime_checkable
class InReader(Protocol):
    """A card that other programs can use, too: it is in a reader of a daemon (pcscd).

    :ivar reader: the reader's name there.
    """

    reader: str


@runtime_checkable
class SerialPort(Protocol):
    """A serial port in the shape of pyserial's.

    :ivar port: its name. :ivar serial_number: what the key shows on USB.
    :ivar timeout: how long `read` waits, in seconds.
    """

    port: str
    serial_number: str
    timeout: float | None

    def write(self, data: Iterable[int]) -> int: ...

    def read(self, size: int = 1) -> bytes:
        """`size` bytes, or fewer when the time is up."""

    def close(self) -> None: ...


@runtime_checkable
class FeatureReports(Protocol):
    """HID feature reports of a fixed size. Both last as long as one control transfer: neither waits for an answer."""

    def send(self, report: bytes) -> None:
        """SET_REPORT(Feature)."""

    def get(self) -> bytes:
        """GET_REPORT(Feature)."""
