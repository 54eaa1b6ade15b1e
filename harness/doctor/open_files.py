"""Find programs that have nodes of the bench's boards or keys open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.doctor.context import CheckedHost, CheckResult
from harness.host.usb import device_at


def busy(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check all programs; only root sees the open files of other users' programs."""
    wanted = dict(_nodes(checked))
    if not wanted:
        return
    for name, pids in checked.processes.items():
        for pid in pids:
            if pid == os.getpid() and checked.root == Path("/"):
                continue
            for node in sorted(_open(checked.root / "proc" / str(pid) / "fd") & wanted.keys()):
                rig, board = wanted[node]
                text = f"{node} is open in {name} (process {pid})"
                if board:
                    mend = f"end it: only one program may use a board (kill {pid})"
                    yield CheckResult("busy", "fault", text, mend, rig)
                else:
                    mend = f"end it: its requests to the key mix with those of a run (kill {pid})"
                    yield CheckResult("busy", "warn", text, mend, rig)


def _nodes(checked: CheckedHost) -> Iterator[tuple[str, tuple[str, bool]]]:
    """(node as the kernel names it, (its rig, is it a board's?))."""
    bench, root = checked.bench, checked.root
    for rig in bench.rigs if bench is not None else ():
        assert bench is not None
        entry = bench.settings(rig).model_extra or {}
        for kind in ("power", "touch"):
            for path in _paths(entry.get(kind)):
                yield _named(root, root / path.lstrip("/")), (rig, True)
        usb = bench.usb_port(rig)
        there = device_at(checked.host, usb) if usb is not None else None
        for node in (*(one.node for one in there.hidraw), *there.ttys) if there is not None else ():
            yield _named(root, node), (rig, False)


def _paths(settings: object) -> Iterator[str]:
    """The nodes that a table of the bench names, tables inside it included."""
    if isinstance(settings, str) and settings.startswith("/dev/"):
        yield settings
    elif isinstance(settings, dict):
        for value in settings.values():
            yield from _paths(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _paths(value)


def _named(root: Path, node: Path) -> str:
    """The node's own name, not that of a link to it."""
    resolved = node.resolve()
    return (
        f"/{resolved.relative_to(root.resolve())}"
        if resolved.is_relative_to(root.resolve())
        else str(resolved)
    )


def _open(folder: Path) -> set[str]:
    try:
        links = list(folder.iterdir())
    except OSError:
        return set()
    found = set()
    for link in links:
        try:
            found.add(os.readlink(link))
        except OSError:
            continue
    return found
