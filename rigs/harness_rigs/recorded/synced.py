"""Which writes to files have reached the disk by which fsync."""

from __future__ import annotations

from collections.abc import Sequence

from harness_rigs.recorded.directory_ops import FileOp, Op


def synced_at(ops: Sequence[Op], syncs: Sequence[tuple[int, str]]) -> dict[int, int]:
    """For each operation with data: how many operations were done when its file was synced; one too many if never.

    A file keeps what was written to it when it gets another name, and is synced by the name that it then has.

    :param ops: numbered from 1.
    :param syncs: (number of operations done before, path) of each fsync, in their order.
    """
    never = len(ops) + 1
    found: dict[int, int] = {}
    waiting: dict[str, list[int]] = {}
    left = iter(syncs)
    sync = next(left, None)
    for done in range(never):
        if done:
            op = ops[done - 1]
            _wait(waiting, op, done)
            if isinstance(op, FileOp) and op.carries_data:
                found[done] = never
        while sync is not None and sync[0] == done:
            found.update(dict.fromkeys(waiting.pop(sync[1], ()), done))
            sync = next(left, None)
    return found


def _wait(waiting: dict[str, list[int]], op: Op, number: int) -> None:
    """Note what an operation leaves to be synced: its own data, and a name that its file now has."""
    if not isinstance(op, FileOp):
        return
    if op.carries_data:
        waiting.setdefault(op.chip, []).append(number)
    elif op.kind == "rename":
        for name in [one for one in waiting if one == op.chip or one.startswith(f"{op.chip}/")]:
            moved = waiting.pop(name)
            waiting.setdefault(op.to + name[len(op.chip) :], []).extend(moved)
