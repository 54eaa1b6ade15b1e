"""Emulators: a firmware's PC build is a key whose power switch is SIGKILL.

The rig knows a command, a directory with its state files and a transport, and nothing else of the program.
SIGKILL keeps the page cache: such a rig tests the order of writes and what lives in RAM, not torn flash.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from harness.base.clock import MonotonicClock
from harness.base.errors import CallerError, KeyharnessError, RigError
from harness.bench.plugin_api import Driver, RigRequest
from harness.host.scan import Found
from harness.model.rig import KeyGone, LiveCutter, Rig, RigInfo, Touch, Vault
from harness.model.tap import Tap
from harness_rigs.emulator.directory import CallersDirectory
from harness_rigs.emulator.faces import EmulatorTransports, FilesVault, ProcessCutter, Switch
from harness_rigs.emulator.link import Link, TcpLink, UdpLink, VpcdLink
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.pcsc import PcscLink, Reader
from harness_rigs.emulator.process import Host, PortLock, Process, death, no_program, was_killed
from harness_rigs.emulator.touch import Finger

LOG_LINES = 5


class EmulatorRig(Rig):
    """One emulator: a process from power-on to power-off, and files in between."""

    evidence_kind = "emulator"

    def __init__(self, request: RigRequest):
        self.name, self.key, self.seed = request.name, request.key, request.seed
        self.expendable = request.expendable
        self.options: EmulatorOptions = request.options
        self.options.check(request.name)
        self.clock = MonotonicClock()
        self.tap = Tap(self.clock)
        self.power = Switch(self)
        self.finger = Finger(self.options.touch, self.options.touch_signal, self.clock)
        self.touch: Touch = self.finger
        self.transports = EmulatorTransports(self)
        self.process: Process | None = None
        self.boots = 0
        self.lost_us: int | None = None
        self._link: Link | None = None
        self._why_not_up: str | None = None
        self._ever_up = False
        self._deaths: list[str] = []
        self._host: Host | None = None
        self._lock = PortLock(self.options.own_ports)
        self._inbox: socket.socket | None = None
        self._reader: Reader | None = None
        self._folder: Path | None = None
        self._directory: CallersDirectory | None = None
        self._printed: Path | None = None
        self._firmware: str | None = None
        self._cutter = ProcessCutter(self)
        self._vault = FilesVault(self)

    @property
    def vault(self) -> Vault:
        return self._vault

    @property
    def cutter(self) -> LiveCutter:
        return self._cutter

    @property
    def host(self) -> Host:
        if self._host is None:
            # A reader outside cannot be dialled from a network of one's own.
            self._host = Host("none" if self.options.transport == "pcsc" else self.options.isolation)
        return self._host

    @property
    def reader(self) -> Reader:
        """transport pcsc: the reader that the card is in."""
        if self._reader is None:
            assert self.options.reader is not None
            self._reader = Reader(self.options.reader)
        return self._reader

    @property
    def shared(self) -> str | None:  # type: ignore[override]
        """A directory of the caller's, or a reader; a directory of its own nobody else can want."""
        directory = self.options.directory
        if self.options.reader is not None:
            return f"reader {self.options.reader}"
        return f"directory {directory.absolute()}" if directory is not None else None

    @property
    def folder(self) -> Path:
        """The working directory: the key's flash."""
        if self._folder is None:
            if self.options.directory is not None:
                self._folder = self.options.directory.absolute()
                if self.expendable:
                    self._directory = CallersDirectory(self._folder)
                    self._directory.take()
            else:
                self._folder = Path(tempfile.mkdtemp(prefix=f"keyharness-{self.name}-"))
                if self.options.template is not None:
                    shutil.copytree(self.options.template, self._folder, dirs_exist_ok=True, symlinks=True)
        return self._folder

    def start(self) -> None:
        """Power on: spawn it and wait until it is ready, has died, or its limit has passed."""
        if not self.host.isolated:
            self._lock.take(self.name)
        began_us = self.clock.now_us
        link_socket = self._listening()
        log = self._log()
        try:
            self.process = self.host.spawn(self._argv(), self._env(), self.folder, log)
        finally:
            os.close(log)
        self.boots += 1
        self.lost_us = None
        self.finger.process = self.process
        self._cutter.power_came()
        self._why_not_up = self._get_ready(self.process, link_socket)
        self.boot_us += self.clock.now_us - began_us
        if self._why_not_up is None:
            self._ever_up = True
        elif not self._ever_up:
            why, self._why_not_up = self._why_not_up, None
            self.stop()
            raise RigError(
                f'rig "{self.name}": the emulator has never become ready: {why}',
                found=self._last_words() or "no output",
                expected=f"an answer on {self.options.transport}, port {self.options.main_port}",
                mend=f"run it by hand: {' '.join(self._argv())}",
            )

    def _get_ready(self, process: Process, link_socket: socket.socket | None) -> str | None:
        until = time.monotonic() + self.options.ready_s
        try:
            self._link = self._make_link(process, link_socket)
            ready = self._link.ready(until)
        except OSError:
            if process.wait(0):
                return f"it {death(process.reap())} before it was ready"
            return "it hung up before it was ready"
        return None if ready else f"it was not ready within {self.options.ready_s:g} s"

    def _listening(self) -> socket.socket | None:
        """The socket that has to be there before the emulator is; kept from boot to boot."""
        kind: Literal["udp", "listen"] | None = None
        if self.options.transport == "pcsc" and not self.reader.wait(False, time.monotonic()):
            raise RigError(
                f'reader "{self.reader.name}"',
                found="a card before the emulator was started",
                expected="an empty reader, which the emulator's card is put into",
                mend="take the card out, or end what plays it",
            )
        if self.options.transport == "ctaphid-udp":
            kind, port = "udp", self.options.answer_port
        elif self.options.transport == "vpcd":
            kind, port = "listen", self.options.main_port
        if kind is not None and self._inbox is None:
            try:
                self._inbox = self.host.socket(kind, port)
            except OSError as error:
                raise RigError(
                    f'rig "{self.name}": port {port} of this host',
                    found=error.strerror,
                    expected="a port that is free",
                    mend="end what uses it, or name another port",
                ) from None
        return self._inbox

    def _make_link(self, process: Process, link_socket: socket.socket | None) -> Link:
        if self.options.transport == "pcsc":
            return PcscLink(self.host, process, self.reader)
        if self.options.transport == "ctaphid-tcp":
            return TcpLink(self.host, process, self.options.main_port)
        assert link_socket is not None
        if self.options.transport == "ctaphid-udp":
            return UdpLink(self.host, process, self.options.main_port, link_socket)
        return VpcdLink(self.host, process, link_socket)

    def _argv(self) -> list[str]:
        filled = {
            "{state}": str(self.folder),
            "{port}": str(self.options.main_port),
            "{answer_port}": str(self.options.answer_port),
        }
        argv = list(self.options.command)
        for name, value in filled.items():
            argv = [part.replace(name, value) for part in argv]
        return argv

    def _env(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("KEYHARNESS")}
        # `keyharness twin` is found although nobody has activated the environment that it is installed in.
        found = os.pathsep.join(filter(None, [ours.get("PATH"), str(Path(sys.executable).parent)]))
        return {**ours, "PATH": found, **self.options.env}

    def lacks(self) -> KeyharnessError | None:
        """Its program, if that is not there or cannot be executed."""
        program = self.options.command[0]
        base = self.options.directory or self.options.template
        if "{" in program or ("/" in program and not program.startswith("/") and base is None):
            return None  # what it is called is not known before it is started
        path = str(base / program) if base and "/" in program else program
        if shutil.which(path, path=self._env()["PATH"]):
            return None
        found = "a file that you may not execute" if Path(path).is_file() else "no such program"
        return no_program(program, found)

    def _log(self) -> int:
        """What it prints in this boot; not in the directory with its state."""
        if self._printed is None:
            fd, name = tempfile.mkstemp(prefix=f"keyharness-{self.name}-", suffix=".log")
            os.close(fd)
            self._printed = Path(name)
        return os.open(self._printed, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)

    def _last_words(self) -> str:
        if self._printed is None:
            return ""
        lines = self._printed.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])

    def stop(self) -> bool:
        """Power off: SIGKILL and reap. False if it had ended by itself, which is then noted."""
        process, self.process = self.process, None
        if process is None:
            return True
        status = process.kill()
        if self._link is not None:
            self._link.close()
            self._link = None
        self.finger.process = None
        self._lock.free()
        why, self._why_not_up = self._why_not_up, None
        if why is not None or was_killed(status):
            # That it did not come up has been said where that was found out.
            return True
        if not (os.WIFEXITED(status) and os.WEXITSTATUS(status) in self.options.reboot_codes):
            self._note(death(status))
        return False

    def _note(self, how: str) -> None:
        if how not in self._deaths:
            self._deaths.append(how)

    def take_deaths(self) -> list[str]:
        deaths, self._deaths = self._deaths, []
        return deaths

    def _rebooted(self) -> bool:
        """It ended with an exit code that asks for a reboot: start it again."""
        process = self.process
        if process is None or not process.wait(0):
            return False
        status = process.reap()
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in self.options.reboot_codes:
            return False
        self.stop()
        self.start()
        return True

    def wait_until_up(self) -> None:
        if self.process is None:
            raise KeyGone(f'rig "{self.name}": the emulator is not running')
        self._rebooted()
        if self._why_not_up is not None:
            self._note("does not come back: " + self._why_not_up)
            raise KeyGone(f'rig "{self.name}": {self._why_not_up}')
        if self.process.wait(0):
            raise KeyGone(f'rig "{self.name}": the emulator {death(self.process.reap())}')

    def link(self, boot: int) -> Link:
        """The link of a boot.

        :raises OSError: that boot is over.
        """
        if self._link is None or boot != self.boots:
            raise OSError(errno.ENODEV, "the emulator has been switched off")
        return self._link

    def receive(self, boot: int) -> bytes:
        """The next packet of a boot, touching meanwhile where that is due.

        :raises OSError: the emulator has gone, or gave no answer within its limit.
        """
        link = self.link(boot)
        began_us = self.clock.now_us
        until_us = began_us + round(self.options.answer_s * 1e6)
        try:
            while (now_us := self.clock.now_us) < until_us:
                due_us = self.finger.due_us
                limit_us = (until_us if due_us is None else min(due_us, until_us)) - now_us
                packet = link.receive(max(0, limit_us) / 1e6)
                if packet is not None:
                    return packet
                self.finger.press_if_due()
        except OSError:
            self.lost_us = self.clock.now_us
            raise
        finally:
            self.talk_us += self.clock.now_us - began_us
        self.hung(kill=False)
        raise OSError(errno.ETIMEDOUT, f"no answer within {self.options.answer_s:g} s")

    def hung(self, *, kill: bool = True) -> None:
        """It gave no answer within its limit; with `kill` it loses its power, which ends every call to it."""
        self._note(f"hung: no answer within {self.options.answer_s:g} s")
        if kill and self.process is not None:
            self.process.signal(signal.SIGKILL)

    @property
    def firmware(self) -> str:
        """What the key says of itself; asked once, in a boot of its own if it is off."""
        if self._firmware is None:
            was_on = self.power.is_on
            try:
                self.power.on()
                self.wait_until_up()
                self._firmware = self.key.identify(self).get("firmware") or "not told"
            except (KeyharnessError, OSError, ValueError) as error:
                if isinstance(error, CallerError):
                    raise
                return "not told"
            finally:
                if not was_on:
                    self.stop()
        return self._firmware

    def info(self) -> RigInfo:
        where = "a network of its own" if self.host.isolated else "this host's ports"
        transport = f"emulator, {self.options.transport} on {where}"
        if self.remark:
            transport += f"; {self.remark}"
        return RigInfo(
            self.name, self.key.name, self.key.title, self.firmware, None, transport, self.expendable
        )

    def fingerprint(self) -> str:
        parts = [self.key.name, self.firmware, self.options.transport, *self.options.command]
        parts += [f"{name}={value}" for name, value in sorted(self.options.env.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def settle(self) -> None:
        if self.process is not None:
            self.process.wait(self.options.settle_s)

    def close(self) -> None:
        self.stop()
        self._cutter.close()
        if self._inbox is not None:
            self._inbox.close()
        if self._reader is not None:
            self._reader.close()
        if self._host is not None:
            self._host.close()
        if self._directory is not None:
            self._directory.give_back()
        if self._folder is not None and self.options.directory is None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._printed is not None:
            self._printed.unlink(missing_ok=True)


def _enrol(found: Found) -> dict[str, Any] | None:
    """An emulator that runs at this moment: started the same way, in the directory where it keeps its state."""
    return dict(found.more) if found.kind == "process" else None


EMULATOR = Driver(
    "emulator",
    "a firmware that runs as a process; its power switch is SIGKILL",
    EmulatorOptions,
    EmulatorRig,
    _enrol,
)
