"""The recording file system of one rig, mounted where its firmware runs; and what it tells."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from harness.api import HarnessFault, RigError, new_folder
from harness_rigs.emulator.process import Process, ProcessHost
from harness_rigs.recorded import events
from harness_rigs.recorded.events import FileEvent

PROGRAM = Path(__file__).with_name("recording_fs.py")
MOUNT_LIMIT_S = 20.0
ANSWER_LIMIT_S = 30.0


class RecordingMount:
    """Mounts the recording file system over a firmware's directory, and asks it what was done.

    :param host: where the firmware runs; the mount is seen only there.
    :raises RigError: it cannot be mounted.
    """

    def __init__(self, rig: str, host: ProcessHost, folder: Path):
        self._rig = rig
        require_fuse(rig)
        self._private = new_folder(f"{rig}-recording")
        address, log = self._private / "link", self._private / "log"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(address))
            listener.listen(1)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                argv = [sys.executable, "-I", str(PROGRAM), str(folder), str(address)]
                self._process: Process = host.spawn(argv, dict(os.environ), Path("/"), output)
            finally:
                os.close(output)
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            poll.register(self._process.pidfd, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(MOUNT_LIMIT_S * 1000)]
            if listener.fileno() not in ready:
                self._process.kill()
                raise RigError(
                    f'rig "{rig}": the recording file system could not be mounted',
                    found=log.read_text(errors="replace").strip()[-300:]
                    or f"nothing within {MOUNT_LIMIT_S:g} s",
                    expected="a FUSE mount in the firmware's own mount namespace",
                    mend="run as root, or allow unprivileged user namespaces; /dev/fuse must be there and open to you",
                )
            self._link, _ = listener.accept()
        self._lines = self._link.makefile("rb")
        self._answer()

    def _answer(self) -> dict[str, Any]:
        self._link.settimeout(ANSWER_LIMIT_S)
        try:
            line = self._lines.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise HarnessFault(f'rig "{self._rig}": the recording file system does not answer')
        found: dict[str, Any] = json.loads(line)
        return found

    def _send(self, **wish: object) -> None:
        self._link.sendall(json.dumps(wish).encode() + b"\n")

    def start(self) -> None:
        """Record from now on."""
        self._send(do="start")
        self._answer()

    def stop(self) -> list[FileEvent]:
        """Stop recording; what was recorded. Nothing is changed from now on: what is written waits."""
        self._send(do="stop")
        return [events.read(row) for row in self._answer()["events"]]

    def let_go(self) -> None:
        """Fail what waits since `stop`. The firmware must have been killed."""
        self._send(do="release")

    def cut_at(self, number: int, kill: Callable[[], None], act: Callable[[], None]) -> FileEvent | None:
        """Run `act`, and take the power at its change of that number, from 1: neither it nor any after it is done.

        :param kill: ends the firmware.
        :returns: that change; None if it never came.
        """
        self._send(do="arm", at=number)
        self._answer()
        hit: list[FileEvent] = []
        stop_r, stop_w = os.pipe()

        def watch() -> None:
            poll = select.poll()
            poll.register(self._link, select.POLLIN)
            poll.register(stop_r, select.POLLIN)
            if self._link.fileno() in [fd for fd, _ in poll.poll()]:
                hit.append(events.read(self._answer()["hit"]))
                kill()
                self._send(do="release")

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            act()
        finally:
            os.write(stop_w, b"x")
            watcher.join(ANSWER_LIMIT_S)
            os.close(stop_r)
            os.close(stop_w)
        return hit[0] if hit else None

    def drained(self) -> None:
        """A call of the file system has been done when it returns: nothing is under way."""

    def close(self) -> None:
        """Unmount."""
        self._lines.close()
        self._link.close()
        self._process.kill()


def require_fuse(rig: str) -> None:
    """Check that this host can mount file systems of its users.

    :raises RigError: it cannot.
    """
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        there = Path("/dev/fuse").exists()
        raise RigError(
            f'rig "{rig}": writes cannot be recorded',
            found="/dev/fuse is not open to you" if there else "no /dev/fuse",
            expected="/dev/fuse, readable and writable",
            mend="`modprobe fuse`; in a container start it with `--device /dev/fuse`; or use "
            'kind = "driver", which needs no mount',
        )
    if importlib.util.find_spec("mfusepy") is None:
        raise RigError(
            f'rig "{rig}": writes cannot be recorded',
            found="no Python package mfusepy",
            expected="mfusepy and libfuse3",
            mend="pip install 'keyharness[record]', and the Debian package libfuse3-3",
        )
