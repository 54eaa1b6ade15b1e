"""What tests of installations share: build a distribution offline, and install it where nothing else is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.limits import HUNG_S
from support.paths import ROOT


def ran(*command: object, cwd: Path) -> str:
    """What a command wrote; the test fails if it did not end well."""
    # Nothing of this checkout may be found by way of the environment.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**environ, "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, out: Path, kind: str) -> Path:
    """Build a `wheel` or an `sdist` with what is installed here, without a network."""
    for module in ("build", "hatchling", "pip"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install 'keyharness[dev]'")
    ran(sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", out, source, cwd=out.parent)
    (made,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


class Environment:
    """A virtual environment that sees the packages of this one behind its own."""

    def __init__(self, path: Path):
        self.path = path
        venv.create(path, with_pip=False, symlinks=True)
        self.python = path / "bin" / "python"
        self.site = Path(
            ran(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=path).strip()
        )

    def install(self, *wheels: Path) -> None:
        """Put wheels in, and nothing that they need."""
        pip = (sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check")
        ran(*pip, "install", "--quiet", "--no-index", "--no-deps", *wheels, cwd=self.path)

    def install_project(self, source: Path) -> None:
        """Build a wheel of a project and put it in."""
        self.install(build(source, source / "dist", "wheel"))

    def see_the_rest(self) -> None:
        """Find everything else where this Python finds it. Its own .pth files, of an editable
        installation for one, are not read again.
        """
        self.see(
            *(Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages"))
        )

    def see(self, *folders: Path) -> None:
        """Import from these folders what is not in the environment itself."""
        with (self.site / "seen.pth").open("a") as file:
            file.writelines(f"{folder}\n" for folder in folders)

    def command(self, name: str) -> Path:
        return self.path / "bin" / name


def cloned(path: Path) -> Path:
    """A fresh `git clone` of this checkout, with its uncommitted changes and without untracked files.

    Without git, or outside of a checkout, this checkout itself.
    """
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return ROOT
    git = ("git", "-c", "safe.directory=*")
    ran(*git, "clone", "--quiet", "--no-hardlinks", ROOT, path, cwd=path.parent)
    changes = ran(*git, "diff", "--binary", "HEAD", cwd=ROOT)
    if changes:
        patch = path.with_name(f"{path.name}.patch")
        patch.write_text(changes)
        ran(*git, "apply", "--whitespace=nowarn", patch, cwd=path)
    return path


def keyharness_with(path: Path, checkout: Path = ROOT) -> Environment:
    """An environment with Keyharness as it is in a checkout, for more to be installed into."""
    made = Environment(path)
    made.see_the_rest()
    made.see(checkout, checkout / "plugins", checkout / "rigs", checkout / "suites")
    program = made.command("keyharness")
    program.write_text(f'#!/bin/sh\nexec "{made.python}" -m harness "$@"\n')
    program.chmod(0o755)
    return made
