"""A pcscd of this process's own, with virtual readers (vpcd), for emulators whose bench names no reader.

It starts with the first of them that gets power and ends with the last rig, or with this process. It runs in a network
namespace, because vpcd listens on every interface, and the emulators run there, too. libpcsclite reads the name of the
socket once in a process: so all such rigs of a process share the daemon, and each has a reader of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.api import KeyharnessError, RigError, new_file, new_folder
from harness_rigs.emulator.process import PYTHON, Process, ProcessHost

PROGRAM = Path(__file__).with_name("pcscd.py")
SOCKET = "PCSCLITE_CSOCK_NAME"
"""The variable by which libpcsclite finds its daemon."""
READERS = 4
"""OpenSC's PKCS #11 module has 16 slots and gives each reader four: it sees no card in a fifth one."""
_FIRST_PORT, _LIMIT_S, _RETRY_S = 35963, 60.0, 0.02
_MEND = "or name the `reader` of a pcscd that runs, or use transport vpcd, which needs none of it"


def _root() -> Path:
    return Path(os.environ.get("KEYHARNESS_PCSC_ROOT", "/"))


def daemon() -> Path:
    return _root() / "usr/sbin/pcscd"


def driver() -> Path:
    """The driver of the virtual readers."""
    return _root() / "usr/lib/pcsc/drivers/serial/libifdvpcd.so"


def missing() -> KeyharnessError | None:
    """What this machine lacks for a pcscd of one's own; None if it lacks nothing."""
    lacks, mend = None, "install Debian's pcscd and vsmartcard-vpcd, " + _MEND
    if not daemon().exists():
        lacks = "no pcscd"
    elif not driver().exists():
        lacks = "no driver of virtual readers (vpcd)"
    elif not _has_library():
        lacks, mend = "no libpcsclite.so.1", "install Debian's libpcsclite1, " + _MEND
    elif not _has_pyscard():
        lacks = "no pyscard in this environment"
        mend = "pip install 'keyharness[pcsc]' (needs libpcsclite-dev and a compiler), " + _MEND
    elif not _may_mount():
        lacks = "namespaces are not permitted, and a virtual reader listens on every interface"
        mend = "run as root, or permit unprivileged user namespaces, " + _MEND
    if lacks is None:
        return None
    return RigError(
        "transport pcsc",
        found=lacks,
        expected="pcscd, vpcd, pyscard, and the right to make namespaces",
        mend=mend,
    )


def _has_library() -> bool:
    try:
        ctypes.CDLL("libpcsclite.so.1")
    except OSError:
        return False
    return True


def _has_pyscard() -> bool:
    try:
        import smartcard  # noqa: F401
    except ImportError:
        return False
    return True


def _may_mount() -> bool:
    """May this process make namespaces for network and mounts?"""
    if shutil.which("unshare") is None:
        return False
    ways = (["unshare", "-n", "-m", "true"], ["unshare", "-U", "-r", "-n", "-m", "true"])
    return any(subprocess.run(way, capture_output=True, check=False).returncode == 0 for way in ways)


@dataclass(frozen=True)
class Slot:
    """A virtual reader.

    :ivar reader: its whole name. :ivar port: where a card dials it, in the daemon's network.
    """

    number: int

    @property
    def reader(self) -> str:
        # The driver makes two readers of each entry, on ports that follow each other.
        return f"Keyharness {self.number // 2} 00 {self.number % 2:02d}"

    @property
    def port(self) -> int:
        return _FIRST_PORT + self.number


class PrivateDaemon:
    """The daemon, and who has which of its readers.

    :ivar environ: what a client in another process needs to find it.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._host: ProcessHost | None = None
        self._process: Process | None = None
        self._folder: Path | None = None
        self._log: Path | None = None
        self._owner = os.getpid()

    @property
    def environ(self) -> Mapping[str, str]:
        return {SOCKET: str(self._socket())}

    def _socket(self) -> Path:
        if self._folder is None:
            self._folder = new_folder("pcscd")
        return self._folder / "socket"

    def take(self, rig: str) -> Slot:
        """Reserve a reader for a rig; `free` gives it back.

        :raises RigError: all are taken.
        """
        number = next((one for one in range(READERS) if one not in self._taken), None)
        if number is None:
            raise RigError(
                f'rig "{rig}": a reader of its own',
                found=f"{READERS} rigs that have one",
                expected=f"{READERS} rigs in one process at most",
                mend="run fewer of them at once (--rig), or name the `reader` of a pcscd that runs",
            )
        self._taken.add(number)
        return Slot(number)

    def free(self, slot: Slot) -> None:
        """Give a reader back. The daemon ends with the last one."""
        self._taken.discard(slot.number)
        if not self._taken:
            self.close()

    def running(self) -> ProcessHost:
        """Start the daemon if it does not run; returns where it runs, and where the emulators belong.

        :raises RigError: something is missing, or it does not start.
        """
        if self._process is not None and self._process.alive and self._host is not None:
            return self._host
        self.close()
        if (lacks := missing()) is not None:
            raise lacks
        where = self._socket()
        if os.environ.get(SOCKET, str(where)) != str(where):
            raise RigError(
                "transport pcsc",
                found=f"{SOCKET}={os.environ[SOCKET]}",
                expected="a process that has no daemon yet",
                mend=f"unset {SOCKET}, or name the `reader` of that daemon",
            )
        os.environ[SOCKET] = str(where)
        where.unlink(missing_ok=True)
        self._host = ProcessHost("namespace")
        self._process = self._spawn(self._host, where)
        self._wait_until_it_listens(where)
        return self._host

    def _spawn(self, host: ProcessHost, where: Path) -> Process:
        readers = where.with_name("readers")
        readers.mkdir(exist_ok=True)
        entries = []
        for entry in range(READERS // 2):
            # A second entry with the same file would have no slot of its own in it.
            copy = where.with_name(f"vpcd{entry}.so")
            shutil.copyfile(driver(), copy)
            port = _FIRST_PORT + 2 * entry
            entries.append(
                f'FRIENDLYNAME "Keyharness {entry}"\n'
                f"DEVICENAME /dev/null:{port:#x}\nLIBPATH {copy}\nCHANNELID {port:#x}\n"
            )
        # One file: several would be read in the order of the folder, which is none.
        (readers / "vpcd").write_text("\n".join(entries))
        if self._log is None:
            self._log = new_file("pcscd", ".log")
        argv = ["unshare", "-m", "--", *PYTHON, str(PROGRAM), str(daemon()), str(readers), str(where)]
        with self._log.open("wb") as log:
            return host.spawn([*argv, *_options()], os.environ, where.parent, log.fileno())

    def _wait_until_it_listens(self, where: Path) -> None:
        assert self._process is not None
        until = time.monotonic() + _LIMIT_S
        while time.monotonic() < until:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(where))
                except OSError:
                    # There is no event for a socket that begins to listen; the death of the daemon ends the wait.
                    if self._process.wait(_RETRY_S):
                        break
                else:
                    return
        said = self.last_words()
        self.close()
        raise RigError(
            "transport pcsc: a pcscd of one's own",
            found=said or "it does not listen",
            expected=f"a daemon that listens within {_LIMIT_S:.0f} s",
            mend=f"run {daemon()} --foreground by hand and see what it says",
        )

    @property
    def pid(self) -> int | None:
        """Its process number; None while it does not run."""
        return None if self._process is None else self._process.pid

    def last_words(self) -> str:
        """The last lines that it printed."""
        if self._log is None:
            return ""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])

    def close(self) -> None:
        """End the daemon; it can be started again at the same socket."""
        if os.getpid() != self._owner:
            # After a fork: it is the parent's.
            return
        if self._process is not None:
            self._process.kill()
            self._process = None
        if self._host is not None:
            self._host.close()
            self._host = None
        if self._folder is not None and os.environ.get(SOCKET) == str(self._socket()):
            # Programs that this process starts from now on would look for a daemon that has ended.
            del os.environ[SOCKET]


def _options() -> list[str]:
    """Options of this version of pcscd: polkit would ask a service of the host's, which is not there."""
    told = subprocess.run([str(daemon()), "--version"], capture_output=True, text=True, check=False).stdout
    return ["--disable-polkit"] if "polkit" in told else []


DAEMON = PrivateDaemon()
