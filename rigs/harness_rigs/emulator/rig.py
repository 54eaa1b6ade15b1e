"""Emulators: a firmware's PC build is a key whose power switch is SIGKILL.

The rig knows a command, a directory with its state files and a transport; it knows nothing else of the program.
SIGKILL keeps the page cache: such a rig tests the order of writes and what lives in RAM, not torn flash.
"""

from __future__ import annotations

import hashlib
from os.path import basename

from harness.api import (
    CallerError,
    EvidenceKind,
    KeyharnessError,
    LiveCutter,
    MonotonicClock,
    PowerSwitch,
    Presence,
    Rig,
    RigInfo,
    RigRequest,
    Tap,
    Touch,
    Transports,
    Vault,
)
from harness_rigs.emulator.command import files_of, missing_program
from harness_rigs.emulator.cutter import KillCutter
from harness_rigs.emulator.emulated_key import EmulatedKey
from harness_rigs.emulator.folder import WorkingFolder
from harness_rigs.emulator.options import EmulatorOptions
from harness_rigs.emulator.power import ProcessSwitch
from harness_rigs.emulator.private_pcscd import DAEMON, missing
from harness_rigs.emulator.transports import EmulatorTransports
from harness_rigs.emulator.vault import FolderVault

NOT_TOLD = "not told"


class EmulatorRig(Rig):
    """One emulator: a process from power-on to power-off, and files in between.

    :param served: other programs talk to the key; this one only switches and touches it.
    :ivar emulated: the device under test.
    """

    evidence_kind: EvidenceKind = "emulator"

    def __init__(self, request: RigRequest, *, served: bool = False):
        self.name, self.key, self.seed = request.name, request.key, request.seed
        self.expendable = request.expendable
        self.options: EmulatorOptions = request.options
        self.options.check(request.name)
        self.shared = self.options.shared
        self._slot = DAEMON.take(self.name) if self.options.needs_daemon else None
        if self._slot is not None:
            place = {"reader": self._slot.reader, "port": self._slot.port}
            self.options = self.options.model_copy(update=place)
        self.clock = MonotonicClock()
        self.tap = Tap(self.clock)
        self.folder = WorkingFolder(
            self.name, self.options.directory, self.options.template, expendable=self.expendable
        )
        self._served = served
        self._firmware: str | None = None
        self._make_parts()

    def _make_parts(self) -> None:
        """Make what runs the firmware in the working directory, and what reaches it."""
        self.emulated = EmulatedKey(
            self.name, self.options, self.folder, self.clock, self.tap, served=self._served, slot=self._slot
        )
        self._cutter = KillCutter(self.emulated)
        self.power: PowerSwitch = ProcessSwitch(self.emulated, self._cutter)
        self.touch: Touch = self.emulated.touch
        self.transports: Transports = EmulatorTransports(self, self.emulated, self.key.faces[0])
        self._vault = FolderVault(self.emulated, self.folder)
        self.firmware_images = files_of(self.options)

    @property
    def presence(self) -> Presence:
        return Presence(self.emulated.boots, self.emulated.boots)

    @property
    def reached_by(self) -> str:
        port, answer = self.options.main_port, self.options.answer_port
        return {
            "ctaphid-tcp": f"CTAPHID reports, each after its length, on TCP 127.0.0.1:{port}",
            "ctaphid-udp": f"CTAPHID reports in datagrams to 127.0.0.1:{port}, answered to port {answer}",
            "feature-tcp": f"HID feature reports, each after its length, on TCP 127.0.0.1:{port}",
            "mboot-tcp": f"reports of NXP's bootloader, each after its length, on TCP 127.0.0.1:{port}",
            "vpcd": f"a card that dials a virtual reader (vpcd) at 127.0.0.1:{port} when it gets power",
            "pcsc": f'a card in the reader "{self.options.reader}"' + self._daemon_words(),
        }[self.options.transport]

    def _daemon_words(self) -> str:
        if self._slot is None:
            return ""
        return " of the pcscd at " + ", ".join(f"{name}={value}" for name, value in DAEMON.environ.items())

    @property
    def vault(self) -> Vault:
        return self._vault

    @property
    def cutter(self) -> LiveCutter:
        return self._cutter

    @property
    def boot_us(self) -> int:
        return self.emulated.boot_us

    @property
    def talk_us(self) -> int:
        return self.emulated.answers.spent_us

    @property
    def powered_us(self) -> int | None:
        return self.emulated.began_us if self.power.is_on else None

    def lacks(self) -> KeyharnessError | None:
        return missing_program(self.options) or (missing() if self._slot is not None else None)

    def wait_until_up(self) -> None:
        if self.emulated.asks_for_reboot():
            self.power.cycle()
        self.emulated.require_up()

    def last_words(self) -> dict[str, bytes]:
        output = self.emulated.output()
        return {"output.txt": output} if output else {}

    def take_deaths(self) -> list[str]:
        return self.emulated.deaths.take()

    @property
    def firmware(self) -> str:
        """The firmware version that the key says; asked once, in a boot of its own if the key is off."""
        if self._firmware is None:
            was_on = self.power.is_on
            try:
                self.power.on()
                self.wait_until_up()
                self._firmware = self.key.told(self).get("firmware") or NOT_TOLD
            except (KeyharnessError, OSError) as error:
                if isinstance(error, CallerError):
                    raise
                return NOT_TOLD
            finally:
                if not was_on:
                    self.power.off()
        return self._firmware

    def info(self) -> RigInfo:
        where = "a network of its own" if self.emulated.host.isolated else "this host's ports"
        if self._slot is not None:
            where = "a pcscd of its own"
        transport = f"emulator, {self.options.transport} on {where}"
        if self.remark:
            transport += f"; {self.remark}"
        return RigInfo(
            self.name, self.key.name, self.key.title, self.firmware, None, transport, self.expendable
        )

    def fingerprint(self) -> str:
        # Of files only the names: another host has the same firmware in another folder.
        parts = [self.key.name, self.firmware, self.options.transport]
        parts += [basename(word) or word for word in self.options.command]
        parts += [f"{name}={basename(value)}" for name, value in sorted(self.options.env.items())]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def settle(self) -> None:
        if self.emulated.process is not None:
            self.emulated.process.wait(self.options.settle_s)

    def close(self) -> None:
        self.emulated.close()
        self._cutter.close()
        self.folder.close()
