"""What can be plugged into the laboratory: simulated keys in real time, and things that only look like one."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import tty
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.base.seeds import child
from harness.bench.registry import discover
from harness.twin.board import ENUMERATION_US
from harness.twin.model import TwinOptions
from support.lab.tree import FIDO_DESCRIPTOR, KEYBOARD_DESCRIPTOR, Look

if TYPE_CHECKING:
    from support.lab.server import LabPort

REPORT_BYTES = 64


class Thing:
    """Something on a port. Its look is there while it has power.

    :ivar number: the number of its FIDO node, when it has one.
    """

    def __init__(self, look: Look):
        self.look = look

    def plugged(self, port: LabPort) -> None:
        self.port = port

    def power(self, on: bool) -> None:
        """The port's power comes or goes; to be called in whatever thread that happens."""
        if on:
            self.port.appear(self.look)
        else:
            self.port.vanish()

    def connected(self, node: str, client: socket.socket) -> None:
        """Somebody opened a node. It is left open, and never answered."""
        self.port.keep(client)

    def close(self) -> None: ...


def keyboard() -> Thing:
    """A neighbour that is no key."""
    return Thing(Look(0x046D, 0xC31C, "USB Keyboard", hid=(KEYBOARD_DESCRIPTOR,)))


def mute_key(serial: str | None = None) -> Thing:
    """A key that enumerates and never answers."""
    return Thing(Look(0x20A0, 0x42B2, "Nitrokey 3", serial, hid=(FIDO_DESCRIPTOR,), card=True))


class TwinKey(Thing):
    """A simulated key that runs in a thread of its own, in real time, and faster where only it works.

    Its flash operations take their time, and the power may go in any of them: what is torn is torn as on
    every twin. Keys of different seeds are different keys of one model.

    :param speed: boots, flash operations and touches are so many times faster than real ones. While the key
        waits for its host time is real, because the host's is.
    :param boot_s: it is on the bus so long after its power came; None for as fast as the rest.
    :param serial: what it shows on USB in its application; None as the real one (SerialNumber=0).
    :param hangs: stops answering for good when it has sent so many packets in one boot; None never.
    :param drops: leaves the bus by itself when it has sent so many; None never.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        key: str = "nitrokey3-mini",
        options: TwinOptions | None = None,
        speed: float = 50.0,
        boot_s: float | None = None,
        serial: str | None = None,
        hangs: int | None = None,
        drops: int | None = None,
    ):
        plugins = discover()
        self.model = plugins.key(key, "lab")
        self.serial, self.hangs, self.drops = serial, hangs, drops
        self.board = plugins.twin(key).build(options or TwinOptions(), child(seed, "twin", key))
        self._speed, self._rate = speed, 1.0
        self._boot_speed = ENUMERATION_US / 1e6 / boot_s if boot_s else speed
        self._meets = self.board.rail.meets
        self.board.rail.meets = self._paced  # type: ignore[method-assign]
        self._shown_boot: int | None = None
        self._sent = 0
        self._clients: list[socket.socket] = []
        self._cards: list[socket.socket] = []
        self._pty: tuple[int, int] | None = None
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        self._lock = threading.Lock()
        self._commands: list[tuple[str, int, socket.socket | None]] = []
        self._cut_us: int | None = None
        self._base_ns, self._base_us = time.monotonic_ns(), 0
        self._limit_us: int | None = None
        self._thread: threading.Thread | None = None
        super().__init__(self._face())

    # What other threads call.

    def plugged(self, port: LabPort) -> None:
        super().plugged(port)
        self._thread = threading.Thread(target=self._run, name=f"key on {port.name}", daemon=True)
        self._thread.start()

    def power(self, on: bool) -> None:
        self._tell("on" if on else "off")

    def connected(self, node: str, client: socket.socket) -> None:
        self._tell("card" if node.startswith("card ") else "client", client)

    def touch(self, delay_us: int | None) -> None:
        """Touch it so long after it asks, from now on; None stops that."""
        self.board.touch_delay_us = None if delay_us is None else round(delay_us / self._speed)

    def close(self) -> None:
        self._tell("close")
        if self._thread is not None:
            self._thread.join(5)

    def _tell(self, what: str, client: socket.socket | None = None) -> None:
        with self._lock:
            self._commands.append((what, time.monotonic_ns(), client))
        os.write(self._wake_w, b"!")

    # What its own thread does.

    def _now_us(self, at_ns: int | None = None) -> int:
        passed_ns = (time.monotonic_ns() if at_ns is None else at_ns) - self._base_ns
        now_us = self._base_us + int(passed_ns * self._rate / 1000)
        return now_us if self._limit_us is None else min(now_us, self._limit_us)

    def _run_at(self, rate: float, until_us: int | None = None) -> None:
        """Let the time of the key pass at another rate from now on.

        :param until_us: it stands still from then on, until the next call: of a fast key's time, what this thread
            waits for its processor would else be seconds, and the window for a reset would be over.
        """
        if (rate, until_us) == (self._rate, self._limit_us):
            return
        at_ns = time.monotonic_ns()
        self._base_us, self._base_ns, self._rate = self._now_us(at_ns), at_ns, rate
        self._limit_us = None if until_us is None else max(until_us, self._base_us)

    def _run(self) -> None:
        while self._take_commands():
            board = self.board
            if board.boots != self._shown_boot and self._shown_boot is not None:
                self._rebooted()
            if board.firmware is not None and self._cut_us is None:
                self._show_when_ready()
                self._flush(self._now_us())
                board.advance(self._now_us())
            if board.firmware is not None and not self.port.shown:
                self._run_at(self._boot_speed, board.ready_us)
            elif packet := board.next_packet():
                self._run_at(self._speed, packet.at_us)
            else:
                self._run_at(1.0)
            if board.boots == self._shown_boot or self._shown_boot is None:
                self._listen(self._next_us())
        self._leave()

    def _next_us(self) -> int | None:
        board = self.board
        if board.firmware is None:
            return None
        if not self.port.shown:
            return None if self._gone_for_good else board.ready_us
        if self._silent:
            return None
        packet = board.next_packet()
        due = [packet.at_us] if packet else []
        event = board.firmware.next_event_us()
        return min([*due, *([event] if event is not None else [])], default=None)

    @property
    def _silent(self) -> bool:
        return self.hangs is not None and self._sent >= self.hangs

    def _take_commands(self) -> bool:
        """Do what was asked for; False at the end."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_r, 4096)
        with self._lock:
            commands, self._commands = self._commands, []
        for what, _, client in commands:
            if what == "close":
                return False
            if what == "on":
                self._power_on()
            elif what == "off":
                self._power_off()
            elif client is not None and self.port.shown:
                client.setblocking(False)
                (self._cards if what == "card" else self._clients).append(client)
            elif client is not None:
                # It was opened while it went.
                client.close()
        return True

    def _power_on(self) -> None:
        board = self.board
        if not board.rail.dead:
            return
        self._base_us, self._base_ns = max(board.clock.now_us, self._now_us()), time.monotonic_ns()
        self._limit_us = None
        board.clock.reach_us(self._base_us)
        self._cut_us, self._sent = None, 0
        board.power_on()
        self._shown_boot = board.boots

    def _power_off(self) -> None:
        self._cut_us = None
        self._shown_boot = None
        self.board.power_off()
        self.board.rail.disarm()
        self._leave()

    def _rebooted(self) -> None:
        self._shown_boot = self.board.boots
        self._sent = 0
        if self.port.lingers_s:
            self._hang_up()
            time.sleep(self.port.lingers_s)
        self._leave()

    def _leave(self) -> None:
        self.port.vanish()
        self._hang_up()

    def _hang_up(self) -> None:
        for client in (*self._clients, *self._cards):
            client.close()
        self._clients.clear()
        self._cards.clear()
        if self._pty is not None:
            for end in self._pty:
                os.close(end)
            self._pty = None

    def _show_when_ready(self) -> None:
        if not self.port.shown and self._now_us() >= self.board.ready_us and not self._gone_for_good:
            self.look = self._face()
            self.port.appear(self.look)

    @property
    def _gone_for_good(self) -> bool:
        return self.drops is not None and self._sent >= self.drops

    def _face(self) -> Look:
        name = self.board.firmware.face if self.board.firmware else "application"
        face = next(one for one in self.model.faces if one.name == name)
        look = Look(face.vendor_id, face.product_id, face.product)
        if name == "application":
            return replace(look, serial=self.serial, hid=(FIDO_DESCRIPTOR,), card=True)
        self._pty = os.openpty()
        tty.setraw(self._pty[1])
        os.set_blocking(self._pty[0], False)
        return replace(look, serial=self.board.firmware.serial_number, tty=os.ttyname(self._pty[1]))  # type: ignore[union-attr]

    def _listen(self, until_us: int | None) -> None:
        """Wait for the next thing to happen, and take what has come."""
        left_s = None
        if until_us is not None:
            left_s = max(0.0, (until_us - self._now_us()) / 1e6 / self._rate)
        terminal = self._pty[0] if self._pty else None
        sources = [self._wake_r, *self._clients, *self._cards, *([terminal] if terminal is not None else [])]
        for source in select.select(sources, [], [], left_s)[0]:
            if source == terminal:
                with contextlib.suppress(OSError):
                    self._deliver("serial", os.read(source, 65536))
            elif source != self._wake_r:
                self._from_client(source)

    def _from_client(self, client: socket.socket) -> None:
        try:
            data = client.recv(2048)
        except OSError:
            data = b""
        links = self._cards if client in self._cards else self._clients
        if not data:
            links.remove(client)
            client.close()
        elif links is self._cards:
            self._deliver("card", data)
        elif len(data) == REPORT_BYTES + 1:
            self._deliver("ctaphid", data[1:])

    def _deliver(self, endpoint: str, data: bytes) -> None:
        if self.board.firmware is not None and self.port.shown and data:
            self.board.deliver(endpoint, data, self._now_us())

    def _flush(self, until_us: int) -> None:
        board = self.board
        while (packet := board.next_packet()) and packet.at_us <= until_us and self.port.shown:
            board.queue(packet.endpoint).popleft()
            if self._silent:
                continue
            if self._gone_for_good:
                self._leave()
                return
            self._sent += 1
            if packet.endpoint == "serial" and self._pty is not None:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._pty[0], packet.data)
                continue
            # The kernel hands an input report to everybody who has the node open.
            for client in self._cards if packet.endpoint == "card" else self._clients:
                with contextlib.suppress(OSError):
                    client.send(packet.data)

    def _paced(self, start_us: int, end_us: int) -> tuple[int, float] | None:
        """A flash operation in real time; it is torn where the power goes meanwhile."""
        rail = self.board.rail
        self._run_at(self._speed, end_us)
        self._notice_cut()
        while self._cut_us is None and (left_us := end_us - self._now_us()) > 0:
            if self.port.shown:
                self._flush(self._now_us())
            select.select([self._wake_r], [], [], left_us / 1e6 / self._rate)
            self._notice_cut()
        # Only the flash is fast: what this process takes to think must not become seconds of the key's.
        self._run_at(1.0)
        if self._cut_us is not None:
            rail.arm_at(max(start_us, min(self._cut_us, end_us - 1)))
        return self._meets(start_us, end_us)

    def _notice_cut(self) -> None:
        """Is a command to switch off waiting? It is left to be taken when the firmware has unwound."""
        with self._lock:
            cut = next((at for what, at, _ in self._commands if what in ("off", "close")), None)
        if cut is not None:
            self._cut_us = self._now_us(cut)
        else:
            # Others can wait until the CPU runs again; without this select would spin on the pipe.
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_r, 4096)
