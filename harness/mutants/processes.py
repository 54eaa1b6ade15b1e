"""Run trials side by side, each in a forked process with limits of its processor time and its memory, and collect what
they tell.

The process that forks has imported everything but the plugins, so that a trial begins quickly and loads each of the
key's modules anew. The limit counts processor time, because a busy host must not change what is found.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.base.signals import end_with
from harness.mutants.trial import Tell

_WALL = 10
"""A trial may take this number of times its limit by the clock on the wall; then it waits for something."""
MEMORY = 2 << 30
"""Bytes of data that each process of a trial may have. A mutant that takes memory without end halts at this limit, as a
firmware does whose heap is full; without one the kernel ends any process of the host."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Told:
    """What a trial has told.

    :ivar ended: "" if it came to its end, else why it did not.
    """

    entries: dict[str, Any] = field(default_factory=dict)
    ended: str = ""
    cpu_s: float = 0.0


@dataclass
class _Child:
    pid: int
    pipe: int
    started: float
    told: Told
    rest: bytes = b""


def run_side_by_side(
    jobs: Iterator[tuple[int, Callable[[Tell], None]]],
    processes: int,
    limit_s: float,
    log: Path,
) -> Iterator[tuple[int, Told]]:
    """Run jobs, each in a process of its own; yield (number, what it told) as they end.

    :param jobs: (number, work); taken one at a time, when there is room.
    :param log: where the processes write what they print.
    """
    children: dict[int, _Child] = {}
    more = True
    try:
        while True:
            while more and len(children) < processes:
                job = next(jobs, None)
                if job is None:
                    more = False
                else:
                    children[job[0]] = _start(job[1], log)
            if not children:
                return
            for number in _ended(children, limit_s):
                yield number, children.pop(number).told
    finally:
        for child in children.values():
            _end(child)


def _start(work: Callable[[Tell], None], log: Path) -> _Child:
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            # A group of its own: its workers end with it.
            os.setpgid(0, 0)
            end_with(parent, signal.SIGKILL)
            _print_to(log)
            _limit_memory()
            work(lambda **entries: _write(write, entries))
            code = 0
        except BaseException:
            _write(write, {"error": traceback.format_exc(limit=-3)})
        finally:
            os._exit(code)
    os.close(write)
    # The child makes its group, too: whichever process is first, the group is there for `_end`.
    with suppress(PermissionError, ProcessLookupError):
        os.setpgid(pid, pid)
    return _Child(pid, read, time.monotonic(), Told())


def _limit_memory() -> None:
    """Set the limit of this process and of those that it starts; never above what the host allows."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _print_to(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _write(pipe: int, entries: dict[str, Any]) -> None:
    data = (json.dumps(entries) + "\n").encode()
    while data:
        data = data[os.write(pipe, data) :]


def _ended(children: dict[int, _Child], limit_s: float) -> list[int]:
    """Wait until something is told or a limit may be reached; return the numbers of those that have ended."""
    used = {number: _cpu_s(child.pid) for number, child in children.items()}
    least = min(limit_s - one for one in used.values())
    ready, _, _ = select.select(
        [child.pipe for child in children.values()], [], [], min(10.0, max(0.2, least))
    )
    done = []
    for number, child in children.items():
        if child.pipe in ready and not _take(child):
            child.told.cpu_s = used[number]
            if (code := _end(child)) and "error" not in child.told.entries:
                child.told.ended = (
                    f"signal {-code} ended it" if code < 0 else f"it ended with exit code {code}"
                )
            done.append(number)
        elif _cpu_s(child.pid) >= limit_s or time.monotonic() - child.started > _WALL * limit_s:
            child.told.ended = f"{limit_s:.0f} s of processor time were over"
            child.told.cpu_s = limit_s
            _end(child)
            done.append(number)
    return done


def _take(child: _Child) -> bool:
    """Read what a trial has told; False at the end of its pipe."""
    data = os.read(child.pipe, 65536)
    *lines, child.rest = (child.rest + data).split(b"\n")
    for line in lines:
        child.told.entries |= json.loads(line)
    return bool(data)


def _end(child: _Child) -> int:
    """End a trial, and return its exit code, or a negative signal: its own if it had ended."""
    os.close(child.pipe)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])


def _cpu_s(group: int) -> float:
    """Processor time that a group of processes has used, with the children that have ended."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # A process may have any bytes as its name.
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS
