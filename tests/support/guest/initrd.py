"""The guest's first file system: busybox, the modules that it needs, and init.sh, as a cpio archive (newc)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng", "virtio_console"),
    *("xhci_pci", "usbhid", "hid_generic", "cdc_acm", "ftdi_sio", "uhid", "usb_storage"),
)
FOLDERS = ("bin", "m", "proc", "sys", "dev", "ro", "rw", "new")


def initrd(modules: Path, busybox: Path) -> bytes:
    """The archive, compressed.

    :param modules: the folder of the kernel's modules, with its modules.dep.
    """
    order = loading_order(modules / "modules.dep")
    files = [
        ("init", Path(__file__).with_name("init.sh").read_bytes()),
        ("bin/busybox", busybox.read_bytes()),
    ]
    files += [(f"m/{Path(name).name}", (modules / name).read_bytes()) for name in order]
    files.append(("m/order", "".join(f"{Path(name).name}\n" for name in order).encode()))
    entries = [(name, 0o40755, b"") for name in FOLDERS] + [(name, 0o100755, data) for name, data in files]
    return gzip.compress(b"".join(archive(entries)), compresslevel=1, mtime=0)


def loading_order(dependencies: Path) -> list[str]:
    """Paths of the modules, each after those that it needs; modules that are built in are left out."""
    needs = {}
    for line in dependencies.read_text().splitlines():
        name, _, those = line.partition(":")
        needs[name] = those.split()
    by_name = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    order: list[str] = []

    def add(path: str) -> None:
        for needed in needs[path]:
            add(needed)
        if path not in order:
            order.append(path)

    for name in MODULES:
        if name in by_name:
            add(by_name[name])
    return order


def archive(entries: list[tuple[str, int, bytes]]) -> Iterator[bytes]:
    """Pieces of a cpio archive: (name, mode, content) of each entry."""
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        encoded = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        yield head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
