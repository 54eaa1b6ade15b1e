"""OpenSC's tools, which speak to the cards of a pcscd. Debian's packages opensc and openssl have them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness_rigs.emulator import private_pcscd
from support.limits import HUNG_S

ROOT = Path(os.environ.get("KEYHARNESS_PCSC_ROOT", "/"))
"""Where Debian's packages were unpacked, if they are not installed."""
TOOLS = ROOT / "usr/bin"
NEEDED = ("sc-hsm-tool", "pkcs11-tool", "pkcs15-tool", "opensc-tool")


def missing() -> str | None:
    """What this machine lacks for OpenSC's tools and a pcscd for them, in words."""
    if absent := [name for name in NEEDED if not (TOOLS / name).exists()]:
        return f"no {', '.join(absent)} here: Debian's opensc"
    if shutil.which("openssl") is None:
        return "no openssl here"
    lacks = private_pcscd.missing()
    return str(lacks.found) if lacks is not None else None


def module() -> Path:
    """OpenSC's PKCS #11 module."""
    return next((ROOT / "usr/lib").glob("**/opensc-pkcs11.so"))


class Tools:
    """Runs the tools in a folder.

    :param environ: how they find their daemon.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]):
        self.folder = folder
        conf = folder / "opensc.conf"
        conf.write_text(f"app default {{ profile_dir = {ROOT}/usr/share/opensc; }}\n")
        self.environ = {**os.environ, **environ, "OPENSC_CONF": str(conf)}
        if Path("/") != ROOT:
            self.environ["LD_LIBRARY_PATH"] = str(module().parent)

    def run(self, *argv: object) -> subprocess.CompletedProcess[str]:
        """Run any program beside them."""
        words = [str(word) for word in argv]
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=HUNG_S,
            check=False,
        )

    def __call__(self, name: str, *arguments: object) -> str:
        """Run a tool; return what it wrote, each run of spaces as one.

        A failed `sc-hsm-tool --initialize` exits with 0, so the words count and not the exit code.
        """
        done = self.run(TOOLS / name, *arguments)
        lines = (" ".join(line.split()) for line in (done.stdout + done.stderr).splitlines())
        return "\n".join(line for line in lines if line)
