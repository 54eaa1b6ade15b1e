"""What a run was made with: this host, and the commit of Keyharness. No name of a machine or a user is in it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

import harness

GIT_S_MAX = 5
_CHUNK = 1 << 20


def host_facts() -> dict[str, object]:
    """Describe this host: {"system", "machine", "python", "cpus"}."""
    return {
        "system": _system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
    }


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.system()} {platform.release()}"


def commit() -> str | None:
    """Return the commit of the checkout that runs, "-modified" added if a tracked file differs; None without one."""
    root = Path(harness.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return None
    # An unreadable state must not look like a clean one.
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    return head if changed == "" else f"{head}-modified"


def _git(root: Path, *arguments: str) -> str | None:
    # In a git hook these variables name another repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_S_MAX,
            env=kept,
            stdin=subprocess.DEVNULL,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of a file's content in hex; None if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()
