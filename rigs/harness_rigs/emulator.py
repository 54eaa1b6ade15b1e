"""Emulators: a firmware's PC build is a key whose power switch is SIGKILL.

The rig knows a command, a directory with its state files and a transport, and nothing else of the program.
SIGKILL keeps the page cache: such a rig tests the order of writes and what lives in RAM, not torn flash.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from pydantic import BaseModel, ConfigDict, Field

from harness.clock import MonotonicClock
from harness.cutter import Cutter, Fired, Kill
from harness.errors import CallerError, KeyharnessError, RigError
from harness.hooks import Driver, RigRequest
from harness.rig import (
    KeyGone,
    LiveCutter,
    PowerSwitch,
    Rig,
    RigInfo,
    Shot,
    Touch,
    Transports,
    Vault,
)
from harness.scan import Found
from harness.tap import Tap, TappedHid
from harness_rigs import emulator_state
from harness_rigs.emulator_card import Card, PcscCard, wait_for_reader
from harness_rigs.emulator_link import Link, TcpLink, UdpLink, VpcdLink
from harness_rigs.emulator_process import Host, Isolation, PortLock, Process, death, was_killed
from harness_rigs.emulator_touch import Finger

LOG_LINES = 5
LOST_LIMIT_S = 5.0
DEFAULT_PORTS = {"ctaphid-udp": 8111, "ctaphid-tcp": 35962, "vpcd": 35963, "pcsc": 0}
ANSWER_PORT = 7112

Kind = Literal["ctaphid-udp", "ctaphid-tcp", "vpcd", "pcsc"]


class EmulatorOptions(BaseModel):
    """The `emulator` driver's part of a bench entry."""

    model_config = ConfigDict(extra="forbid")

    command: list[str] = Field(min_length=1)
    """The program and its arguments; {state}, {port} and {answer_port} are filled in."""
    env: dict[str, str] = {}
    directory: Path | None = None
    """Where it runs and keeps its state; by default a private directory, gone when the run ends."""
    template: Path | None = None
    """What a private directory contains when the key leaves the factory."""
    transport: Kind
    port: int | None = Field(default=None, ge=1, le=65535)
    answer_port: int = Field(default=ANSWER_PORT, ge=1, le=65535)
    reader: str | None = None
    """transport pcsc: a part of the reader's name."""
    isolation: Isolation = "auto"
    touch: Literal["none", "signal", "stdin"] = "none"
    touch_signal: str = "SIGUSR1"
    ready_s: float = Field(default=10.0, gt=0, le=300)
    answer_s: float = Field(default=10.0, gt=0, le=300)
    reboot_codes: list[int] = []
    """Exit codes by which it asks to be started again, as a reboot does."""


class EmulatorHid(CtapHidConnection):
    """A client's end of the emulator's CTAPHID interface, for as long as this boot lasts."""

    def __init__(self, rig: EmulatorRig):
        self._rig = rig
        self._boot = rig.boots

    def write_packet(self, data: bytes) -> None:
        self._rig.link(self._boot).send(data)
        self._rig.finger.sent(data)

    def read_packet(self) -> bytes:
        packet = self._rig.receive(self._boot)
        self._rig.finger.received(packet)
        return packet

    def close(self) -> None:
        """The link belongs to the boot."""


class _Switch(PowerSwitch):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig

    @property
    def is_on(self) -> bool:
        return self._rig.process is not None

    def on(self) -> None:
        """Start it and wait until it is ready; if it does not get there, `wait_until_up` says why."""
        if not self.is_on:
            self._rig.start()

    def off(self) -> None:
        self._rig.stop()


class _Cutter(LiveCutter):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig
        self._cutter: Cutter | None = None
        self._target: Process | None = None

    def _started(self) -> Cutter:
        if self._cutter is None:
            self._cutter = Cutter()
        return self._cutter

    @property
    def realtime(self) -> bool:
        return self._started().realtime

    def arm(self, at_us: int) -> None:
        self._target = self._rig.process
        assert self._target is not None, "the key is off"
        self._started().arm(at_us * 1000, Kill(self._target.pidfd))

    def collect(self) -> Shot:
        assert self._cutter is not None
        return self._shot(self._cutter.collect())

    def disarm(self) -> Shot | None:
        fired = self._cutter.disarm() if self._cutter is not None else None
        return self._shot(fired) if fired is not None else None

    def _shot(self, fired: Fired) -> Shot:
        assert self._target is not None
        lost_us = self._rig.lost_us
        # After a reboot of its own another process has the power, which is taken from it here.
        if self._target is not self._rig.process or self._target.wait(LOST_LIMIT_S):
            lost_us = lost_us if lost_us is not None else self._rig.clock.now_us
        took = self._rig.stop()
        return Shot(fired.before_ns // 1000, fired.late_ns / 1000, lost_us, took)

    def close(self) -> None:
        if self._cutter is not None:
            self._cutter.close()


class _Files(Vault):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig

    def snapshot(self) -> emulator_state.Files:
        return emulator_state.read(self._rig.folder)

    def restore(self, state: emulator_state.Files) -> None:
        self._rig.stop()
        emulator_state.write(self._rig.folder, state)

    def differing(self, one: emulator_state.Files, other: emulator_state.Files) -> list[str]:
        return one.differing(other)


class _Transports(Transports):
    def __init__(self, rig: EmulatorRig):
        self._rig = rig

    def ctaphid(self) -> CtapHidDevice:
        face = self._rig.key.faces[0]
        descriptor = HidDescriptor(
            f"emulator:{self._rig.name}", face.vendor_id, face.product_id, 64, 64, face.product, None
        )
        try:
            return CtapHidDevice(descriptor, self.ctaphid_packets())
        except OSError as error:
            raise KeyGone(f'rig "{self._rig.name}": {error.strerror}') from error

    def ctaphid_packets(self) -> CtapHidConnection:
        if self._rig.options.transport not in ("ctaphid-udp", "ctaphid-tcp"):
            return super().ctaphid_packets()
        self._rig.wait_until_up()
        return TappedHid(EmulatorHid(self._rig), self._rig.tap)

    def card(self) -> Any:
        rig = self._rig
        if rig.options.transport not in ("vpcd", "pcsc"):
            return super().card()
        rig.wait_until_up()
        if rig.options.transport == "pcsc":
            assert rig.options.reader is not None
            return PcscCard(rig.options.reader, rig.tap)
        link = rig.link(rig.boots)
        assert isinstance(link, VpcdLink)
        return Card(link, rig.tap, rig.options.answer_s)


class EmulatorRig(Rig):
    """One emulator: a process from power-on to power-off, and files in between."""

    evidence_kind = "emulator"

    def __init__(self, request: RigRequest):
        self.name, self.key, self.seed = request.name, request.key, request.seed
        self.expendable = request.expendable
        self.options: EmulatorOptions = request.options
        self._check()
        self.clock = MonotonicClock()
        self.tap = Tap(self.clock)
        self.power = _Switch(self)
        self.finger = Finger(self.options.touch, self.options.touch_signal, self.clock)
        self.touch: Touch = self.finger
        self.transports = _Transports(self)
        self.process: Process | None = None
        self.boots = 0
        self.lost_us: int | None = None
        self._link: Link | None = None
        self._why_not_up: str | None = None
        self._ever_up = False
        self._deaths: list[str] = []
        self._host: Host | None = None
        self._lock = PortLock(self._ports)
        self._inbox: socket.socket | None = None
        self._folder: Path | None = None
        self._firmware: str | None = None
        self._cutter = _Cutter(self)
        self._vault = _Files(self)

    def _check(self) -> None:
        options = self.options
        if options.transport == "pcsc" and options.reader is None:
            raise CallerError(
                f'rig "{self.name}" · reader', found="nothing", expected="the reader's name, for pcsc"
            )
        if options.directory is not None and options.template is not None:
            raise CallerError(
                f'rig "{self.name}" · template',
                found="directory and template",
                expected="one of them: a template fills a private directory",
                mend="remove one",
            )
        for name, path in (("template", options.template), ("directory", options.directory)):
            if path is not None and not path.is_dir():
                raise CallerError(
                    f'rig "{self.name}" · {name}', found=f"{path}", expected="a directory that is there"
                )

    @property
    def _port(self) -> int:
        return self.options.port or DEFAULT_PORTS[self.options.transport]

    @property
    def _ports(self) -> Sequence[int]:
        if self.options.transport == "pcsc":
            return ()
        answer = (self.options.answer_port,) if self.options.transport == "ctaphid-udp" else ()
        return (self._port, *answer)

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
    def shared(self) -> str | None:  # type: ignore[override]
        """A directory of the caller's; one of its own nobody else can want."""
        directory = self.options.directory
        return f"directory {directory.absolute()}" if directory is not None else None

    @property
    def folder(self) -> Path:
        """The working directory: the key's flash."""
        if self._folder is None:
            if self.options.directory is not None:
                self._folder = self.options.directory.absolute()
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
                expected=f"an answer on {self.options.transport}, port {self._port}",
                mend=f"run it by hand: {' '.join(self._argv())}",
            )

    def _get_ready(self, process: Process, link_socket: socket.socket | None) -> str | None:
        until = time.monotonic() + self.options.ready_s
        try:
            if self.options.transport == "pcsc":
                assert self.options.reader is not None
                ready = wait_for_reader(self.options.reader, process, self.options.ready_s)
            else:
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
        if self.options.transport == "ctaphid-udp":
            kind, port = "udp", self.options.answer_port
        elif self.options.transport == "vpcd":
            kind, port = "listen", self._port
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
        if self.options.transport == "ctaphid-tcp":
            return TcpLink(self.host, process, self._port)
        assert link_socket is not None
        if self.options.transport == "ctaphid-udp":
            return UdpLink(self.host, process, self._port, link_socket)
        return VpcdLink(self.host, process, link_socket)

    def _argv(self) -> list[str]:
        filled = {
            "{state}": str(self.folder),
            "{port}": str(self._port),
            "{answer_port}": str(self.options.answer_port),
        }
        argv = list(self.options.command)
        for name, value in filled.items():
            argv = [part.replace(name, value) for part in argv]
        return argv

    def _env(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("KEYHARNESS")}
        return {**ours, **self.options.env}

    def _log(self) -> int:
        """What it prints in this boot; beside its state, not in it."""
        path = self.folder.with_name(self.folder.name + ".log")
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def _last_words(self) -> str:
        path = self.folder.with_name(self.folder.name + ".log")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
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
        self._note(f"hung: no answer within {self.options.answer_s:g} s")
        raise OSError(errno.ETIMEDOUT, f"no answer within {self.options.answer_s:g} s")

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

    def close(self) -> None:
        self.stop()
        self._cutter.close()
        if self._inbox is not None:
            self._inbox.close()
        if self._host is not None:
            self._host.close()
        if self._folder is not None:
            self._folder.with_name(self._folder.name + ".log").unlink(missing_ok=True)
            if self.options.directory is None:
                shutil.rmtree(self._folder, ignore_errors=True)


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
