"""A file system that passes everything through to a directory, and tells each change: a program of its own.

It is mounted over the directory that it passes through to, in the mount namespace of the firmware alone: nothing else
sees the mount, and it is gone with the last process in the namespace, however that ends. One thread does one call
after the other, so the order that it tells is the order in which the calls were made. With attributes and names not
kept by the kernel, what the harness changes while no firmware runs is seen at once.

Usage: recording_fs.py DIRECTORY SOCKET. It connects to the socket when it is mounted, and takes a line of JSON for
each wish: {"do": "start"}, {"do": "stop"}, {"do": "arm", "at": N}, {"do": "release"}. From "stop" to
"release" nothing is changed: a firmware that goes on writing waits, and its write is not done.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import mfusepy

PR_SET_PDEATHSIG = 1
ATTRIBUTES = (
    *("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino", "st_dev", "st_rdev"),
    *("st_blksize", "st_blocks", "st_atime_ns", "st_mtime_ns", "st_ctime_ns"),
)
RELEASE_LIMIT_S = 30.0


def now_us() -> int:
    return time.monotonic_ns() // 1000


class Log:
    """What is recorded, and the instant at which everything stops."""

    def __init__(self) -> None:
        self.link: socket.socket | None = None
        self.lock, self.sending = threading.Lock(), threading.Lock()
        self.changing = threading.Lock()
        """Held for all of a change, so that recording stops between two."""
        self.on = False
        self.rows: list[dict[str, object]] = []
        self.count = 0
        self.stop_at: int | None = None
        self.dead = self.held = False
        self.released = threading.Event()

    def tell(self, row: dict[str, object]) -> None:
        assert self.link is not None
        with self.sending:
            self.link.sendall(json.dumps(row).encode() + b"\n")

    def note(self, row: dict[str, object]) -> None:
        with self.lock:
            if self.on:
                self.rows.append(row)

    def reached(self, row: dict[str, object]) -> bool:
        """Whether a change may still be made. At the armed one the power goes: it waits until the process is dead."""
        with self.lock:
            if self.dead:
                return False
            held = self.held
            if not held:
                self.count += 1
                if self.stop_at is None or self.count != self.stop_at:
                    return True
                self.dead = True
        if not held:
            self.tell({"hit": row})
        self.released.wait(RELEASE_LIMIT_S)
        return False

    def obey(self) -> None:
        """Do what the harness wishes, until it hangs up."""
        assert self.link is not None
        for line in self.link.makefile("rb"):
            wish = json.loads(line)
            if wish["do"] == "release":
                with self.lock:
                    self.held = False
                self.released.set()
                continue
            with self.changing, self.lock:
                self.held = wish["do"] == "stop"
                self.released.clear()
                if self.held:
                    self.on = False
                    answer: dict[str, object] = {"events": self.rows}
                else:
                    self.on, self.rows, self.count, self.dead = wish["do"] == "start", [], 0, False
                    self.stop_at = wish.get("at")
                    answer = {}
            self.tell(answer)
        os.kill(os.getpid(), signal.SIGTERM)


class PassThrough(mfusepy.Operations):
    """The calls, on the directory that was there before the mount: the working directory of this process."""

    use_ns = True

    def __init__(self, folder: int, link: str, log: Log):
        self._folder, self._address, self._log = folder, link, log
        self.mapped = False

    def init(self, path: str) -> None:
        # Here, because libfuse goes to "/" when it begins.
        os.fchdir(self._folder)
        self._log.link = socket.socket(socket.AF_UNIX)
        self._log.link.connect(self._address)
        threading.Thread(target=self._log.obey, daemon=True).start()
        self._log.tell({"mounted": True})

    def _change(self, what: Mapping[str, object], data: bytes, act: Callable[[], int | None]) -> int:
        start_us = now_us()
        row = {**what, "start_us": start_us, "end_us": start_us}
        if data:
            row["data"] = base64.b64encode(data).decode()
        with self._log.changing:
            if not self._log.reached(row):
                raise OSError(errno.EIO, "no power")
            try:
                done = act()
            except OSError:
                # As rmdir of a folder that is not empty: it changes nothing, and has its number all the same.
                self._log.note({**row, "kind": "refused", "data": ""})
                raise
            row["end_us"] = now_us()
            self._log.note(row)
        return done or 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.fstat(fh) if fh is not None else os.lstat(here(path))
        return {name.removesuffix("_ns"): getattr(found, name) for name in ATTRIBUTES}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(here(path))]

    def readlink(self, path: str) -> str:
        return os.readlink(here(path))

    def access(self, path: str, amode: int) -> int:
        if not os.access(here(path), amode):
            raise OSError(errno.EACCES, "not permitted")
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(here(path))
        return {
            name: getattr(found, name) for name in dir(found) if name.startswith("f_") and name != "f_fsid"
        }

    def open(self, path: str, flags: int) -> int:
        truncates = flags & os.O_TRUNC
        # Reads are needed to write less than a page of a mapped file.
        how = os.O_RDWR if flags & os.O_ACCMODE == os.O_WRONLY else flags & os.O_ACCMODE
        fd = os.open(here(path), how)
        if truncates:
            row = {"kind": "truncate", "path": relative(path), "size": 0}
            self._change(row, b"", lambda: os.ftruncate(fd, 0))
        return fd

    def create(self, path: str, mode: int, fi: int | None = None) -> int:
        fds: list[int] = []
        is_new = not os.path.lexists(here(path))

        def make() -> None:
            fds.append(os.open(here(path), os.O_RDWR | os.O_CREAT, mode & 0o7777))

        if is_new:
            self._change({"kind": "create", "path": relative(path), "mode": mode & 0o7777}, b"", make)
        else:
            make()
        return fds[0]

    def mknod(self, path: str, mode: int, dev: int) -> int:
        row = {"kind": "create", "path": relative(path), "mode": mode & 0o7777}
        return self._change(row, b"", lambda: os.mknod(here(path), mode, dev))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        row = {"kind": "write", "path": relative(path), "offset": offset, "mapped": self.mapped}
        return self._change(row, data, lambda: os.pwrite(fh, data, offset))

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        row = {"kind": "truncate", "path": relative(path), "size": length}
        return self._change(row, b"", lambda: os.truncate(here(path) if fh is None else fh, length))

    def fallocate(self, path: str, mode: int, offset: int, size: int, fh: int) -> int:
        length = max(os.fstat(fh).st_size, offset + size)
        if mode:
            # FALLOC_FL_KEEP_SIZE only reserves; holes and moved content are not offered, as on many file systems.
            raise OSError(errno.EOPNOTSUPP, "not offered")
        return self.truncate(path, length, fh)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        at = now_us()
        self._log.note({"kind": "fsync", "path": relative(path), "start_us": at, "end_us": at})
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        row = {"kind": "mkdir", "path": relative(path), "mode": mode & 0o7777}
        return self._change(row, b"", lambda: os.mkdir(here(path), mode & 0o7777))

    def rmdir(self, path: str) -> int:
        return self._change({"kind": "rmdir", "path": relative(path)}, b"", lambda: os.rmdir(here(path)))

    def unlink(self, path: str) -> int:
        return self._change({"kind": "unlink", "path": relative(path)}, b"", lambda: os.unlink(here(path)))

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        if flags:
            # RENAME_NOREPLACE and RENAME_EXCHANGE: the caller falls back to what every file system has.
            raise OSError(errno.EINVAL, "not offered")
        row = {"kind": "rename", "path": relative(old), "to": relative(new)}
        return self._change(row, b"", lambda: os.rename(here(old), here(new)))

    def symlink(self, target: str, source: str) -> int:
        row = {"kind": "symlink", "path": relative(target), "target": source}
        return self._change(row, b"", lambda: os.symlink(source, here(target)))

    def link(self, target: str, source: str) -> int:
        row = {"kind": "link", "path": relative(source), "to": relative(target)}
        return self._change(row, b"", lambda: os.link(here(source), here(target)))

    def chmod(self, path: str, mode: int) -> int:
        row = {"kind": "chmod", "path": relative(path), "mode": mode & 0o7777}
        return self._change(row, b"", lambda: os.chmod(here(path), mode & 0o7777))

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(here(path), uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(here(path), ns=times or (time.time_ns(),) * 2, follow_symlinks=False)
        return 0


class FileInfo(Protocol):
    """What libfuse says of an open file (struct fuse_file_info of fuse_common.h)."""

    writepage: int


class ToFileInfo(Protocol):
    contents: FileInfo


class Mount(mfusepy.FUSE):
    """The mount, which tells who makes a write: a firmware, or the kernel for a mapping of its file."""

    def write(self, path: bytes | None, buf: object, size: int, offset: int, fip: ToFileInfo) -> int:
        # FUSE_WRITE_CACHE (linux/fuse.h), which mfusepy does not hand on.
        self.operations.mapped = bool(fip.contents.writepage)
        written: int = super().write(path, buf, size, offset, fip)
        return written


def here(path: str) -> str:
    return "." + path


def relative(path: str) -> str:
    return path.lstrip("/")


def main() -> None:
    folder, address = sys.argv[1:3]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with contextlib.suppress(RuntimeError):
        Mount(
            PassThrough(below, address, Log()),
            folder,
            foreground=True,
            nothreads=True,
            fsname="keyharness",
            attr_timeout=0,
            entry_timeout=0,
            negative_timeout=0,
        )


if __name__ == "__main__":
    main()
