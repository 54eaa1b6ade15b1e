"""The laboratory as a host: its tree, and its nodes reached over the laboratory's socket."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from harness.host import Host

SOCKET = "lab.sock"


def call(root: Path, what: str) -> socket.socket:
    """A connection to one thing in the laboratory: a node, "uevents", "kmsg" or "relay".

    :raises OSError: as opening that node fails.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        # The path of a socket has room for 107 bytes, which a test's folder may exceed.
        link.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        link.send(what.encode())
        answer = link.recv(64)
    except OSError:
        link.close()
        raise
    finally:
        os.close(folder)
    if answer != b"ok":
        link.close()
        number = int(answer or errno.ENODEV)
        raise OSError(number, os.strerror(number))
    return link


class LabHost(Host):
    """Everything below a laboratory's folder, from any process."""

    def may_open(self, node: Path) -> bool:
        # Whoever is root may open anything: here the mode counts for everybody.
        try:
            return bool(node.stat().st_mode & 0o666)
        except FileNotFoundError:
            return False

    def usb_answers(self, bus: int, number: int) -> bool | None:
        with call(self.root, "relay") as link:
            link.send(f"answers {bus} {number}".encode())
            return {b"yes": True, b"no": False}.get(link.recv(64))

    def open_hidraw(self, node: Path) -> int:
        if not self.may_open(node) and node.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(node))
        return call(self.root, node.name).detach()

    def open_uevents(self) -> socket.socket:
        return call(self.root, "uevents")

    def open_kernel_log(self) -> int:
        link = call(self.root, "kmsg")
        link.setblocking(False)
        return link.detach()
