"""The settings of an emulator in a bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.api import CallerError
from harness_rigs.emulator.process import Isolation
from harness_rigs.recorded.options import FlashOptions

DEFAULT_PORTS = {
    "ctaphid-udp": 8111,
    "ctaphid-tcp": 35962,
    "vpcd": 35963,
    "pcsc": 35963,
    "feature-tcp": 35964,
    "mboot-tcp": 35965,
}
ANSWER_PORT = 7112

Kind = Literal["ctaphid-udp", "ctaphid-tcp", "vpcd", "pcsc", "feature-tcp", "mboot-tcp"]


class EmulatorOptions(BaseModel):
    """The settings of the driver `emulator` in a bench entry."""

    model_config = ConfigDict(extra="forbid")

    command: list[str] = Field(min_length=1)
    """The program and its arguments; {state}, {port} and {answer_port} are filled in."""
    env: dict[str, str] = {}
    directory: Path | None = None
    """Where it runs and keeps its state; by default a private directory that is removed at the end."""
    template: Path | None = None
    """What a private directory contains at first: the key as it leaves the factory."""
    transport: Kind
    port: int | None = Field(default=None, ge=1, le=65535)
    answer_port: int = Field(default=ANSWER_PORT, ge=1, le=65535)
    reader: str | None = None
    """transport pcsc: a part of the reader's name. Without it a pcscd of this process's own is started, with vpcd."""
    isolation: Isolation = "auto"
    touch: Literal["none", "signal", "stdin"] = "none"
    touch_signal: str = "SIGUSR1"
    ready_s: float = Field(default=10.0, gt=0, le=300)
    answer_s: float = Field(default=10.0, gt=0, le=300)
    settle_s: float = Field(default=0.3, ge=0, le=60)
    """Pause before a state is kept: some firmware writes after it has acknowledged."""
    reboot_codes: list[int] = []
    """Exit codes that mean a reboot: it is started again."""
    flash: FlashOptions | None = None
    """What its state files are, so that its writes are recorded and every cut is computed."""

    @property
    def main_port(self) -> int:
        """The port that the transport is on."""
        return self.port or DEFAULT_PORTS[self.transport]

    @property
    def own_ports(self) -> Sequence[int]:
        """The ports that only this rig may use meanwhile. A card in a daemon's reader dials, and has none."""
        if self.transport == "pcsc":
            return ()
        return (self.main_port, *((self.answer_port,) if self.transport == "ctaphid-udp" else ()))

    @property
    def needs_daemon(self) -> bool:
        """Is the card put into a reader of a pcscd that is started for it?"""
        return self.transport == "pcsc" and self.reader is None

    @property
    def shared(self) -> str | None:
        """What only one process may use at a time; None for a private directory."""
        if self.reader is not None:
            return f"reader {self.reader}"
        return f"directory {self.directory.absolute()}" if self.directory is not None else None

    def check(self, rig: str) -> None:
        """Check that the settings fit together.

        :raises CallerError: they do not, or a directory does not exist.
        """
        if self.needs_daemon and self.isolation == "none":
            raise CallerError(
                f'rig "{rig}" · isolation',
                found='"none" without a reader',
                expected="the `reader` of a pcscd that runs, or a network of its own for one that is started here",
                mend="name a reader, or remove isolation",
            )
        if self.directory is not None and self.template is not None:
            raise CallerError(
                f'rig "{rig}" · template',
                found="directory and template",
                expected="one of them: a template fills a private directory",
                mend="remove one",
            )
        for name, path in (("template", self.template), ("directory", self.directory)):
            if path is not None and not path.is_dir():
                raise CallerError(
                    f'rig "{rig}" · {name}', found=f"{path}", expected="a directory that is there"
                )
