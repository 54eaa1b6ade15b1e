"""Programs on this host that open keys or block them."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.context import CheckedHost, CheckResult, fault, ok, warn
from harness.doctor.udev_rules import rule_files
from harness.host.usb import devices

CH340 = (0x1A86, 0x7523)
INSTALL = "sudo keyharness doctor --install-udev-rules"


def pcscd(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for pcscd, which owns the card readers."""
    running = checked.processes.get("pcscd")
    if running:
        yield ok("pcscd", f"pcscd runs (process {running[0]})")
    elif any((checked.root / folder / "pcscd").exists() for folder in ("usr/sbin", "usr/bin", "sbin")):
        yield ok("pcscd", "pcscd is installed and does not run (it starts when a client or a bench needs it)")
    else:
        yield warn("pcscd", "pcscd is not installed: no card side of keys", "sudo apt install pcscd")


def usbguard(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for USBGuard, which blocks unknown devices, such as a key in its bootloader."""
    blocked = [one for one in devices(checked.host) if _attribute(one.folder / "authorized") == "0"]
    for one in blocked:
        rig = checked.ports.get(one.port)
        make = fault if rig else warn
        yield make(
            "usbguard",
            f"{one.shown()} at {one.port} is blocked (authorized = 0)" + (f": rig {rig}" if rig else ""),
            f"usbguard allow-device id {one.ids} -p, or echo 1 into {one.folder}/authorized",
        )
    if "usbguard-daemon" in checked.processes and not blocked:
        yield warn(
            "usbguard",
            "USBGuard runs: it blocks a key that comes back under another identity, as in a bootloader",
            "allow all identities of your keys: usbguard append-rule 'allow id "
            + " id ".join(f"{vendor:04x}:{product:04x}" for vendor, product in sorted(checked.key_ids))
            + "'",
        )


def modem_manager(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for ModemManager, which writes to each new serial port, such as that of a bootloader."""
    if "ModemManager" not in checked.processes:
        return
    told = "".join(text for _, text in rule_files(checked.root))
    if "ID_MM_DEVICE_IGNORE" in told and all(
        f'"{vendor:04x}"' in told.lower() for vendor, _ in checked.key_ids
    ):
        yield ok("modemmanager", "ModemManager runs, and a udev rule keeps it from keys")
    else:
        yield warn(
            "modemmanager",
            "ModemManager runs: it opens the serial port of a key in its bootloader and writes to it",
            f"{INSTALL}, or sudo systemctl stop ModemManager",
        )


def brltty(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for brltty, which takes adapters with a CH340 from relay boards (before version 6.5; Ubuntu 22.04)."""
    there = "brltty" in checked.processes or (checked.root / "usr/bin/brltty").exists()
    if not there:
        return
    boards = [one for one in devices(checked.host) if (one.vendor_id, one.product_id) == CH340]
    for one in boards:
        if not one.ttys:
            yield fault(
                "brltty",
                f"{one.shown()} at {one.port} has no serial port: brltty takes it for a braille display",
                "sudo apt remove brltty, then plug the board in again",
            )
    if not boards:
        yield warn(
            "brltty",
            "brltty is installed: it may take the serial port of a relay board with a CH340 (1a86:7523)",
            "sudo apt remove brltty, if nobody here reads braille",
        )


def scdaemon(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for GnuPG's scdaemon, which holds the card of a key until it ends."""
    running = checked.processes.get("scdaemon")
    if running:
        yield warn(
            "scdaemon",
            f"scdaemon runs (process {running[0]}): it may hold the card of a key",
            "gpgconf --kill scdaemon; for good: pcsc-shared and disable-ccid in scdaemon.conf",
        )


def autosuspend(checked: CheckedHost) -> Iterator[CheckResult]:
    """Check for keys that the kernel may suspend: they answer late, and their cuts are measured late."""
    for one in devices(checked.host):
        ours = one.port in checked.ports or (one.vendor_id, one.product_id) in checked.key_ids
        delay = _attribute(one.folder / "power/autosuspend_delay_ms")
        if ours and _attribute(one.folder / "power/control") == "auto" and not delay.startswith("-"):
            yield warn(
                "autosuspend",
                f"{one.shown()} at {one.port} may be suspended when it is idle: measured times are late",
                f"{INSTALL}, or echo on into {one.folder}/power/control",
            )


def _attribute(path: object) -> str:
    try:
        with open(str(path), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
