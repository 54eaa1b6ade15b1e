"""Lock a board for one command and its answer: several rigs may share it, in this process and in others.

The lock is flock(2) on a file in the directory of locks. A caller that has to wait sleeps in the kernel, with a limit.
"""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from typing import Self

from harness.api import InUse, file_name, open_lock_file, runtime_dir


class BoardLock:
    """Locks a board while entered.

    :param board: the same words for the same board, in every process.
    :raises InUse: another holder keeps it for longer than the limit.
    """

    def __init__(self, board: str, limit_s: float):
        self._name = file_name(board, ".turn")
        self._board, self._limit_s = board, limit_s
        self._fd = -1

    def __enter__(self) -> Self:
        self._fd = open_lock_file(runtime_dir() / self._name)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._wait()
        _TAKEN.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _TAKEN.discard(self)
        os.close(self._fd)
        self._fd = -1

    def _wait(self) -> None:
        # flock has no limit, so a thread waits. A thread that gets the lock too late closes it at once.
        fd, taken, decided = self._fd, threading.Event(), threading.Lock()
        gave_up: list[bool] = []

        def wait() -> None:
            fcntl.flock(fd, fcntl.LOCK_EX)
            with decided:
                if gave_up:
                    os.close(fd)
                else:
                    taken.set()

        threading.Thread(target=wait, name=f"lock of {self._board}", daemon=True).start()
        if taken.wait(self._limit_s):
            return
        with decided:
            if taken.is_set():
                return
            gave_up.append(True)
        self._fd = -1
        raise InUse(
            f"{self._board} is in use for longer than {self._limit_s:g} s",
            mend="another rig on the same board hangs; `keyharness rigs` shows which process has which rig",
        )


_TAKEN: weakref.WeakSet[BoardLock] = weakref.WeakSet()


def _after_fork() -> None:
    # A child that keeps the file open keeps the lock as long as it lives.
    for lock in list(_TAKEN):
        os.close(lock._fd)
        lock._fd = -1
    _TAKEN.clear()


os.register_at_fork(after_in_child=_after_fork)
