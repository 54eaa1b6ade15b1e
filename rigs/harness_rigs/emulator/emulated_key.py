"""The device under test of an emulator rig: one process from power-on to power-off, and its link."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import time
from collections.abc import Callable

from harness.api import Clock, KeyGone, RigError, Tap
from harness_rigs.answers import AnswerWait
from harness_rigs.deaths import DeathNotes
from harness_rigs.emulator import state
from harness_rigs.emulator.command import arguments, environment, no_program
from harness_rigs.emulator.connector import Connector
from harness_rigs.emulator.folder import OutputLog, WorkingFolder
from harness_rigs.emulator.link import Link
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.port_lock import PortLock
from harness_rigs.emulator.private_pcscd import DAEMON, Slot
from harness_rigs.emulator.process import Process, ProcessHost, death, was_killed
from harness_rigs.emulator.state import DirectoryState
from harness_rigs.emulator.touch import ProcessTouch

FIRST_BOOT = 3
"""How many times `ready_s` a first boot may take, because it may have to make the key's state."""


class EmulatedKey:
    """Starts the emulator, kills it, and knows how it ended.

    :param served: other programs talk to it, and this one does not: its ports are theirs.
    :param slot: the reader of this process's own pcscd that its card is put into; None without.
    :ivar process: the running emulator; None without power.
    :ivar boots: how often it was started.
    :ivar boot_us: time that all boots took together.
    :ivar was_ever_up: whether it has been ready once: if it never is again, the key is stuck, and not the bench wrong.
    :ivar began_us: when it was last started, on the rig's clock.
    :ivar refusal: what the rig refused it: tells better why it never becomes ready than that it did not.
    :ivar lost_us: when the link broke in this boot, on the rig's clock; None while it holds.
    """

    def __init__(
        self,
        rig: str,
        options: EmulatorOptions,
        folder: WorkingFolder,
        clock: Clock,
        tap: Tap,
        *,
        served: bool = False,
        slot: Slot | None = None,
    ):
        self.rig, self.options, self.clock, self.tap = rig, options, clock, tap
        self._served, self._slot = served, slot
        self._folder = folder
        self.touch = ProcessTouch(options.touch, options.touch_signal, clock)
        self.answers = AnswerWait(clock, self.touch, options.answer_s)
        self.process: Process | None = None
        self.boots = 0
        self.boot_us = 0
        self.lost_us: int | None = None
        self._host: ProcessHost | None = None
        self._daemon: ProcessHost | None = None
        """Where the pcscd runs that the reader belongs to; another one after it was started again."""
        self._connector: Connector | None = None
        self._link: Link | None = None
        self._lock = PortLock(options.own_ports)
        self._output = OutputLog(rig)
        self._why_not_up: str | None = None
        self.was_ever_up = False
        self._blank: DirectoryState | None = None
        """What the working directory held before a first boot that has not become ready."""
        self.deaths = DeathNotes()
        self.began_us = 0
        self.refusal: Callable[[], RigError | None] = lambda: None

    @property
    def host(self) -> ProcessHost:
        """Where the emulators of this rig run."""
        if self._slot is not None:
            daemon = DAEMON.running()
            if self._host is None or self._daemon is not daemon:
                self._leave()
                self._host, self._daemon = ProcessHost("namespace", beside=daemon), daemon
        elif self._host is None:
            # A reader outside cannot be dialled from a network namespace.
            self._host = ProcessHost(
                "none" if self.options.transport == "pcsc" else self.options.isolation,
                mounts=self.options.flash is not None and self.options.flash.kind != "driver",
            )
            self._host.acknowledge_at_once()
        return self._host

    @property
    def connector(self) -> Connector:
        if self._connector is None:
            self._connector = Connector(self.rig, self.options, self.host)
        return self._connector

    def start(self) -> None:
        """Power on: start the process. `get_ready` comes next.

        :raises RigError: a port is taken.
        :raises CallerError: the program cannot be executed.
        """
        if not self.host.isolated:
            self._lock.take(self.rig)
        self.began_us = self.clock.now_us
        if not self._served or self._slot is not None:
            self.connector.prepare()
        if not self.was_ever_up and not self._served:
            self._blank = state.read(self._folder.path)
        argv = arguments(self.options, self._folder.path)
        log = self._output.open()
        try:
            self.process = self.host.spawn(argv, environment(self.options, self.rig), self._folder.path, log)
        except OSError as error:
            raise no_program(argv[0], error.strerror) from None
        finally:
            os.close(log)
        self.boots += 1
        self.lost_us = None
        self.touch.process = self.process

    def get_ready(self) -> None:
        """Wait until it is ready, has died, or its limit has passed; `wait_until_up` says which.

        A served one is the business of the programs that talk to it: power is on when it has started. In a reader of
        this process's own pcscd its link is kept, which waits at the end until the daemon has noticed that it has gone.

        :raises RigError: it has never become ready: the bench is wrong, not the key.
        """
        assert self.process is not None
        if self._served:
            if self._slot is not None:
                self._link = self.connector.link(self.process)
            return
        self._why_not_up = self._connect(self.process)
        self.boot_us += self.clock.now_us - self.began_us
        if self._why_not_up is None:
            self.was_ever_up, self._blank = True, None
        elif not self.was_ever_up:
            why, self._why_not_up = self._why_not_up, None
            self.stop()
            if self._blank is not None:
                # What it has half made is no key: the next boot would begin with it, and be blamed for it.
                state.write(self._folder.path, self._blank)
            if (cause := self.refusal()) is not None:
                raise cause
            raise RigError(
                f'rig "{self.rig}": the emulator has never become ready: {why}',
                found=self._output.last_lines() or "no output",
                expected=f"an answer on {self.options.transport}, port {self.options.main_port}",
                mend=f"run it by hand: {self._by_hand()}; if it only needs longer, name a larger `ready_s` "
                f"(now {self.options.ready_s:g}; a first boot has {FIRST_BOOT} times that)",
            )

    def _by_hand(self) -> str:
        """The command as a shell takes it, with the environment that the bench sets."""
        words = [f"{name}={value}" for name, value in self.options.env.items()]
        return shlex.join([*(["env", *words] if words else []), *arguments(self.options, self._folder.path)])

    def _connect(self, process: Process) -> str | None:
        """Connect to it; returns why that failed, None if it did not."""
        limit_s = self.options.ready_s * (1 if self.was_ever_up else FIRST_BOOT)
        until = time.monotonic() + limit_s
        try:
            self._link = self.connector.link(process)
            is_ready = self._link.ready(until)
        except OSError:
            if process.wait(0):
                return f"it {death(process.reap())} before it was ready"
            return "it hung up before it was ready"
        return None if is_ready else f"it was not ready within {limit_s:g} s"

    def stop(self) -> bool:
        """Power off: SIGKILL and reap. False if it had ended by itself; `deaths` says how."""
        process, self.process = self.process, None
        if process is None:
            return True
        status = process.kill()
        if self._link is not None:
            self._link.close()
            self._link = None
        self.touch.process = None
        self._lock.free()
        why, self._why_not_up = self._why_not_up, None
        if why is not None or was_killed(status):
            # That it did not come up was noted when it was found out.
            return True
        if not self._asks_for_reboot(status):
            self.deaths.note(death(status))
        return False

    def asks_for_reboot(self) -> bool:
        """Has it ended with an exit code that asks to be started again?"""
        return (
            self.process is not None and self.process.wait(0) and self._asks_for_reboot(self.process.reap())
        )

    def _asks_for_reboot(self, status: int) -> bool:
        return os.WIFEXITED(status) and os.WEXITSTATUS(status) in self.options.reboot_codes

    def require_up(self) -> None:
        """:raises KeyGone: it has no power, did not come up, or has ended."""
        if self.process is None:
            raise KeyGone(f'rig "{self.rig}": the emulator is not running')
        if self._why_not_up is not None:
            self.deaths.note("does not come back: " + self._why_not_up)
            raise KeyGone(f'rig "{self.rig}": {self._why_not_up}')
        if self.process.wait(0):
            raise KeyGone(f'rig "{self.rig}": the emulator {death(self.process.reap())}')

    def link(self, boot: int) -> Link:
        """The link of a boot.

        :param boot: the value of `boots` in that boot.
        :raises OSError: that boot is over.
        """
        if self._link is None or boot != self.boots:
            raise OSError(errno.ENODEV, "the emulator has been switched off")
        return self._link

    def receive(self, boot: int, limit_s: float | None = None) -> bytes:
        """The next packet of a boot.

        :param limit_s: longest wait for it; None for that of all answers.
        :raises OSError: the emulator has gone, or gave no answer within its limit.
        """
        link = self.link(boot)
        try:
            packet = self.answers.until(link.receive, limit_s)
        except OSError:
            self.lost_us = self.clock.now_us
            raise
        if packet is None:
            self.note_hang(limit_s)
            raise OSError(errno.ETIMEDOUT, self.answers.limit_words(limit_s))
        self.tap.arrived_us = link.arrived_us
        return packet

    def output(self) -> bytes:
        """The end of what it has printed in its latest boot."""
        return self._output.tail()

    def note_hang(self, limit_s: float | None = None) -> None:
        """Note that it gave no answer within its limit."""
        self.deaths.note(f"hung: {self.answers.limit_words(limit_s)}")

    def kill(self) -> None:
        """Take its power, which ends every call to it; `stop` has to follow."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    def give_way(self) -> None:
        """Switch it off, and free its ports for another process."""
        self.stop()
        if self._connector is not None:
            self._connector.close()
            self._connector = None

    def _leave(self) -> None:
        """Leave where the emulators ran."""
        if self._connector is not None:
            self._connector.close()
            self._connector = None
        if self._host is not None:
            self._host.close()
            self._host = None

    def close(self) -> None:
        """Switch it off and give back what it has, also where the reader's daemon does not say that it has gone.

        :raises RigError: it does not say so.
        """
        try:
            self.stop()
        finally:
            self._leave()
            self._output.close()
            if self._slot is not None:
                DAEMON.free(self._slot)
                self._slot = None
