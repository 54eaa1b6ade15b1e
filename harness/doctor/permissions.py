"""Check that this user may open the nodes of keys: the first problem with each new key."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.doctor.context import CheckedHost, CheckResult, fault, ok, warn
from harness.doctor.udev_rules import FILE, rule_files, rules
from harness.host.uevents import Watch
from harness.host.usb import devices, port_folder

INSTALL = "sudo keyharness doctor --install-udev-rules, then plug the key in again"


def hidraw(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check the nodes of all CTAPHID devices, and of bootloaders with a serial port."""
    good = 0
    for one in devices(checked.host):
        known = (one.vendor_id, one.product_id) in checked.key_ids
        nodes = [node.node for node in one.hidraw if node.fido] + (list(one.ttys) if known else [])
        for node in nodes:
            if checked.host.may_open(node):
                good += 1
                continue
            rig = checked.ports.get(one.port)
            whose = f": rig {rig}" if rig else f": {one.shown()}"
            make = fault if rig else warn
            yield make(
                "hidraw",
                f"{_shown(node, checked.root)} is not readable by you ({_mode(node)}){whose}",
                INSTALL,
            )
    if good:
        yield ok("hidraw", f"{good} node{'s' if good > 1 else ''} of keys can be opened by you")


def udev_rules(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for a udev rule for each identity of the known keys: without one only root opens a bootloader."""
    texts = {path: text.lower() for path, text in rule_files(checked.root)}
    ours = checked.root / FILE
    if ours in texts:
        if texts[ours] == rules(checked).lower():
            yield ok("udev", f"udev rules of this version are in {_shown(ours, checked.root)}")
        else:
            yield warn("udev", f"{_shown(ours, checked.root)} is of another version", INSTALL)
        return
    missing = [
        f"{vendor:04x}:{product:04x} {name}"
        for (vendor, product), name in sorted(checked.key_ids.items())
        if not any(f'"{vendor:04x}"' in text and f"{product:04x}" in text for text in texts.values())
    ]
    if missing and (checked.ports or os.geteuid() != 0):
        yield warn(
            "udev", f"no udev rule names {', '.join(missing)}: its nodes may not be readable by you", INSTALL
        )


def device_events(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check that device events reach this process: without them each wait for a key runs to its limit.

    :raises RigError: they do not.
    """
    if checked.ports:
        Watch(checked.host).close()
        yield ok("device_events", "the kernel's device events can be heard here")


def hub_ports(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check that this user may switch the hub ports of the bench's rigs."""
    for port, rig in checked.ports.items():
        if checked.bench is None or not checked.bench.wiring(rig).partition("; power ")[2].startswith("hub"):
            continue
        folder = port_folder(checked.host, port)
        file = folder / "disable" if folder else None
        if file is not None and file.exists() and not os.access(file, os.W_OK):
            yield fault(
                "hub_ports",
                f"{_shown(file, checked.root)} is not writable by you ({_mode(file)}): rig {rig}",
                "sudo keyharness doctor --install-udev-rules, be in the group plugdev, and plug the hub in again",
            )


def _shown(path: Path, root: Path) -> str:
    """The path as it is on that host."""
    return f"/{path.relative_to(root)}" if path.is_relative_to(root) else str(path)


def _mode(path: Path) -> str:
    try:
        seen = path.stat()
    except OSError:
        return "gone"
    try:
        owner = pwd.getpwuid(seen.st_uid).pw_name
    except KeyError:
        owner = str(seen.st_uid)
    return f"{stat.filemode(seen.st_mode)} {owner}"
