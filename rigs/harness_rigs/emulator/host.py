"""The parent process of the emulators of one rig: it has their network namespace, starts them and reaps them.

Executed as a file (under unshare if namespaces are permitted), with the standard library only: so a start costs a
millisecond. Single-threaded, so that its children die with it, and it dies with the harness. Each JSON message on its
stdin, a socket, gets one answer, with file descriptors attached:

    {"do": "spawn", "argv", "env", "cwd"} + stdin, output    {"pid"} + pidfd
    {"do": "reap", "pid"}                                    {"status"}: of waitpid; only after the death
    {"do": "udp" | "listen" | "connect", "port"}             {} + socket
    a request that fails                                     {"errno"}
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from typing import Any

LOOPBACK = "127.0.0.1"
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LIBC = ctypes.CDLL(None)

Answer = tuple[dict[str, Any], list[int]]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        return
    if sys.argv[2] == "namespace":
        loopback_up()
    link = socket.socket(fileno=os.dup(0))
    os.set_inheritable(link.fileno(), False)
    link.send(b"{}")
    while True:
        message, fds, _, _ = socket.recv_fds(link, 1 << 20, 2)
        if not message:
            return
        for fd in fds:
            os.set_inheritable(fd, False)
        try:
            answer, passed = _answer(json.loads(message), fds)
        except OSError as error:
            answer, passed = {"errno": error.errno or -1}, []
        socket.send_fds(link, [json.dumps(answer).encode()], passed)
        for fd in (*fds, *passed):
            os.close(fd)


def _answer(request: dict[str, Any], fds: list[int]) -> Answer:
    if request["do"] == "spawn":
        pid = _spawn(request, *fds)
        return {"pid": pid}, [os.pidfd_open(pid)]
    if request["do"] == "reap":
        _, status = os.waitpid(request["pid"], 0)
        # Its own children lose their power as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(request["pid"], signal.SIGKILL)
        return {"status": status}, []
    return {}, [_socket(request["do"], request["port"])]


def _socket(kind: str, port: int) -> int:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    try:
        if kind == "connect":
            sock.settimeout(1.0)
            sock.connect((LOOPBACK, port))
            if sock.getsockname() == sock.getpeername():
                # The kernel chose the port itself as the source: without a listener a socket connects to itself, and
                # would echo what the harness sends (RFC 9293, section 3.5, simultaneous open).
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((LOOPBACK, port))
            if kind == "listen":
                sock.listen(4)
    except OSError:
        sock.close()
        raise
    return sock.detach()


def _spawn(request: dict[str, Any], stdin: int, output: int) -> int:
    told_r, told_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            for number in (signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(stdin, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(request["cwd"])
            os.execvpe(request["argv"][0], request["argv"], request["env"])
        except OSError as error:
            os.write(told_w, struct.pack("i", error.errno or -1))
        finally:
            os._exit(127)
    os.close(told_w)
    # Closed by a successful exec.
    failed = os.read(told_r, 4)
    os.close(told_r)
    if failed:
        os.waitpid(pid, 0)
        raise OSError(struct.unpack("i", failed)[0], "exec")
    return pid


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, name + b"\0\0")[:18])[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


if __name__ == "__main__":
    main()
