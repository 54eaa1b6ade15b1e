"""A USB device of a key's functions: descriptors, and the standard requests (USB 2.0, chapter 9)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.twin.usb_device.function import (
    IN,
    Numbers,
    Pipe,
    RunningFunction,
    Setup,
    Stall,
    UsbFunction,
    Ways,
)

CONFIGURATION = 1
MISCELLANEOUS = (0xEF, 0x02, 0x01)
"""Class of a device whose interfaces belong together in groups (Interface Association Descriptor, ECN of 2003)."""
ENGLISH = b"\x04\x03\x09\x04"
WAITING_MAX = 256
"""Transfers that wait for a host that does not ask; the oldest goes first. A key holds one or two."""
MILLIAMPERE = 100


@dataclass(frozen=True)
class Identity:
    """What the device descriptor says.

    :ivar release: bcdDevice. :ivar serial_number: "" shows none, as SerialNumber=0.
    """

    vendor_id: int
    product_id: int
    release: int = 0x0100
    manufacturer: str = ""
    product: str = ""
    serial_number: str = ""

    @property
    def strings(self) -> tuple[str, ...]:
        """By their indices, from 1."""
        return self.manufacturer, self.product, self.serial_number


class UsbDevice:
    """A key on the bus, from plugging in to removal.

    :param functions: the board's name of each endpoint -> how it shows.
    :param to_key: (endpoint, packet): takes what the host sends to the board.
    :param clock: the server's clock in microseconds.
    :param shown: the feature report that an endpoint shows now, as `Ways.shown`.
    :param reset_card: tells the firmware that the card of an endpoint was reset, as `Ways.reset_card`.
    :ivar configuration: 0 until the host has chosen one.
    :ivar waiting: address of an IN pipe -> transfers for the host, the oldest first.
    """

    def __init__(
        self,
        identity: Identity,
        functions: Mapping[str, UsbFunction],
        to_key: Callable[[str, bytes], None],
        clock: Callable[[], int],
        shown: Callable[[str], bytes | None] = lambda endpoint: None,
        reset_card: Callable[[str], bool] = lambda endpoint: False,
    ):
        self.identity = identity
        self._shown, self._reset_card = shown, reset_card
        self.configuration = 0
        self.waiting: dict[int, deque[bytes]] = {}
        numbers = Numbers()
        self._functions: dict[str, RunningFunction] = {
            endpoint: function.start(numbers, self._ways(endpoint, to_key), clock)
            for endpoint, function in functions.items()
        }
        for pipe in self.pipes.values():
            if pipe.address & IN:
                self.waiting[pipe.address] = deque(maxlen=WAITING_MAX)

    def _ways(self, endpoint: str, to_key: Callable[[str, bytes], None]) -> Ways:
        return Ways(
            lambda address, data: self.waiting[address].append(data),
            lambda packet: to_key(endpoint, packet),
            lambda: self._shown(endpoint),
            lambda: self._reset_card(endpoint),
        )

    @property
    def functions(self) -> tuple[RunningFunction, ...]:
        return tuple(self._functions.values())

    @property
    def interfaces(self) -> tuple[tuple[int, int, int, int], ...]:
        """(number, class, subclass, protocol) of each interface."""
        return tuple(interface for function in self.functions for interface in function.interfaces)

    @property
    def pipes(self) -> dict[int, Pipe]:
        """By their addresses."""
        return {pipe.address: pipe for function in self.functions for pipe in function.pipes}

    @property
    def device_class(self) -> tuple[int, int, int]:
        """Class, subclass and protocol of the whole device; zeros: as its interfaces say."""
        return (
            MISCELLANEOUS if any(len(function.interfaces) > 1 for function in self.functions) else (0, 0, 0)
        )

    def send(self, endpoint: str, packet: bytes) -> None:
        """Take a packet of the board for the host."""
        if endpoint in self._functions:
            self._functions[endpoint].send(packet)

    def received(self, address: int, data: bytes) -> None:
        """Take what the host sent to an OUT pipe.

        :raises Stall: there is no such pipe.
        """
        for function in self.functions:
            if any(pipe.address == address for pipe in function.pipes):
                function.received(data)
                return
        raise Stall

    def reset(self) -> None:
        """The host has reset the bus: what waited is gone."""
        for waiting in self.waiting.values():
            waiting.clear()
        for function in self.functions:
            function.reset()

    # Control requests

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answer a control request: at most `setup.length` bytes, none if the host sends.

        :raises Stall: the device refuses it.
        """
        kind = setup.request_type >> 5 & 3
        if setup.request_type & 0x1F == 1:
            function = self._function_of(setup.recipient & 0xFF)
            # GET_DESCRIPTOR of an interface is the class's own.
            if kind or setup.request == 0x06:
                return function.control(setup, data)[: setup.length]
        if kind:
            raise Stall
        return self._standard(setup)[: setup.length]

    def _function_of(self, interface: int) -> RunningFunction:
        for function in self.functions:
            if any(number == interface for number, *_ in function.interfaces):
                return function
        raise Stall

    def _standard(self, setup: Setup) -> bytes:
        """Standard requests by their numbers (table 9-4)."""
        match setup.request_type, setup.request:
            case 0x80, 0x06:
                return self._descriptor(setup.value >> 8, setup.value & 0xFF)
            case 0x80, 0x08:
                return bytes((self.configuration,))
            case 0x00, 0x09 if setup.value & 0xFF in (0, CONFIGURATION):
                self.configuration = setup.value & 0xFF
                return b""
            case (0x80 | 0x81, 0x00):
                return b"\0\0"
            case 0x82, 0x00 if self._is_pipe(setup.recipient):
                return b"\0\0"
            case 0x02, (0x01 | 0x03) if setup.value == 0 and self._is_pipe(setup.recipient):
                return b""
            case 0x00, 0x05:
                return b""
            case 0x81, 0x0A:
                return b"\0"
            case 0x01, 0x0B if setup.value == 0:
                return b""
        raise Stall

    def _is_pipe(self, address: int) -> bool:
        return address & 0x0F == 0 or address in self.pipes

    def _descriptor(self, kind: int, index: int) -> bytes:
        match kind, index:
            case 1, 0:
                return self._device_descriptor()
            case 2, 0:
                return self._configuration_descriptor()
            case 3, 0:
                return ENGLISH
            case 3, _ if index <= len(self.identity.strings) and self.identity.strings[index - 1]:
                text = self.identity.strings[index - 1].encode("utf-16-le")
                return bytes((2 + len(text), 3)) + text
        raise Stall

    def _device_descriptor(self) -> bytes:
        names = (index if text else 0 for index, text in enumerate(self.identity.strings, 1))
        who = self.identity
        return struct.pack(
            "<BBHBBBBHHHBBBB",
            *(18, 1, 0x0200, *self.device_class, 64),
            *(who.vendor_id, who.product_id, who.release),
            *names,
            1,
        )

    def _configuration_descriptor(self) -> bytes:
        body = b"".join(function.descriptors() for function in self.functions)
        # Powered by the bus, no remote wakeup.
        return (
            struct.pack(
                "<BBHBBBBB",
                *(9, 2, 9 + len(body), len(self.interfaces)),
                *(CONFIGURATION, 0, 0x80, MILLIAMPERE // 2),
            )
            + body
        )
