"""A device that is plugged in and answers nothing, as a key whose firmware hangs before its first descriptor."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from harness.twin.usb_device.device import Identity, UsbDevice
from harness.twin.usb_device.hid import Hid
from harness.twin.usb_device.redir_host import RedirHost

REPORTS = bytes.fromhex("06d0f1")
"""Nobody gets to read more of it."""
WHO = Identity(0x20A0, 0x42B2, 0x0108, "Nitrokey", "Nitrokey 3")


@contextlib.contextmanager
def hung_device(path: Path) -> Iterator[None]:
    """Plug it into the port behind that socket of QEMU, which nobody else serves; take it out at the end."""
    host = RedirHost(lambda text: None)
    host.plug(UsbDevice(WHO, {"ctaphid": Hid(REPORTS)}, lambda name, data: None, lambda: 0))
    host.mute()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))

        def serve() -> None:
            with contextlib.suppress(OSError):
                sock.sendall(bytes(host.output))
                while data := sock.recv(65536):
                    host.output.clear()
                    host.receive(data)
                    sock.sendall(bytes(host.output))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        sock.shutdown(socket.SHUT_RDWR)
        thread.join()
