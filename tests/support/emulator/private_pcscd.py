"""A pcscd of one's own, with virtual readers, in a network and a /run of its own; then a command that uses it.

    unshare [-U -r] -m -n python private_pcscd.py FOLDER COMMAND...

No daemon of the host's is touched, and none of this one's ports is seen outside. KEYHARNESS_PCSC_ROOT may name
a folder into which Debian's packages pcscd and vsmartcard-vpcd were unpacked; by default they are installed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from harness_rigs.emulator.host import loopback_up

ROOT = Path(os.environ.get("KEYHARNESS_PCSC_ROOT", "/"))
DRIVER = ROOT / "usr/lib/pcsc/drivers/serial/libifdvpcd.so"
DAEMON = ROOT / "usr/sbin/pcscd"
PORT = 35963
READER = "Test Reader"


def missing() -> str | None:
    """What this machine lacks for it, in words."""
    if not DAEMON.exists() or not DRIVER.exists():
        return "no pcscd with vpcd here: Debian's pcscd and vsmartcard-vpcd"
    try:
        ctypes.CDLL("libpcsclite.so.1")
    except OSError:
        return "no libpcsclite.so.1"
    if namespace() is None:
        return "this host does not permit namespaces, and vpcd listens on every interface"
    try:
        import smartcard  # noqa: F401
    except ImportError:
        return "no pyscard: pip install 'keyharness[pcsc]'"
    return None


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
        f'FRIENDLYNAME "{READER}"\nDEVICENAME /dev/null:{PORT:#x}\nLIBPATH {DRIVER}\nCHANNELID {PORT:#x}\n'
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
        os.execv(DAEMON, [str(DAEMON), "--foreground", "-c", str(readers)])

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
