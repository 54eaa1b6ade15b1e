"""Programs that run on this host and have a hand in keys."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.context import Finding, Patient, fault, ok, warn
from harness.doctor.udev_rules import rule_files
from harness.host.usb import devices

INSTALL = "sudo keyharness doctor --install-udev-rules"


def pcscd(patient: Patient) -> Iterator[Finding]:
    """The daemon that owns card readers."""
    running = patient.processes.get("pcscd")
    if running:
        yield ok("pcscd", f"pcscd runs (process {running[0]})")
    elif any((patient.root / folder / "pcscd").exists() for folder in ("usr/sbin", "usr/bin", "sbin")):
        yield ok("pcscd", "pcscd is there and does not run (started when a client asks, or a bench needs it)")
    else:
        yield warn("pcscd", "pcscd is not there: no card side of keys", "sudo apt install pcscd")


def usbguard(patient: Patient) -> Iterator[Finding]:
    """USBGuard blocks what it does not know, a key in its bootloader for one."""
    blocked = [one for one in devices(patient.host) if _attribute(one.folder / "authorized") == "0"]
    for one in blocked:
        rig = patient.ports.get(one.port)
        make = fault if rig else warn
        yield make(
            "usbguard",
            f"{one.shown()} at {one.port} is blocked (authorized = 0)" + (f": rig {rig}" if rig else ""),
            f"usbguard allow-device id {one.ids} -p, or echo 1 into {one.folder}/authorized",
        )
    if "usbguard-daemon" in patient.processes and not blocked:
        yield warn(
            "usbguard",
            "USBGuard runs: it blocks a key that comes back under another identity, as in a bootloader",
            "allow all identities of your keys: usbguard append-rule 'allow id "
            + " id ".join(f"{vendor:04x}:{product:04x}" for vendor, product in sorted(patient.key_ids))
            + "'",
        )


def modem_manager(patient: Patient) -> Iterator[Finding]:
    """ModemManager opens every new serial port and talks to it, a bootloader's for one."""
    if "ModemManager" not in patient.processes:
        return
    told = "".join(text for _, text in rule_files(patient.root))
    if "ID_MM_DEVICE_IGNORE" in told and all(
        f'"{vendor:04x}"' in told.lower() for vendor, _ in patient.key_ids
    ):
        yield ok("modemmanager", "ModemManager runs, and is told to leave keys alone")
    else:
        yield warn(
            "modemmanager",
            "ModemManager runs: it opens the serial port of a key in its bootloader and writes to it",
            f"{INSTALL}, or sudo systemctl stop ModemManager",
        )


def scdaemon(patient: Patient) -> Iterator[Finding]:
    """GnuPG's scdaemon keeps the card of a key to itself until it ends."""
    running = patient.processes.get("scdaemon")
    if running:
        yield warn(
            "scdaemon",
            f"scdaemon runs (process {running[0]}): it may have a key's card to itself",
            "gpgconf --kill scdaemon; for good: pcsc-shared and disable-ccid in scdaemon.conf",
        )


def autosuspend(patient: Patient) -> Iterator[Finding]:
    """A key that the kernel lets sleep answers late, and its cut is measured late."""
    for one in devices(patient.host):
        ours = one.port in patient.ports or (one.vendor_id, one.product_id) in patient.key_ids
        delay = _attribute(one.folder / "power/autosuspend_delay_ms")
        if ours and _attribute(one.folder / "power/control") == "auto" and not delay.startswith("-"):
            yield warn(
                "autosuspend",
                f"{one.shown()} at {one.port} may be suspended when it is idle: what is measured is late",
                f"{INSTALL}, or echo on into {one.folder}/power/control",
            )


def _attribute(path: object) -> str:
    try:
        with open(str(path), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
