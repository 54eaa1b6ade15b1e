"""A pcscd of one's own, with virtual readers, in a network and a /run of its own; then a command that uses it.

    unshare [-U -r] -m -n python private_pcscd.py FOLDER COMMAND...

For rigs that name the `reader` of a daemon that runs already: the command is in the daemon's network. Rigs that name
none start a daemon by themselves (harness_rigs.emulator.private_pcscd).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from harness_rigs.emulator import private_pcscd as own
from harness_rigs.emulator.host import loopback_up

PORT = 35963
READER = "Test Reader"


def missing() -> str | None:
    """What this machine lacks for it, in words."""
    lacks = own.missing()
    return str(lacks.found) if lacks is not None else None


def namespace() -> list[str] | None:
    """The command that makes the namespaces, if they are permitted."""
    for way in (["unshare", "-m", "-n"], ["unshare", "-U", "-r", "-m", "-n"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0
        ):
            return way
    return None


def main() -> int:
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    loopback_up()
    # pcscd writes its pid there, and would overwrite the host's.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/pcscd").mkdir()
    readers = folder / "readers"
    readers.mkdir()
    (readers / "vpcd").write_text(
        f'FRIENDLYNAME "{READER}"\nDEVICENAME /dev/null:{PORT:#x}\nLIBPATH {own.driver()}\nCHANNELID {PORT:#x}\n'
    )
    name = folder / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(name))
    listener.listen(16)

    def activate() -> None:
        # As systemd hands it over: descriptor 3, and whose it is. dup2(3, 3) would leave it to be closed.
        if listener.fileno() == 3:
            os.set_inheritable(3, True)
        else:
            os.dup2(listener.fileno(), 3)
        os.environ["LISTEN_PID"] = str(os.getpid())
        os.environ["LISTEN_FDS"] = "1"
        os.execv(own.daemon(), [str(own.daemon()), "--foreground", "-c", str(readers)])

    daemon = os.fork()
    if daemon == 0:
        log = os.open(folder / "pcscd.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        activate()
    try:
        environ = {**os.environ, "PCSCLITE_CSOCK_NAME": str(name)}
        return subprocess.run(command, env=environ, check=False).returncode
    finally:
        os.kill(daemon, 15)
        os.waitpid(daemon, 0)


if __name__ == "__main__":
    raise SystemExit(main())
