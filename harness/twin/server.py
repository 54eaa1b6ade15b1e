"""Serve a twin as a process, in real time: the same board as in a virtual rig, behind the sockets of an emulator.

Each flash operation takes its real time and is written to its file only when that time is over, so SIGKILL is a
power cut in which each operation stands before or after. Packets leave at the instant that the board stamped on
them.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from harness.twin.board import Board
from harness.twin.model import Tracer
from harness.twin.server_faces import ServedWire
from harness.twin.server_state import StateFiles


@dataclass(frozen=True)
class Serving:
    """How a twin is served.

    :ivar touch_ms: touch this long after the key asks; None waits for SIGUSR1 or, with `stdin`, for a line of input.
    :ivar paced: whether flash operations take their real time.
    :ivar exit_on_reboot: exit code when the firmware reboots, for a caller that starts the twin again; None
        reboots inside the process.
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
        faces: Sequence[ServedWire],
        how: Serving,
        tracer: Tracer | None,
        out: TextIO,
    ):
        self._board, self._state, self._faces, self._how = board, state, faces, how
        self._tracer, self._out = tracer, out
        self._origin_ns = time.monotonic_ns()
        self._stopped = False
        self._boots = 0
        self._answers = False
        self._retained = 0
        self._asker: object = None
        self._askers: dict[int, object] = {}
        """Who is answered by a packet that waits: by its instant, which no other packet has."""
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_w, False)
        os.set_blocking(self._wake_r, False)
        board.touch_delay_us = None if how.touch_ms is None else how.touch_ms * 1000
        board.rail.on_stored = self._stored
        board.on_boot = self._note_retained
        for face in faces:
            face.attach(self._now_us)

    def _now_us(self) -> int:
        now_us = (time.monotonic_ns() - self._origin_ns) // 1000
        ahead_us = self._board.clock.now_us - now_us
        if self._how.paced or ahead_us <= 0:
            return now_us
        # Unpaced work takes no real time: move this clock to the board's.
        self._origin_ns -= ahead_us * 1000
        return now_us + ahead_us

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT and return 0, or until a reboot that ends the process and return its code."""
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
        if self._state.retained:
            # The last process ended for a reset, in which the power stays on.
            self._board.rail.restore_for_boot()
            self._board.retained = self._state.retained
        self._state.about_to_boot()
        self._board.power_on()
        self._boots = self._board.boots
        if self._board.firmware is None:
            self._say("the firmware halted in its boot and does not answer")
        self._show_face()

    def _note_retained(self) -> None:
        """Keep what the register says before a boot: the boot empties it."""
        self._retained = 0 if self._board.rail.dead else self._board.retained

    def _show_face(self) -> None:
        self._answers = self._board.firmware is not None
        for face in self._faces:
            face.show(self._board.firmware)

    def _watch_for_reboot(self) -> bool:
        if self._board.boots == self._boots:
            return False
        self._boots = self._board.boots
        # Only a process that ends leaves the register to the next one.
        self._state.note_boots(self._retained if self._how.exit_on_reboot is not None else 0)
        self._askers.clear()
        for face in self._faces:
            face.replugged()
        self._show_face()
        self._say("the firmware rebooted")
        return True

    def _stop(self) -> None:
        self._stopped = True

    def _press(self) -> None:
        firmware = self._board.firmware
        if firmware is None or not firmware.press():
            self._say("touched, but the key did not wait for a touch")

    def _step(self) -> None:
        """Wait for the next packet, signal or firmware event, and handle it."""
        board = self._board
        packet = board.next_packet()
        due = [packet.at_us] if packet else []
        event = board.firmware.next_event_us() if board.firmware else None
        due += [own for face in self._faces if (own := face.next_event_us()) is not None]
        if event is not None:
            due.append(event)
        timeout = None if not due else max(0.0, (min(due) - self._now_us()) / 1e6)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_r, selectors.EVENT_READ)
            if self._how.stdin:
                selector.register(sys.stdin, selectors.EVENT_READ)
            for face in self._faces:
                unsent = face.unsent()
                for sock in face.sockets():
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if sock in unsent else 0)
                    selector.register(sock, events, face)
            for key, events in selector.select(timeout):
                self._ready(key, events)
        self._flush(self._now_us())
        if board.firmware is not None:
            board.advance(self._now_us())
        elif self._answers and board.boots == self._boots:
            self._answers = False
            for face in self._faces:
                face.halted()

    def _ready(self, key: selectors.SelectorKey, events: int) -> None:
        if key.data is not None:
            if events & selectors.EVENT_WRITE:
                key.data.writable(key.fileobj)
            if events & selectors.EVENT_READ:
                for endpoint, packet in key.data.arrived(key.fileobj):
                    self._deliver(endpoint, key.fileobj, packet)
        elif key.fileobj == self._wake_r:
            os.read(self._wake_r, 4096)
        elif sys.stdin.readline():
            self._press()
        else:
            # End of input: no more touches from there.
            self._how = replace(self._how, stdin=False)

    def _deliver(self, endpoint: str, asker: object, packet: bytes) -> None:
        self._trace(endpoint, False, packet)
        board = self._board
        if board.firmware is None:
            return
        before_us, self._asker = board.clock.now_us, asker
        board.deliver(endpoint, packet, self._now_us())
        for answer in board.queue(endpoint):
            if answer.at_us > before_us:
                self._askers[answer.at_us] = asker
        self._asker = None

    def _stored(self, chip: str, page: int, content: bytes) -> None:
        """A flash operation is over on the board's clock: wait for that instant in real time, then write the page."""
        if self._how.paced:
            until = self._board.clock.now_us
            while (now := self._now_us()) < until and not self._stopped:
                self._flush(now)
                # The CPU stands still while its flash is busy, so this waits too. SIGTERM ends the wait.
                if select.select([self._wake_r], [], [], min(until - now, 20_000) / 1e6)[0]:
                    os.read(self._wake_r, 4096)
        self._state.store(chip, page, content)

    def _flush(self, now_us: int) -> None:
        """Send every packet that is due, in the order of their times."""
        board = self._board
        while (packet := board.next_packet()) and (packet.at_us <= now_us or not self._how.paced):
            board.queue(packet.endpoint).popleft()
            self._trace(packet.endpoint, True, packet.data)
            asker = self._askers.pop(packet.at_us, self._asker)
            for face in self._faces:
                face.answer(packet.endpoint, packet.data, asker)
        for face in self._faces:
            face.advance(now_us)

    def _trace(self, endpoint: str, to_host: bool, data: bytes) -> None:
        if self._tracer is not None:
            for text in self._tracer.packet(endpoint, to_host, data):
                self._say(f"{self._now_us() / 1e6:10.3f} {text}")

    def _say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
