"""The board of a twin: chips, clock, power, USB, touch, and the firmware that runs while it has power.

Time is virtual and single-threaded. The device has a clock of its own that runs ahead while it works. Packets
carry the instant at which they are on the wire; the host takes them in that order, from a queue for each
endpoint. A packet later than the loss of power does not exist.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from harness.base.clock import VirtualClock
from harness.base.errors import HarnessFault, KeyharnessError
from harness.base.seeds import Stream, child
from harness.twin.flash import Flash
from harness.twin.image import BoardState
from harness.twin.parts import Part
from harness.twin.rail import Panic, PowerLost, PowerRail

if TYPE_CHECKING:
    from harness.twin.littlefs_store import Store

FRAME_US = 1000
"""A full-speed USB frame."""
ENUMERATION_US = 400_000
"""From power to a usable device on Linux: 0.3-0.4 s (debounce 100 ms, reset 50-60 ms, descriptors)."""


class Firmware(Protocol):
    """What runs from power-on to power-off. Its methods may raise PowerLost and Panic."""

    @property
    def face(self) -> str:
        """The face that the key shows: the name of one of `Key.faces`."""

    @property
    def serial_number(self) -> str | None:
        """The serial number in the USB descriptor of this face; None if there is none."""

    def receive(self, endpoint: str, packet: bytes) -> None:
        """Take a packet from the host and work until there is nothing to do but wait."""

    def next_event_us(self) -> int | None:
        """The next instant at which the firmware would do something by itself, if any."""

    def advance(self) -> None:
        """Do what is due at `next_event_us`; the clock stands there."""

    def press(self) -> bool:
        """Touch the key now. False: the firmware did not wait for a touch."""


class Packet(NamedTuple):
    """One packet to the host and the instant at which it is on the wire."""

    at_us: int
    endpoint: str
    data: bytes


class Board:
    """One simulated key. Without power it is nothing but its flash.

    :param parts: chip name -> part.
    :param start: boots the firmware: called at every power-on, returns when it is ready for the bus.
    :param seed: root of the board's random numbers and of how its flash tears.
    :ivar ready_us: when the last boot was on the bus.
    :ivar received_us: when the packet that the firmware works on came; the board's clock may have been ahead.
    :ivar retained: a register that keeps its value over a reset, but not over the loss of power.
    :ivar on_boot: called before every boot, whatever its reason.
    :ivar on_sent: called with (endpoint, packet) of everything that the key sends.
    :ivar slow: chip name -> how long after power-up it does not answer, in microseconds.
    :ivar stores: the file systems of the firmware that runs, by name; it enters them when it boots.
    :ivar touch_delay_us: touch the key so long after it asks; None if nobody touches it.
    """

    panics: ClassVar[tuple[type[BaseException], ...]] = (Panic,)
    """What halts the firmware. Where mutants are tried, Python's errors do: compiled code would halt there."""

    @property
    def _ends(self) -> tuple[type[BaseException], ...]:
        return (PowerLost, *self.panics)

    def __init__(self, parts: dict[str, Part], start: Callable[[Board], Firmware], seed: bytes):
        self.clock = VirtualClock()
        self.rail = PowerRail(self.clock, child(seed, "tear"))
        self.rail.dead = True
        self.flash = {name: Flash(name, part, self.rail) for name, part in parts.items()}
        self.firmware: Firmware | None = None
        self.panicked = False
        self.boots = 0
        self.booted_us = 0
        self.ready_us = 0
        self.touch_delay_us: int | None = None
        self.received_us = 0
        self.retained = 0
        self.on_boot: Callable[[], None] | None = None
        self.on_sent: Callable[[str, bytes], None] | None = None
        self.slow: dict[str, int] = {}
        self.stores: dict[str, Store] = {}
        self._queues: dict[str, deque[Packet]] = {}
        self._start = start
        self._seed = seed

    def random(self, purpose: str) -> Stream:
        """The board's random numbers for one purpose during this boot."""
        return Stream(self._seed, "random", self.boots, purpose)

    # State

    def state(self) -> BoardState:
        """Copy the content of all chips, and the number of boots."""
        return BoardState({name: flash.image() for name, flash in self.flash.items()}, self.boots)

    def load(self, state: BoardState) -> None:
        """Load a state; the board is off afterwards."""
        self.power_off()
        for name, image in state.chips.items():
            self.flash[name].load(image)
        self.boots = state.boots

    # Power

    def power_on(self) -> None:
        """Boot. Afterwards `firmware` is None if it panicked or lost its power again."""
        if self.on_boot is not None:
            self.on_boot()
        if self.rail.dead:
            self.retained = 0
            for name, delay_us in self.slow.items():
                self.flash[name].answers_us = self.clock.now_us + delay_us
        self.rail.restore_for_boot()
        self.firmware = None
        self.stores = {}
        self.panicked = False
        self.drop_packets()
        self.boots += 1
        for flash in self.flash.values():
            flash.settle(self.boots)
        self.booted_us = self.clock.now_us
        try:
            self.firmware = self._start(self)
            self.clock.reach_us(self.booted_us + ENUMERATION_US)
            self.ready_us = self.clock.now_us
        except self._ends as end:
            self._ended(end)

    def power_off(self) -> None:
        """Take the power away, between two flash operations."""
        self.rail.dead = True
        self.retained = 0
        self.firmware = None
        self.stores = {}
        self.drop_packets()

    def lose_power(self, at_us: int) -> None:
        """The power failed at `at_us`, while the firmware waited. No effect if it had failed already."""
        if not self.rail.dead:
            self.rail.fail(at_us)
            self.firmware = None

    @property
    def uptime_us(self) -> int:
        """Time since the last power-on or reset, in microseconds."""
        return self.clock.now_us - self.booted_us

    # Packets

    def queue(self, endpoint: str) -> deque[Packet]:
        """The packets that wait for the host on one endpoint, the earliest first."""
        found = self._queues.get(endpoint)
        if found is None:
            found = self._queues[endpoint] = deque()
        return found

    def next_packet(self) -> Packet | None:
        """The earliest packet that waits for the host on any endpoint; it stays there."""
        return min((queue[0] for queue in self._queues.values() if queue), default=None)

    def drop_packets(self) -> None:
        """Forget every packet that waits for the host."""
        for queue in self._queues.values():
            queue.clear()

    def send(self, endpoint: str, data: bytes) -> None:
        """Put a packet for the host on the wire: it takes a frame."""
        self.clock.wait_us(FRAME_US)
        if self.on_sent is not None:
            self.on_sent(endpoint, data)
        self.queue(endpoint).append(Packet(self.clock.now_us, endpoint, data))

    def deliver(self, endpoint: str, packet: bytes, at_us: int) -> None:
        """A packet from the host arrives; the firmware works on it until it has to wait.

        A cut or a panic meanwhile leaves in the queues what was sent before it.
        """
        self.received_us = at_us
        self.clock.reach_us(at_us)
        firmware = self._running()
        try:
            self.rail.check()
            firmware.receive(endpoint, packet)
        except self._ends as end:
            self._ended(end)

    def advance(self, limit_us: int | None = None) -> bool:
        """Let the firmware do the next thing that it does by itself.

        :returns: False if there is none, or none before `limit_us`.
        """
        due = self.firmware.next_event_us() if self.firmware else None
        if due is None or (limit_us is not None and due > limit_us):
            return False
        self.clock.reach_us(due)
        firmware = self._running()
        try:
            self.rail.check()
            firmware.advance()
        except self._ends as end:
            self._ended(end)
        return True

    def _running(self) -> Firmware:
        if self.firmware is None:
            raise HarnessFault("a packet for a board that is not running")
        return self.firmware

    def _ended(self, end: BaseException) -> None:
        if isinstance(end, KeyharnessError):
            raise end
        self.panicked = self.panicked or not isinstance(end, PowerLost)
        self.firmware = None
