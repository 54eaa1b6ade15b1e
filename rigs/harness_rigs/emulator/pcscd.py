"""Become a pcscd with virtual readers, which sees nothing of the host's: no reader, no folder of its daemon.

Executed as a file in a network namespace and a mount namespace of its own, with the standard library only:

    unshare -m -- python -I -S pcscd.py DAEMON READERS SOCKET [OPTION...]

READERS is the folder with the configuration of the readers, SOCKET the socket where clients are to find the daemon.
It is handed over as systemd does it (sd_listen_fds(3)): pcscd itself would make it where the host's is.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path

USB_DRIVERS = "/usr/lib/pcsc/drivers"
"""Where pcscd looks for drivers of USB readers; without them it opens no reader of the host's."""
ACTIVATED = 3
"""SD_LISTEN_FDS_START of sd-daemon.h."""
LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    daemon, readers, where, *options = sys.argv[1:]
    # pcscd writes its process number to /run/pcscd, and would overwrite the host's.
    _hide("/run")
    Path("/run/pcscd").mkdir()
    if Path(USB_DRIVERS).is_dir():
        _hide(USB_DRIVERS)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen(16)
    if listener.fileno() == ACTIVATED:
        # dup2 to itself would leave it to be closed.
        os.set_inheritable(ACTIVATED, True)
    else:
        os.dup2(listener.fileno(), ACTIVATED)
    environ = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    os.execve(daemon, [daemon, "--foreground", "-c", readers, *options], environ)


def _hide(folder: str) -> None:
    """Mount an empty folder over one."""
    if LIBC.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), folder)


if __name__ == "__main__":
    main()
