"""The parent process of the emulators of one rig: it has their network namespace, starts them and reaps them.

Executed as a file (under unshare if namespaces are permitted), with the standard library only: so a start costs a
millisecond. Single-threaded, so that its children die with it, and it dies with the harness. Each JSON message on its
stdin, a socket, gets one answer, with file descriptors attached:

    {"do": "spawn", "argv", "env", "cwd"} + stdin, output    {"pid"} + pidfd of the guard, pidfd of the program
    {"do": "signal", "pid", "number"}                        {}
    {"do": "is_alone", "pid"}                                {"alone"}: has the program started no other process?
    {"do": "reap", "pid"}                                    {"status"}: of waitpid; only after the death
    {"do": "udp" | "listen" | "connect", "port"}             {} + socket
    {"do": "acknowledge_at_once"}                            {}: TCP, in this network namespace
    a request that fails                                     {"errno"}

Each emulator gets a PID namespace where that is permitted. Its first process, `pid`, is a guard that starts the program
and ends with it. When the guard is killed, the kernel kills all processes in the namespace, also those behind a shell
or setsid, and only then reports its end (pid_namespaces(7)). Elsewhere the rest is killed when the program is reaped.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

LOOPBACK = "127.0.0.1"
TO_ALL = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CLONE_NEWPID, SYS_CLONE3 = 0x20000000, 435
"""The number of clone3 is the same on all architectures (linux asm-generic/unistd.h)."""
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
NETLINK_ROUTE, RTM_NEWROUTE, REPLACE_AND_ANSWER = 0, 24, 0x105
"""rtnetlink(7): a request (1) that is answered (4) and takes the place of a route (0x100)."""
RTA_DST, RTA_OIF, RTA_PREFSRC, RTA_METRICS, RTAX_QUICKACK = 1, 4, 7, 8, 15
LIBC, PYTHON = ctypes.CDLL(None), ctypes.PyDLL(None)
"""The same functions; those of PYTHON keep its lock, as a fork needs."""

Answer = tuple[dict[str, Any], list[int]]


def main() -> None:
    for number in TO_ALL:
        # A whole process group gets it, as from `timeout` or a closed terminal: the harness ends this process itself.
        signal.signal(number, signal.SIG_IGN)
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
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
        return {"pid": pid}, [os.pidfd_open(pid), _program(pid)]
    if request["do"] == "signal":
        _signal(request["pid"], request["number"])
        return {}, []
    if request["do"] == "is_alone":
        programs = _programs(request["pid"])
        return {"alone": len(programs) <= 1 and not any(_children(one) for one in programs)}, []
    if request["do"] == "reap":
        return {"status": _reap(request["pid"])}, []
    if request["do"] == "acknowledge_at_once":
        acknowledge_at_once()
        return {}, []
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


_started: set[int] = set()
"""What was asked for and has not been reaped: an emulator, and perhaps the file system below it."""
_ends: dict[int, int] = {}
"""Guard of a program -> the pipe through which it tells how the program ended."""


def _spawn(request: dict[str, Any], stdin: int, output: int) -> int:
    told_r, told_w = os.pipe()
    end_r, end_w = os.pipe()
    guard = _fork_in_namespace()
    pid = os.fork() if guard is None else guard
    if pid == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if guard is not None:
            _guard(end_w, told_w, lambda: _execute(request, stdin, output, told_w))
        _execute(request, stdin, output, told_w)
    os.close(told_w)
    os.close(end_w)
    # Closed by a successful exec.
    failed = os.read(told_r, 4)
    os.close(told_r)
    if not failed:
        _started.add(pid)
    if failed or guard is None:
        os.close(end_r)
    else:
        _ends[pid] = end_r
    if failed:
        os.waitpid(pid, 0)
        raise OSError(struct.unpack("i", failed)[0], "exec")
    return pid


def _program(pid: int) -> int:
    """Return a pidfd of the program that a guard has started; the guard's if the program has ended."""
    for child in _children(pid) if pid in _ends else ():
        with contextlib.suppress(ProcessLookupError):
            return os.pidfd_open(child)
    return os.pidfd_open(pid)


def _fork_in_namespace() -> int | None:
    """Fork a child that is the first process of a new PID namespace; None if that is not permitted here."""
    # struct clone_args (clone(2)): flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls
    arguments = (ctypes.c_uint64 * 8)(CLONE_NEWPID, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    # This process has one thread, so a copy of it may go on in Python.
    pid = int(PYTHON.syscall(SYS_CLONE3, ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments))))
    return pid if pid >= 0 else None


def _guard(end: int, told: int, execute: Callable[[], NoReturn]) -> NoReturn:
    """Start the program, reap what it leaves behind, and end when it ends: then the kernel kills the rest."""
    try:
        poll = select.poll()
        poll.register(told, select.POLLERR)
        if poll.poll(0):
            # The parent ended before this process asked to die with it.
            os._exit(1)
        program = os.fork()
        if program == 0:
            execute()
        # Nothing that the program, or the parent, waits to see closed.
        os.closerange(0, end)
        os.closerange(end + 1, 1024)
        while True:
            ended, status = os.wait()
            if ended == program:
                os.write(end, struct.pack("i", status))
                os._exit(0)
    finally:
        os._exit(1)


def _execute(request: dict[str, Any], stdin: int, output: int, told: int) -> NoReturn:
    try:
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in (*TO_ALL, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(request["cwd"])
        os.execvpe(request["argv"][0], request["argv"], request["env"])
    except OSError as error:
        os.write(told, struct.pack("i", error.errno or -1))
    finally:
        os._exit(127)


def _reap(pid: int) -> int:
    """Reap an emulator, and kill what it has started: its children lose their power as well. Return how it ended."""
    _, status = os.waitpid(pid, 0)
    if (end := _ends.pop(pid, None)) is not None:
        if said := os.read(end, 4):
            status = struct.unpack("i", said)[0]
        os.close(end)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    # Without a namespace: those in a session of their own became children of this process.
    _started.discard(pid)
    with contextlib.suppress(ChildProcessError):
        while strays := [child for child in _children(os.getpid()) if child not in _started]:
            for child in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
    return status


def _signal(pid: int, number: int) -> None:
    """Send a signal to those processes of an emulator that catch it; to its program if none does.

    A shell between would end by a signal that is meant for the firmware behind it.
    """
    programs = _programs(pid)
    tree = list(programs)
    for one in tree:
        tree += _children(one)
    for one in [one for one in tree if _catches(one, number)] or programs[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)


def _programs(pid: int) -> list[int]:
    """Return the program that a guard has started, and what it left to the guard."""
    return _children(pid) if pid in _ends else [pid]


def _catches(pid: int, number: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in text.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        # A kernel without CONFIG_PROC_CHILDREN, or the process is gone.
        return [int(one) for one in os.listdir("/proc") if one.isdecimal() and _parent(one) == pid]


def _parent(pid: str) -> int | None:
    try:
        # proc(5): number, name in parentheses (which may hold anything), state, parent.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def acknowledge_at_once() -> None:
    """Let TCP acknowledge each segment on the loopback interface when it comes.

    A firmware that sends a length and then its content has the content held back until the length is acknowledged
    (RFC 9293, section 3.7.4). That may take 40 ms: what it writes to its flash meanwhile would come before its answer.

    :raises OSError: the kernel refuses.
    """
    loopback = struct.pack("=I", socket.if_nametoindex("lo"))
    quick = _attribute(RTA_METRICS, _attribute(RTAX_QUICKACK, struct.pack("=I", 1)))
    for network, bits in (("127.0.0.0", 8), (LOOPBACK, 32)):
        # struct rtmsg (rtnetlink(7)): family, bits of the destination and of the source, tos, table, protocol, scope,
        # type, flags; RT_TABLE_LOCAL, RTPROT_KERNEL, RT_SCOPE_HOST, RTN_LOCAL, as the kernel has made them.
        route = struct.pack("=8BI", socket.AF_INET, bits, 0, 0, 255, 2, 254, 2, 0)
        route += _attribute(RTA_DST, socket.inet_aton(network)) + _attribute(RTA_OIF, loopback)
        route += _attribute(RTA_PREFSRC, socket.inet_aton(LOOPBACK)) + quick
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE) as link:
            link.send(struct.pack("=IHHII", 16 + len(route), RTM_NEWROUTE, REPLACE_AND_ANSWER, 1, 0) + route)
            (refused,) = struct.unpack("=i", link.recv(4096)[16:20])
        if refused:
            raise OSError(-refused, os.strerror(-refused))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        name = b"lo".ljust(16, b"\0")
        flags = struct.unpack("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, name + b"\0\0")[:18])[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


if __name__ == "__main__":
    main()
