"""Nodes of the bench's rigs, their boards' and their keys', that another program has open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.doctor.context import Finding, Patient
from harness.host.usb import device_at


def busy(patient: Patient) -> Iterator[Finding]:
    """Of other users' programs only root sees what they have open."""
    wanted = dict(_nodes(patient))
    if not wanted:
        return
    for name, pids in patient.processes.items():
        for pid in pids:
            if pid == os.getpid() and patient.root == Path("/"):
                continue
            for node in sorted(_open(patient.root / "proc" / str(pid) / "fd") & wanted.keys()):
                rig, board = wanted[node]
                text = f"{node} is open in {name} (process {pid})"
                if board:
                    mend = f"end it: a board takes commands from one (kill {pid})"
                    yield Finding("busy", "fault", text, mend, rig)
                else:
                    mend = f"end it: what it asks the key gets mixed with what we ask (kill {pid})"
                    yield Finding("busy", "warn", text, mend, rig)


def _nodes(patient: Patient) -> Iterator[tuple[str, tuple[str, bool]]]:
    """A node as the kernel names it -> its rig, and whether a board hangs on it."""
    bench, root = patient.bench, patient.root
    for rig in bench.rigs if bench is not None else ():
        assert bench is not None
        entry = bench.settings(rig).model_extra or {}
        for kind in ("power", "touch"):
            for path in _paths(entry.get(kind)):
                yield _named(root, root / path.lstrip("/")), (rig, True)
        usb = bench.usb_port(rig)
        there = device_at(patient.host, usb) if usb is not None else None
        for node in (*(one.node for one in there.hidraw), *there.ttys) if there is not None else ():
            yield _named(root, node), (rig, False)


def _paths(settings: Any) -> Iterator[str]:
    """What names a node in a table of the bench, and in the tables inside it."""
    if isinstance(settings, str) and settings.startswith("/dev/"):
        yield settings
    elif isinstance(settings, dict):
        for value in settings.values():
            yield from _paths(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _paths(value)


def _named(root: Path, node: Path) -> str:
    """By its own name, whatever link leads to it."""
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
