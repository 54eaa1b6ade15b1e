"""An emulator rig whose firmware's writes are recorded, so that each image that a cut could leave is computed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from harness.api import RigInfo, RigRequest, Vault
from harness_rigs.emulator.folder import WorkingFolder
from harness_rigs.emulator.rig import EmulatorRig
from harness_rigs.recorded.flash_server import VARIABLE, FlashServer
from harness_rigs.recorded.options import FlashOptions
from harness_rigs.recorded.recorder import FileRecorder


class RecordedEmulatorRig(EmulatorRig):
    """An emulator with the table `[rig.flash]`.

    :ivar flash_server: the flash behind the firmware's driver; None where its files are recorded.
    """

    evidence_kind = "emulator-torn"

    def __init__(self, request: RigRequest, *, served: bool = False):
        super().__init__(request, served=served)
        assert self.options.flash is not None, "the bench has the table"
        self.flash: FlashOptions = self.options.flash
        self.flash_server: FlashServer | None = None
        self._plain = self.options
        self._give_flash()
        self._recorder = FileRecorder(self, self.flash, self.options.ready_s, self.options.answer_s)

    def _give_flash(self) -> None:
        """Make the flash behind the driver, and tell the firmware where it is."""
        if self.flash.kind != "driver":
            return
        self.flash_server = server = FlashServer(
            self.name, self.folder.path, self.flash, lambda: self.clock.now_us
        )
        self.emulated.refusal = lambda: server.refused
        env = {**self._plain.env, VARIABLE: server.address}
        self.options = self._plain.model_copy(update={"env": env})
        self.emulated.options = self.options

    @property
    def vault(self) -> Vault:
        return self._recorder

    def info(self) -> RigInfo:
        return replace(super().info(), flash=self.flash.words)

    def fingerprint(self) -> str:
        # Where the flash is served differs from run to run; how it breaks is what a replay depends on.
        options, self.options = self.options, self._plain
        try:
            plain = super().fingerprint()
        finally:
            self.options = options
        return hashlib.sha256(f"{plain}:{self.flash.model_dump_json()}".encode()).hexdigest()

    def make_anew(self) -> None:
        """Make the parts that run the firmware again: a forked process has its own."""
        self.folder = WorkingFolder(self.name, None, None, expendable=True)
        before = self.emulated
        self._make_parts()
        self.emulated.was_ever_up = before.was_ever_up
        self._give_flash()

    def close(self) -> None:
        self._recorder.close()
        super().close()
        if self.flash_server is not None:
            self.flash_server.close()
