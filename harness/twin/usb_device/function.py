"""What a function of a USB device is: a group of interfaces with their pipes, and what it does with transfers.

A key's plugin says by `Offered.usb` which function shows an endpoint. `Hid`, `Ccid` and `CdcAcm` are such functions;
each makes a running one when the key is plugged in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

BULK, INTERRUPT = 2, 3
"""bmAttributes of an endpoint descriptor (USB 2.0, table 9-13)."""
IN = 0x80
PACKET_SIZE = 64
"""wMaxPacketSize of every pipe: the most that full speed allows for bulk and interrupt."""


class Stall(Exception):
    """The device refuses a control request (USB 2.0, section 8.5.3.4)."""


class Setup(NamedTuple):
    """The eight bytes of a setup packet (USB 2.0, table 9-2).

    :ivar recipient: wIndex: the number of an interface, the address of an endpoint, or a language.
    """

    request_type: int
    request: int
    value: int
    recipient: int
    length: int


@dataclass(frozen=True)
class Pipe:
    """An endpoint of the device, other than 0.

    :ivar address: with bit 7 set towards the host.
    :ivar kind: BULK or INTERRUPT.
    :ivar interval: bInterval in frames of 1 ms; 0 for bulk.
    """

    address: int
    kind: int
    interval: int
    interface: int


@dataclass
class Numbers:
    """Gives out interface numbers and endpoint addresses, in the order of the device's functions."""

    interface: int = 0
    endpoint: dict[int, int] = field(default_factory=lambda: {0: 0, IN: 0})

    def next_interface(self) -> int:
        self.interface += 1
        return self.interface - 1

    def pipe(self, direction: int, kind: int, interval: int, interface: int) -> Pipe:
        """A new endpoint.

        :param direction: IN or 0.
        """
        self.endpoint[direction] += 1
        return Pipe(direction | self.endpoint[direction], kind, interval, interface)


@dataclass(frozen=True)
class Ways:
    """Where a running function sends what it has.

    :ivar to_host: (address of an IN pipe, one transfer).
    :ivar to_key: one packet for the board's endpoint.
    :ivar shown: the feature report that the firmware shows now; None: it sends one for each that it has received.
    :ivar reset_card: tells the firmware that its card was reset, or has lost its power; returns whether a command
        waited, which gets no answer then.
    """

    to_host: Callable[[int, bytes], None]
    to_key: Callable[[bytes], None]
    shown: Callable[[], bytes | None] = lambda: None
    reset_card: Callable[[], bool] = lambda: False


class RunningFunction(ABC):
    """A function from the plugging in of the key to its removal.

    :ivar interfaces: (number, class, subclass, protocol) of each interface, in order.
    :ivar pipes: its endpoints, in the order of their descriptors.
    """

    interfaces: tuple[tuple[int, int, int, int], ...]
    pipes: tuple[Pipe, ...]

    @abstractmethod
    def descriptors(self) -> bytes:
        """Its part of the configuration descriptor."""

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answer a request to one of its interfaces.

        :raises Stall: it knows no such request.
        """
        raise Stall

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Take what the host sent to its OUT pipe: one transfer, or a piece of it."""

    @abstractmethod
    def send(self, packet: bytes) -> None:
        """Take a packet of the board's endpoint for the host."""

    def reset(self) -> None:  # noqa: B027 - most keep nothing
        """The host has reset the bus: forget what is half done."""

    def next_event_us(self) -> int | None:
        """The next instant of the server's clock at which it would send something by itself, if any."""
        return None

    def advance(self, now_us: int) -> None:  # noqa: B027 - most send nothing by themselves
        """Do what is due."""


class UsbFunction(Protocol):
    """How an endpoint of a key shows on USB; immutable, part of what the plugin offers."""

    def start(self, numbers: Numbers, ways: Ways, clock: Callable[[], int]) -> RunningFunction:
        """Run it.

        :param clock: the server's clock in microseconds.
        """


def endpoint_descriptor(pipe: Pipe) -> bytes:
    """USB 2.0, table 9-13."""
    return bytes((7, 5, pipe.address, pipe.kind, PACKET_SIZE, 0, pipe.interval))


def interface_descriptor(interface: tuple[int, int, int, int], endpoints: int, name: int = 0) -> bytes:
    """USB 2.0, table 9-12, of alternate setting 0.

    :param name: index of its string; 0 is none.
    """
    number, *codes = interface
    return bytes((9, 4, number, 0, endpoints, *codes, name))
