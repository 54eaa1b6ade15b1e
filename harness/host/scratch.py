"""Temporary folders and files that a killed process leaves behind, and the next one removes.

Each process has one folder for all of its own, and holds a lock in it while it lives. The kernel releases the lock when
the process is gone, however it ended. Process numbers would not do: two containers may share a folder, and count alike.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.base.errors import HostError

_LOCK = ".lock"
_mine: tuple[int, Path, int] | None = None
"""Process, its folder, and the descriptor that holds its lock."""


def new_folder(label: str) -> Path:
    """Make an empty folder that only this user may enter. It is removed when the process has ended, at the latest.

    :param label: what it is for, as a part of its name.
    :raises HostError: the folder for all of them belongs to someone else.
    :raises OSError: it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f"{label}-", dir=_my_folder()))


def new_file(label: str, suffix: str) -> Path:
    """As `new_folder`, for an empty file."""
    file, name = tempfile.mkstemp(prefix=f"{label}-", suffix=suffix, dir=_my_folder())
    os.close(file)
    return Path(name)


def _my_folder() -> Path:
    global _mine
    if _mine is None or _mine[0] != os.getpid():
        if _mine is not None:
            # After a fork: the parent's lock lives on as long as any process has the descriptor open.
            os.close(_mine[2])
        root = _root()
        with _alone(root):
            _remove_abandoned(root)
            folder = Path(tempfile.mkdtemp(prefix="", dir=root))
            held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(held, fcntl.LOCK_EX)
        _mine = os.getpid(), folder, held
        atexit.register(_remove, folder, os.getpid())
    return _mine[1]


def _root() -> Path:
    root = Path(tempfile.gettempdir()) / f"keyharness-scratch-{os.getuid()}"
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise HostError(
            str(root),
            found=f"mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}",
            expected=f"a folder of user {os.getuid()} that no other may enter",
            mend="remove it, or let TMPDIR name another folder",
        )
    return root


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep others from taking a folder for abandoned before its lock is taken."""
    file = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        if folder.name == _LOCK:
            continue
        try:
            file = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            # Its process was killed before it took its lock, or while it removed the folder.
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(file)


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
