"""Locks that end with their holder: one for each port, one for each run.

A lock is flock(2) on a file of the runtime directory: $KEYHARNESS_RUNTIME, else the directory of the host's locks,
/run/lock/keyharness, which all users share. $XDG_RUNTIME_DIR does not matter: a user has it in one session and not in
the next, and both must meet at the same lock.
The file says who holds it, since when and what for. It is never removed: a process that waits for a removed file would
hold another lock than the next process. A forked child lets go at once: only the process that took a lock keeps it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.base.errors import RigError
from harness.base.file_name import file_name
from harness.base.shape import misfit

MAX_BYTES = 4096


class InUse(RigError):
    """Another process uses it. This is no fault of the rig."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    :ivar since: in UTC, e.g. 2026-11-20T09:30:12Z.
    """

    pid: int
    since: str
    purpose: str


HOST_FOLDERS = (Path("/run/lock"), Path("/tmp"))
"""Where the directory of the host's locks is made: in the first of these that exists and can be written to."""


def runtime_dir() -> Path:
    """Return the folder of the locks; make it if it does not exist.

    :raises RigError: it cannot be made, or another user could have laid it as a trap.
    """
    if not (named := os.environ.get("KEYHARNESS_RUNTIME")):
        return host_lock_dir()
    path = Path(named)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RigError(f"runtime directory {path}", found=error.strerror, expected="a directory") from None
    return path


def host_lock_dir() -> Path:
    """Return the folder of locks that all users of this host share; make it if it does not exist.

    Like /tmp it may be written to by everybody, and only the owner of a file may remove it.

    :raises RigError: it cannot be made, or what stands there is no such folder.
    """
    parent = next((one for one in HOST_FOLDERS if os.access(one, os.W_OK | os.X_OK)), HOST_FOLDERS[-1])
    path = parent / "keyharness"
    try:
        with suppress(FileExistsError):
            path.mkdir()
            path.chmod(0o1777)
        found = path.stat(follow_symlinks=False)
    except OSError as error:
        raise _no_folder(path, str(error.strerror)) from None
    if not stat.S_ISDIR(found.st_mode):
        raise _no_folder(path, "something else than a directory")
    if stat.S_IMODE(found.st_mode) != 0o1777:
        raise _no_folder(path, f"mode {stat.S_IMODE(found.st_mode):o}, of user {found.st_uid}")
    return path


def _no_folder(path: Path, found: str) -> RigError:
    return RigError(
        f"directory of this host's locks {path}",
        found=found,
        expected="a directory of mode 1777, as /tmp has",
        mend=f"have its owner remove it, or name another directory in KEYHARNESS_RUNTIME ({path} is made anew)",
    )


def open_lock_file(path: Path) -> int:
    """Open a lock's file, made for all users if it does not exist; return the descriptor.

    A link in its place is not followed. Where everybody may write, Linux refuses O_CREAT for the file of another user
    (fs.protected_regular), so a file that exists is opened without it.

    :raises RigError: it cannot be opened.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        while True:
            with suppress(FileNotFoundError):
                return os.open(path, flags)
            with suppress(FileExistsError):
                fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                # The umask would keep the second member of a group out.
                os.fchmod(fd, 0o666)
                return fd
    except OSError as error:
        link = error.errno == errno.ELOOP
        raise RigError(
            f"lock {path}",
            found="a symbolic link" if link else error.strerror,
            expected="a file to lock",
            mend="remove it when no run is under way",
        ) from None


class Lock:
    """A lock on a rig, a port or a run that dies with the process that holds it.

    :param name: what is locked, in words: "port usb:1-1.4.1", "run 20261120-093012-7c1e".
    """

    def __init__(self, name: str):
        self.name = name
        self._file_name = file_name(name, ".lock", keep="start")
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def take(self, purpose: str) -> None:
        """Take the lock without waiting; do nothing if this object holds it.

        :raises InUse: another process holds it; says which, since when and what for.
        """
        if self._fd is not None:
            return
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(fd)
            os.close(fd)
            raise _held_by(self.name, holder) from None
        me = Holder(os.getpid(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", purpose)
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(asdict(me)).encode()[:MAX_BYTES], 0)
        self._fd = fd
        _HELD.add(self)

    def release(self) -> None:
        """Release the lock; do nothing if it is not held."""
        if self._fd is not None:
            _HELD.discard(self)
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def holder(self) -> Holder | None:
        """Return who holds the lock now; None if it is free. The lock is not taken: a probe must not block others."""
        if self._fd is not None:
            return _read(self._fd)
        fd = self._open()
        try:
            if not _is_locked(os.fstat(fd)):
                return None
            return _read(fd) or Holder(0, "?", "not said")
        finally:
            os.close(fd)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open(self) -> int:
        return open_lock_file(runtime_dir() / self._file_name)

    def _forget(self) -> None:
        """In a forked child: close the file without unlocking, which would release the parent's lock."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


_HELD: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_HELD):
        lock._forget()
    _HELD.clear()


os.register_at_fork(after_in_child=_after_fork)


def _is_locked(file: os.stat_result) -> bool:
    """Return whether a file has an flock. proc(5), /proc/locks: `1: FLOCK ADVISORY WRITE 708 08:01:13420 0 EOF`."""
    # On some file systems stat(2) and /proc/locks name different devices: compare the inode alone.
    inode = f":{file.st_ino}"
    with open("/proc/locks", encoding="ascii") as locks:
        return any(f[1] == "FLOCK" and f[5].endswith(inode) for f in map(str.split, locks))


def _read(fd: int) -> Holder | None:
    try:
        noted = json.loads(os.pread(fd, MAX_BYTES, 0))
    except (ValueError, RecursionError):
        return None
    fits = misfit(noted, {"pid": int, "since": str, "purpose": str}) is None
    return Holder(noted["pid"], noted["since"], noted["purpose"]) if fits else None


def _held_by(name: str, holder: Holder | None) -> InUse:
    # Everything is in the first line: the reason of a case is one line.
    if holder is None:
        return InUse(f"{name} is in use by another process", mend="wait for it, or end it")
    return InUse(
        f"{name} is in use: held by process {holder.pid} since {holder.since}: {holder.purpose}",
        mend=f"wait for it, or end it (kill -INT {holder.pid}); the lock is free as soon as it is gone",
    )
