"""What a guest is made of: QEMU, Debian's kernel and busybox. Found on this host, or prepared once and kept.

The kernel's package is only unpacked, never installed: nothing of this host changes. What is prepared lies in
`$XDG_CACHE_HOME/keyharness/lab`, by the kernel's version.
"""

from __future__ import annotations

import compileall
import hashlib
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support.guest.initrd import initrd
from support.limits import HUNG_S
from support.paths import ROOT

QEMU = "qemu-system-x86_64"
PACKAGES = {QEMU: "qemu-system-x86", "busybox": "busybox-static", "udevadm": "udev"}
KERNEL = "linux-image-amd64"
XZ = b"\xfd7zXZ\0"
INTERP = 3
IMPORTED = ("harness", "plugins", "rigs", "suites", "tests/support")
"""Folders of this project that the guest imports from."""


class MissingPart(Exception):
    """Something that a guest needs is not there; says what, and the command that brings it."""


@dataclass(frozen=True)
class Parts:
    """A kernel that QEMU starts directly, and its first file system.

    :ivar folder: where both lie, and where more may be kept.
    """

    kernel: Path
    initrd: Path
    folder: Path


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keyharness" / "lab"


def missing_programs() -> list[str]:
    """The Debian packages to install."""
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    busybox = shutil.which("busybox")
    if busybox is not None and is_dynamic(Path(busybox).read_bytes()):
        # Of the package busybox: it needs libraries, of which the guest's first file system has none.
        missing.append(PACKAGES["busybox"])
    return missing


def is_dynamic(program: bytes) -> bool:
    """Whether an ELF program of 64 bits names a loader (PT_INTERP; elf(5)), and so needs libraries."""
    if program[:5] != b"\x7fELF\x02":
        return False
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = (
        int.from_bytes(program[at : at + 4], "little") for at in range(table, table + size * count, size)
    )
    return INTERP in kinds


def parts() -> Parts:
    """Find or prepare what a guest needs; takes half a minute the first time.

    :raises MissingPart: with the command that brings what is missing, or what keeps it from being prepared.
    """
    try:
        return _parts()
    except OSError as error:
        raise MissingPart(
            f"cannot be prepared: {error}; XDG_CACHE_HOME names another folder to prepare it in"
        ) from None


def _parts() -> Parts:
    packages = missing_programs()
    if packages:
        raise MissingPart(
            f"needs {', '.join(packages)}: sudo apt-get install --no-install-recommends {' '.join(packages)}"
        )
    root = _kernel_root()
    modules = _modules(root)
    kernel = root / "vmlinux"
    if not kernel.exists():
        _write(kernel, unpacked_kernel((root / "boot" / f"vmlinuz-{modules.name}").read_bytes()))
    busybox = Path(shutil.which("busybox") or "busybox")
    content = initrd(modules, busybox)
    # By its content: a change of init.sh or of busybox makes another.
    first = root / f"initrd-{hashlib.sha256(content).hexdigest()[:12]}.gz"
    if not first.exists():
        _write(first, content)
    return Parts(kernel, first, root)


def compile_sources(root: Path = ROOT) -> None:
    """Write the bytecode that is not up to date: the guest keeps none, and would take 15 s of CPU to compile all."""
    for folder in IMPORTED:
        # A folder that may not be written costs only the time.
        compileall.compile_dir(root / folder, quiet=2)


def _kernel_root() -> Path:
    """The unpacked package of Debian's kernel, fetched by apt-get if it is not there yet."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    kept = sorted(path for path in folder.iterdir() if (path / "boot").is_dir())
    if kept:
        return kept[-1]
    version = _kernel_package()
    with tempfile.TemporaryDirectory(dir=folder, prefix="new-") as scratch:
        _run("apt-get", "download", "-q", version, cwd=scratch)
        (package,) = Path(scratch).glob("*.deb")
        unpacked, target = Path(scratch, "root"), folder / version
        _run("dpkg", "-x", str(package), str(unpacked))
        # Whole or not at all: an interruption must not leave half a list of modules.
        _run("busybox", "depmod", "-b", str(unpacked), _modules(unpacked).name)
        try:
            unpacked.rename(target)
        except OSError:
            # Another process has prepared it meanwhile.
            if not (target / "boot").is_dir():
                raise
    return target


def _modules(root: Path) -> Path:
    """The folder of the kernel's modules in its unpacked package."""
    found = list(root.glob("lib/modules/*"))
    if len(found) != 1:
        raise MissingPart(f"{root} has no modules in lib/modules, as the kernel of Debian 12 has; remove it")
    return found[0]


def _kernel_package() -> str:
    """The package that the meta package of the day stands for."""
    said = _run("apt-cache", "depends", KERNEL)
    found = re.search(r"Depends: (linux-image-[0-9]\S+)", said)
    if found is None:
        raise MissingPart(f"apt knows no package {KERNEL}: sudo apt-get update, on Debian for amd64")
    return found[1]


def _run(*command: str, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=HUNG_S, check=False)
    except FileNotFoundError:
        raise MissingPart(f"there is no {command[0]}: the guest is made of Debian's packages") from None
    except subprocess.TimeoutExpired:
        raise MissingPart(f"{' '.join(command)} has not ended within {HUNG_S} s") from None
    if done.returncode:
        raise MissingPart(
            f"{' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}; try: sudo apt-get update"
        )
    return done.stdout


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)


def unpacked_kernel(image: bytes) -> bytes:
    """The ELF file inside a bzImage: QEMU starts it directly, which saves seconds of unpacking under emulation."""
    at = image.find(XZ)
    while at >= 0:
        try:
            unpacked = lzma.LZMADecompressor().decompress(image[at:])
        except lzma.LZMAError:
            unpacked = b""
        if unpacked.startswith(b"\x7fELF"):
            return unpacked
        at = image.find(XZ, at + 1)
    raise MissingPart("this kernel is not compressed by xz, as Debian's 12 is")


if __name__ == "__main__":
    try:
        parts()
    except MissingPart as error:
        sys.exit(f"tests of the virtual machine are skipped: {error}")
