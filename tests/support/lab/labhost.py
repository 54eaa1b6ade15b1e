"""The laboratory as a host: its tree, and its nodes reached over the laboratory's socket."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from harness.host.host import Host
from harness.host.usb import devices
from support.lab.scard import LabScard
from support.lab.wire import call


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

    def hub_sees_device(self, bus: int, number: int, port: int) -> bool | None:
        (hub,) = (one.port for one in devices(self) if (one.bus, one.number) == (bus, number))
        with call(self.root, "relay") as link:
            link.send(f"sees {hub}.{port}".encode())
            return {b"yes": True, b"no": False}.get(link.recv(64))

    def scard(self) -> LabScard:
        return LabScard(self)

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
