"""The CTAPHID engine of a twin: the firmware that the board talks to (CTAP 2.1, section 11.2).

One message at a time. Handlers run to their end in virtual time; only a wait for touch leaves a message open,
so 'busy' is seen while a message is assembled or waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.api import AwaitTouch, Board, Handler, HarnessFault, Leave, Reply, Touched
from harness_fido2.twin.status import HidError

ENDPOINT = "ctaphid"
REPORT_SIZE = 64
REPORT_DESCRIPTOR = bytes.fromhex(
    "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"
)
"""Usage page FIDO, one report of 64 bytes each way (CTAP 2.1, section 11.2.8.1)."""
BROADCAST = 0xFFFFFFFF

PING, MSG, LOCK, INIT, WINK, CBOR, CANCEL = 0x01, 0x03, 0x04, 0x06, 0x08, 0x10, 0x11
KEEPALIVE, ERROR = 0x3B, 0x3F
VENDOR_FIRST, VENDOR_LAST = 0x40, 0x7F

CAPABILITIES = 0x01 | 0x04
"""WINK and CBOR; MSG is there too, so NMSG (0x08) is not set, and LOCK (0x02) is not offered."""
PROTOCOL = 2
MESSAGE_MAX = 3072
"""The firmware's buffer for a request (announced as maxMsgSize)."""
FRAME_MAX = 57 + 128 * 59
"""What the framing can carry (section 11.2.4): a PING may use all of it."""

PACKET_TIMEOUT_US = 500_000
KEEPALIVE_US = 100_000
ADOPTED_MAX = 64
"""Channels of an earlier boot that are answered at most; a key has little memory."""
PROCESSING, UPNEEDED = 1, 2

Command = Callable[[bytes], Handler]


@dataclass
class _Message:
    """The message at hand: being assembled, worked on, or waiting for a touch."""

    channel: int
    command: int
    size: int
    data: bytearray = field(default_factory=bytearray)
    sequence: int = 0
    deadline_us: int = 0
    handler: Handler | None = None
    replied: bool = False
    wait: AwaitTouch | None = None
    wait_us: int = 0
    pressed_us: int | None = None
    keepalive_us: int = 0


class HidFirmware:
    """A board's firmware as CTAPHID shows it.

    :param commands: command byte -> handler factory, for CBOR, MSG and vendor commands (0x40..0x7F).
    :ivar winks: how often WINK was asked for.
    :ivar channel: the channel of the message that is or was worked on last.
    """

    face = "application"
    serial_number = None

    def __init__(self, board: Board, version: tuple[int, int, int], commands: Mapping[int, Command]):
        self._board = board
        self._version = version
        self._commands = commands
        self._channels = 0
        self._adopted: deque[int] = deque(maxlen=ADOPTED_MAX)
        self._message: _Message | None = None
        self._gone = False
        self.winks = 0
        self.channel = 0
        board.rail.after_op = self.tick

    # The board's side

    def receive(self, endpoint: str, packet: bytes) -> None:
        if endpoint != ENDPOINT or self._gone:
            return
        packet = packet[:REPORT_SIZE].ljust(REPORT_SIZE, b"\0")
        channel = int.from_bytes(packet[:4], "big")
        if packet[4] & 0x80:
            self._start(channel, packet[4] & 0x7F, int.from_bytes(packet[5:7], "big"), packet[7:])
        else:
            self._continue(channel, packet[4], packet[5:])

    def next_event_us(self) -> int | None:
        message = self._message
        if message is None or self._gone:
            return None
        if message.handler is None:
            return message.deadline_us
        if message.wait is None:
            return None
        due = min(message.keepalive_us, message.wait_us + message.wait.timeout_us)
        touch = self._touch_us(message)
        return due if touch is None else min(due, touch)

    def advance(self) -> None:
        message = self._message
        if message is None:
            return
        now = self._board.clock.now_us
        if message.handler is None:
            if now >= message.deadline_us:
                self._message = None
                self._error(message.channel, HidError.MSG_TIMEOUT)
        elif message.wait is not None:
            touch = self._touch_us(message)
            if touch is not None and now >= touch:
                self._resume(message, Touched.GRANTED)
            elif now >= message.wait_us + message.wait.timeout_us:
                self._resume(message, Touched.TIMED_OUT)
            elif now >= message.keepalive_us:
                self._keepalive(message, UPNEEDED)

    def press(self) -> bool:
        """Touch the key now; the next `board.advance()` grants it. Returns False if no request waits for a touch."""
        message = self._message
        if message is None or message.wait is None:
            return False
        message.pressed_us = self._board.clock.now_us
        return True

    @property
    def waits_for_touch(self) -> bool:
        return self._message is not None and self._message.wait is not None

    def tick(self) -> None:
        """Send a keepalive if one is due: called after each flash operation and piece of work.

        The CPU stands still during a flash operation, so a keepalive can only follow it.
        """
        message = self._message
        if message is None or self._board.clock.now_us < message.keepalive_us:
            return
        if message.handler is not None and message.wait is None and not message.replied:
            self._keepalive(message, PROCESSING)

    # Requests

    def _start(self, channel: int, command: int, size: int, data: bytes) -> None:
        known = 0 < channel <= self._channels or channel in self._adopted
        if command == INIT:
            if channel == 0:
                self._error(channel, HidError.INVALID_CHANNEL)
            elif size != 8:
                self._error(channel, HidError.INVALID_LEN)
            else:
                self._init(channel, data[:8])
            return
        if command == CANCEL:
            if known:
                self._cancel(channel)
            return
        message = self._message
        if channel in (0, BROADCAST) or not (known or message):
            self._error(channel, HidError.INVALID_CHANNEL)
        elif message is not None and (message.channel != channel or message.handler is not None):
            self._error(channel, HidError.CHANNEL_BUSY)
        elif message is not None:
            self._message = None
            self._error(channel, HidError.INVALID_SEQ)
        elif error := self._objection(command, size):
            self._error(channel, error)
        else:
            self._message = _Message(channel, command, size)
            self._assemble(self._message, data)

    def _objection(self, command: int, size: int) -> int:
        """Return the error for a request that its first packet refuses; 0 if it is accepted."""
        if command == PING:
            return HidError.INVALID_LEN if size > FRAME_MAX else 0
        if command == WINK:
            return HidError.INVALID_LEN if size else 0
        if command not in self._commands:
            return HidError.INVALID_CMD
        if size > MESSAGE_MAX or (size == 0 and command in (CBOR, MSG)):
            return HidError.INVALID_LEN
        return 0

    def _continue(self, channel: int, sequence: int, data: bytes) -> None:
        message = self._message
        # A continuation that belongs to nothing is ignored (section 11.2.4).
        if message is None or message.channel != channel or message.handler is not None:
            return
        if sequence != message.sequence:
            self._message = None
            self._error(channel, HidError.INVALID_SEQ)
            return
        message.sequence += 1
        self._assemble(message, data)

    def _assemble(self, message: _Message, data: bytes) -> None:
        message.data += data[: message.size - len(message.data)]
        if len(message.data) < message.size:
            message.deadline_us = self._board.clock.now_us + PACKET_TIMEOUT_US
            return
        if message.command == PING:
            message.handler = _echo(bytes(message.data))
        elif message.command == WINK:
            self.winks += 1
            message.handler = _echo(b"")
        else:
            message.handler = self._commands[message.command](bytes(message.data))
        message.keepalive_us = self._board.clock.now_us + KEEPALIVE_US
        self._run(message, None)

    def _init(self, channel: int, nonce: bytes) -> None:
        """Allocate a channel, or abort what goes on in one and synchronise (section 11.2.9.1.3)."""
        given = channel
        if channel == BROADCAST:
            self._channels += 1
            given = self._channels
        elif self._message is not None and self._message.channel == channel:
            self._abort()
        elif channel > self._channels and channel not in self._adopted:
            # A host that kept a channel over a replug: it is synchronised to, as by the keys of the market.
            self._adopted.append(channel)
        self._respond(
            channel, INIT, nonce + given.to_bytes(4, "big") + bytes((PROTOCOL, *self._version, CAPABILITIES))
        )

    def _cancel(self, channel: int) -> None:
        message = self._message
        if message is not None and message.channel == channel and message.wait is not None:
            self._resume(message, Touched.CANCELLED)

    def _abort(self) -> None:
        message, self._message = self._message, None
        if message is not None and message.handler is not None:
            message.handler.close()

    # Work

    def _touch_us(self, message: _Message) -> int | None:
        """Time of the touch of the pending request; None if none is planned."""
        if message.pressed_us is not None:
            return message.pressed_us
        delay = self._board.touch_delay_us
        return None if delay is None else message.wait_us + delay

    def _resume(self, message: _Message, touched: Touched) -> None:
        message.wait = None
        message.pressed_us = None
        message.keepalive_us = self._board.clock.now_us + KEEPALIVE_US
        if touched is Touched.GRANTED:
            # The status changes (section 11.2.9.2.1).
            self._keepalive(message, PROCESSING)
        self._run(message, touched)

    def _run(self, message: _Message, touched: Touched | None) -> None:
        assert message.handler is not None
        self.channel = message.channel
        try:
            while True:
                step = message.handler.send(touched)
                touched = None
                if isinstance(step, Reply):
                    self._respond(message.channel, message.command, step.data)
                    message.replied = True
                elif isinstance(step, Leave):
                    self._message = None
                    self._gone = True
                    step.then()
                    return
                elif message.replied:
                    raise HarnessFault("a handler waits for a touch after it has replied")
                else:
                    message.wait = step
                    message.wait_us = self._board.clock.now_us
                    self._keepalive(message, UPNEEDED)
                    return
        except StopIteration as done:
            self._message = None
            if not message.replied:
                self._respond(message.channel, message.command, done.value)
        except HidError as error:
            self._message = None
            if not message.replied:
                self._error(message.channel, error.code)

    # Responses

    def _keepalive(self, message: _Message, status: int) -> None:
        self._respond(message.channel, KEEPALIVE, bytes((status,)))
        message.keepalive_us = self._board.clock.now_us + KEEPALIVE_US

    def _error(self, channel: int, code: int) -> None:
        self._respond(channel, ERROR, bytes((code,)))

    def _respond(self, channel: int, command: int, data: bytes) -> None:
        if len(data) > FRAME_MAX:
            raise HarnessFault(f"a response of {len(data)} bytes does not fit into a CTAPHID message")
        prefix = channel.to_bytes(4, "big")
        packet = prefix + bytes((0x80 | command,)) + len(data).to_bytes(2, "big") + data[:57]
        self._board.send(ENDPOINT, packet.ljust(REPORT_SIZE, b"\0"))
        for sequence, at in enumerate(range(57, len(data), 59)):
            packet = prefix + bytes((sequence,)) + data[at : at + 59]
            self._board.send(ENDPOINT, packet.ljust(REPORT_SIZE, b"\0"))


def _echo(data: bytes) -> Handler:
    return data
    yield  # a generator, as every handler is
