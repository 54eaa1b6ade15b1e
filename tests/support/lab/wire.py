"""How anything in the laboratory is reached: one socket in its folder."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

SOCKET = "lab.sock"


def call(root: Path, what: str) -> socket.socket:
    """A connection to one thing in the laboratory: a node, "card PORT", "uevents", "kmsg" or "relay".

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
