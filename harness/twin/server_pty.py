"""The serial port of a served twin: a pseudo-terminal that exists only while the key shows its bootloader."""

from __future__ import annotations

import contextlib
import os
import tty
from pathlib import Path

from harness.base.errors import CallerError
from harness.twin.server_faces import ServedEndpoint, Wire


class PtyFace(ServedEndpoint):
    """A symbolic link to a pseudo-terminal, made when the bootloader appears and removed when it has gone.

    :raises CallerError: something else is at that path.
    """

    endpoint = "serial"

    def __init__(self, link: Path, faces: tuple[str, ...]):
        self.faces = faces
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise CallerError(
                f"--dfu-pty {link}",
                found="a file",
                expected="a path for a link that is made here",
                mend="name another",
            )
        self._link = link
        # Keep the key's end open, so that a client that closes the terminal causes no hang-up here.
        self._host, self._key = os.openpty()
        tty.setraw(self._key)
        os.set_blocking(self._host, False)

    def present(self, is_there: bool) -> None:
        if is_there and not self._link.is_symlink():
            self._link.symlink_to(os.ttyname(self._key))
        elif not is_there:
            self._link.unlink(missing_ok=True)

    def sockets(self) -> list[Wire]:
        return [self._host]

    def readable(self, sock: Wire) -> list[bytes]:
        with contextlib.suppress(BlockingIOError):
            return [os.read(self._host, 65536)]
        return []

    def send(self, data: bytes, asker: object) -> None:
        # A terminal without a reader fills up; what does not fit is lost, as on a port that is not open.
        with contextlib.suppress(BlockingIOError):
            os.write(self._host, data)

    def close(self) -> None:
        self._link.unlink(missing_ok=True)
