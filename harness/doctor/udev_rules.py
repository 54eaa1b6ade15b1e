"""The udev rules that let users open keys, their bootloaders, relay boards and hubs: write, find and install them.

The file's number is below 73, where logind gives devices tagged `uaccess` to the user at the seat. For other logins
there is a group. Matches and keys: udev(7).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.base.atomic_file import replace_file
from harness.base.errors import RigError

if TYPE_CHECKING:
    from harness.doctor.context import CheckedHost

FILE = "etc/udev/rules.d/70-keyharness.rules"
FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d")
GROUP = "plugdev"
RELOAD = "udevadm control --reload-rules && udevadm trigger, then plug the key in again"


def rule_files(root: Path) -> Iterator[tuple[Path, str]]:
    """The rule files of a host that are in force, with their text. Of files with one name only the first counts."""
    seen: set[str] = set()
    for folder in FOLDERS:
        for file in sorted((root / folder).glob("*.rules")):
            if file.name not in seen:
                seen.add(file.name)
                try:
                    yield file, file.read_text(encoding="utf-8", errors="replace")
                except OSError:
                    continue


def has_group(root: Path) -> bool:
    try:
        text = (root / "etc/group").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith(f"{GROUP}:") for line in text.splitlines())


def rules(checked: CheckedHost) -> str:
    """The text of the rule file, for all known keys and for the boards that switch their power."""
    group = f', GROUP="{GROUP}"' if has_group(checked.root) else ""
    mine = f'MODE="0660"{group}, TAG+="uaccess"'
    lines = [
        "# Written by `keyharness doctor --install-udev-rules`; it writes it anew.",
        'ACTION=="remove", GOTO="keyharness_end"',
    ]
    for (vendor, product), name in sorted(checked.key_ids.items()):
        one, above = _matches(vendor, product)
        lines += [
            f"# {name}",
            f'SUBSYSTEM=="hidraw", {above}, {mine}',
            f'SUBSYSTEM=="tty", {above}, {mine}, ENV{{ID_MM_DEVICE_IGNORE}}="1", ENV{{ID_MM_PORT_IGNORE}}="1"',
            f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {one}, {mine}, ATTR{{power/control}}="on", '
            'ENV{ID_MM_DEVICE_IGNORE}="1"',
        ]
    for (vendor, product), name in sorted(checked.board_ids.items()):
        one, above = _matches(vendor, product)
        lines += [
            f"# {name}",
            f'SUBSYSTEM=="hidraw", {above}, {mine}',
            f'SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", {one}, {mine}',
        ]
    if group:
        # The attribute is made with the hub's interface, below which its ports are.
        files = "/sys$devpath/*-port*/disable"
        lines += [
            "# The ports of hubs, whose power the kernel switches (Linux 6.0 and later)",
            'SUBSYSTEM=="usb", DRIVER=="hub", '
            f"RUN+=\"/bin/sh -c 'chgrp -f {GROUP} {files}; chmod -f g+w {files}; true'\"",
        ]
    return "\n".join([*lines, 'LABEL="keyharness_end"']) + "\n"


def _matches(vendor: int, product: int) -> Iterator[str]:
    """The match for the device itself, and the match for what is below it."""
    for what in ("ATTR", "ATTRS"):
        yield f'{what}{{idVendor}}=="{vendor:04x}", {what}{{idProduct}}=="{product:04x}"'


def install(checked: CheckedHost) -> Path:
    """Write the rule file; returns its path.

    :raises RigError: this user may not.
    """
    path = checked.root / FILE
    try:
        replace_file(path, rules(checked), 0o644)
    except OSError as error:
        raise RigError(
            f"{path}",
            found=error.strerror,
            expected="a file that you may write",
            mend="sudo keyharness doctor --install-udev-rules",
        ) from None
    return path
