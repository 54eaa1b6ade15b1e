"""Run work in processes that may die: a twin's file system is C code with asserts, and a torn state can hang it.

Workers are forked, so they see what was prepared before; only indices and results cross. A worker that dies
or exceeds the limit costs the item that it was at, which is reported with the way it died; the others go on.
A hang may be the host's doing (it was put to sleep), so it has to happen twice. A worker that somebody else ended
(SIGTERM, SIGKILL, SIGQUIT ...) says nothing of its item: the item is worked on again.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import pickle
import select
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.base import signals
from harness.base.errors import HarnessFault, KeyharnessError, RigError
from harness.base.signals import end_with

T = TypeVar("T")

CHUNK = 8
HUNG = "hung"
OWN_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
"""Signals by which the kernel ends a process for what the process did itself. Every other signal was sent to it."""
GARBAGE = 20_000
"""Number of new objects after which a worker looks for garbage. An item makes as many, few of them in cycles."""
TRIES = 3
"""How often an item is worked on whose worker was ended from outside."""


@dataclass(frozen=True)
class Died:
    """How a worker died, in place of a result."""

    how: str


@dataclass
class _Worker:
    pid: int
    tasks: int
    results: int
    current: list[int]
    deadline: float


class WorkerPool(Generic[T]):
    """Runs `work(index)` for many indices in `processes` forked workers.

    :param limit_s: how long one item may take.
    """

    def __init__(self, work: Callable[[int], T], processes: int, limit_s: float = 30.0):
        self._work = work
        self._processes = max(1, processes)
        self._limit_s = limit_s
        self._workers: list[_Worker] = []
        self._again: set[int] = set()
        self._ended: Counter[int] = Counter()

    def run(self, count: int, on_result: Callable[[int, T | Died], None]) -> None:
        """Work through 0 .. count-1; `on_result` is called in the caller's process, in order of arrival.

        A KeyboardInterrupt in the caller ends the workers and goes on to the caller.
        """
        waiting = list(range(count))[::-1]
        left = count
        try:
            while left:
                signals.check()
                while len(self._workers) < min(self._processes, left) and waiting:
                    self._spawn()
                for worker in self._workers:
                    if not worker.current and waiting:
                        self._feed(worker, waiting)
                left -= self._collect(waiting, on_result)
        finally:
            self._stop()

    def _spawn(self) -> None:
        task_r, task_w = os.pipe()
        result_r, result_w = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                # A worker that hangs in C code would outlive a killed parent, with all its open files.
                end_with(parent, signal.SIGKILL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                # What a crashing firmware prints is no message for the user; how it died is reported.
                faulthandler.disable()
                # What a worker logs is lost with it, and clients log every packet.
                logging.disable(logging.CRITICAL)
                # What was there before is needed to the end: looking through it for garbage only copies its pages.
                gc.freeze()
                gc.set_threshold(GARBAGE)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                os.close(task_w)
                os.close(result_r)
                for other in self._workers:
                    os.close(other.tasks)
                    os.close(other.results)
                self._serve(task_r, result_w)
            except BaseException:
                os._exit(70)
            os._exit(0)
        os.close(task_r)
        os.close(result_w)
        self._workers.append(_Worker(pid, task_w, result_r, [], float("inf")))

    def _serve(self, tasks: int, results: int) -> None:
        while raw := _read_exactly(tasks, 4):
            (size,) = struct.unpack(">I", raw)
            for index in pickle.loads(_read_exactly(tasks, size)):
                try:
                    answer: object = (index, True, self._work(index))
                except KeyharnessError as error:
                    answer = (index, False, error)
                except Exception as error:
                    # Not every library's errors can be pickled: hand on their text.
                    fault = HarnessFault("a worker failed", found=f"{type(error).__name__}: {error}")
                    answer = (index, False, fault)
                body = pickle.dumps(answer)
                _write_all(results, struct.pack(">I", len(body)) + body)

    def _feed(self, worker: _Worker, waiting: list[int]) -> None:
        chunk = [waiting.pop() for _ in range(min(CHUNK, max(1, len(waiting) // (2 * self._processes))))]
        body = pickle.dumps(chunk)
        worker.current = chunk
        worker.deadline = time.monotonic() + self._limit_s
        _write_all(worker.tasks, struct.pack(">I", len(body)) + body)

    def _collect(self, waiting: list[int], on_result: Callable[[int, T | Died], None]) -> int:
        """Wait for the next results; returns the number of items that are finished."""
        now = time.monotonic()
        soonest = min((worker.deadline for worker in self._workers), default=now)
        ready, _, _ = select.select(
            [w.results for w in self._workers], [], [], max(0.0, min(soonest - now, 60))
        )
        done = 0
        for worker in list(self._workers):
            if worker.results in ready:
                done += self._take(worker, waiting, on_result)
            elif worker.current and time.monotonic() >= worker.deadline:
                os.kill(worker.pid, signal.SIGKILL)
                done += self._bury(worker, waiting, on_result, f"{HUNG} for {self._limit_s:.0f} s")
        return done

    def _take(self, worker: _Worker, waiting: list[int], on_result: Callable[[int, T | Died], None]) -> int:
        head = _read_exactly(worker.results, 4)
        body = _read_exactly(worker.results, struct.unpack(">I", head)[0]) if head else b""
        if not body:
            return self._bury(worker, waiting, on_result, None)
        index, good, value = pickle.loads(body)
        worker.current.remove(index)
        worker.deadline = time.monotonic() + self._limit_s if worker.current else float("inf")
        if not good:
            raise value
        on_result(index, value)
        return 1

    def _bury(
        self, worker: _Worker, waiting: list[int], on_result: Callable[[int, T | Died], None], how: str | None
    ) -> int:
        self._workers.remove(worker)
        os.close(worker.tasks)
        os.close(worker.results)
        _, status = os.waitpid(worker.pid, 0)
        sent: signal.Signals | None = None
        if how is None:
            if os.WIFSIGNALED(status):
                number = signal.Signals(os.WTERMSIG(status))
                how = f"died of {number.name}"
                sent = None if number in OWN_FAULTS else number
            else:
                how = f"exited with {os.WEXITSTATUS(status)}"
        if not worker.current:
            return 0
        # Results arrive in order, so the first one outstanding is the one it was at.
        victim, *rest = worker.current
        waiting.extend(reversed(rest))
        if sent is not None:
            self._refuse_too_many(victim, sent)
            waiting.append(victim)
            return 0
        if how.startswith(HUNG) and victim not in self._again:
            self._again.add(victim)
            waiting.append(victim)
            return 0
        on_result(victim, Died(how))
        return 1

    def _refuse_too_many(self, victim: int, sent: signal.Signals) -> None:
        """Count the workers that were ended at an item.

        :raises RigError: they are too many: this host lets no worker come to its end.
        """
        self._ended[victim] += 1
        if self._ended[victim] == TRIES:
            raise RigError(
                f"this host ended a worker process {TRIES} times",
                found=f"{sent.name}, which nothing in the worker raises",
                expected="workers that run to their end",
                mend="look for a memory limit (earlyoom, systemd-oomd, ulimit), then take the run up again",
            )

    def _stop(self) -> None:
        for worker in self._workers:
            os.close(worker.tasks)
            os.close(worker.results)
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        self._workers.clear()


def _read_exactly(fd: int, size: int) -> bytes:
    """`size` bytes, or b"" at the end of the stream."""
    got = b""
    while len(got) < size:
        part = os.read(fd, size - len(got))
        if not part:
            return b""
        got += part
    return got


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError:
        # The worker has died; `_collect` reports it.
        return
