"""The flash of a key on a debug probe, copied out and in by commands of the lab."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from harness.api import RigError, Vault, new_file, read_limited

FILE = "flash.bin"
FLASH_BYTES = 1 << 28
"""No flash of a key is larger; a command that never ends its output must not fill the memory."""


class ProbeOptions(BaseModel):
    """The table `[rig.flash]` of the driver `usb`."""

    model_config = ConfigDict(extra="forbid")

    dump: list[str] = Field(min_length=1)
    """Program and arguments that write the flash into {file}."""
    restore: list[str] = Field(min_length=1)
    """Program and arguments that write {file} into the flash."""
    limit_s: float = Field(default=120.0, gt=0, le=3600)

    @field_validator("dump", "restore")
    @classmethod
    def _names_the_file(cls, command: list[str]) -> list[str]:
        if not any("{file}" in word for word in command):
            raise ValueError("the command needs {file}: where the content of the flash is, or goes")
        return command


@dataclass(frozen=True)
class FlashDump:
    """The content of a flash."""

    content: bytes = field(repr=False)

    def digest(self) -> bytes:
        return hashlib.blake2b(self.content, digest_size=16).digest()


class ProbeVault(Vault):
    """Copies a flash by commands.

    :param power_off: takes the key's power; the commands find it off.
    """

    def __init__(self, rig: str, options: ProbeOptions, power_off: Callable[[], None]):
        self._rig, self._options, self._power_off = rig, options, power_off

    def snapshot(self) -> FlashDump:
        """:raises RigError: the command fails, or leaves nothing."""
        self._power_off()
        file = new_file(f"{self._rig}-flash", ".bin")
        try:
            self._run("dump", file)
            content = read_limited(file, FLASH_BYTES, "the content of a flash")
        finally:
            file.unlink(missing_ok=True)
        if not content:
            raise self._fault("dump", f"an empty {FILE}", "the content of the flash in {file}")
        return FlashDump(content)

    def restore(self, state: FlashDump) -> None:
        """:raises RigError: the command fails."""
        self._power_off()
        if self.spend is not None:
            self.spend()
        file = new_file(f"{self._rig}-flash", ".bin")
        try:
            file.write_bytes(state.content)
            self._run("restore", file)
        finally:
            file.unlink(missing_ok=True)

    def differing(self, one: FlashDump, other: FlashDump) -> list[str]:
        return [] if one == other else [FILE]

    def to_files(self, kept: object) -> dict[str, bytes]:
        assert isinstance(kept, FlashDump), "a state of this vault"
        return {FILE: kept.content}

    def from_files(self, files: Mapping[str, bytes]) -> FlashDump:
        if FILE not in files:
            raise ValueError(f"{FILE} is missing")
        return FlashDump(files[FILE])

    def _run(self, which: str, file: Path) -> None:
        command = self._options.dump if which == "dump" else self._options.restore
        argv = [word.replace("{file}", str(file)) for word in command]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._options.limit_s,
                check=False,
            )
        except FileNotFoundError:
            raise self._fault(which, f"no program {argv[0]}", "a program that can be executed") from None
        except PermissionError:
            raise self._fault(
                which, f"{argv[0]} may not be executed", "a program that can be executed"
            ) from None
        except subprocess.TimeoutExpired:
            raise self._fault(
                which, f"no end within {self._options.limit_s:g} s", "an end within limit_s"
            ) from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()[-300:]
            raise self._fault(which, f"exit code {done.returncode}: {said or 'no output'}", "exit code 0")

    def _fault(self, which: str, found: str, expected: str) -> RigError:
        return RigError(
            f'rig "{self._rig}" · flash.{which}',
            found=found,
            expected=expected,
            mend=f"run it by hand while the key is off: {' '.join(getattr(self._options, which))}",
        )
