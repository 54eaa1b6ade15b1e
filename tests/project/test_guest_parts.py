"""What the virtual machine of script/lab is made of, and what is said where a part is missing; none is started."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import pytest

from support.guest import parts
from support.guest.agent import stuck
from support.guest.channel import Channel, GuestDied
from support.guest.initrd import archive, initrd, loading_order
from support.guest.machine import POWER
from support.guest.parts import MissingPart
from support.guest.plugged import interfaces
from support.guest.twins import Twins
from support.limits import HUNG_S
from support.paths import ROOT, with_support
from support.usbredir import Guest


def entries(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> (mode, content) of a cpio archive, by cpio(5)."""
    found = {}
    while True:
        assert data[:6] == b"070701"
        fields = [int(data[6 + 8 * at : 14 + 8 * at], 16) for at in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[110 : 110 + length - 1].decode()
        start = (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (mode, data[start : start + size])
        data = data[(start + size + 3) // 4 * 4 :]


def test_an_archive_has_what_was_put_into_it():
    given = [("bin", 0o40755, b""), ("init", 0o100755, b"#!"), ("m/x.ko", 0o100755, bytes(range(7)))]
    assert entries(b"".join(archive(given))) == {name: (mode, data) for name, mode, data in given}


def test_modules_come_after_those_that_they_need_and_each_once(tmp_path):
    (tmp_path / "modules.dep").write_text(
        "a/usbhid.ko: a/hid.ko a/usbcore.ko\na/hid.ko:\na/usbcore.ko: a/common.ko\na/common.ko:\n"
        "a/xhci-pci.ko: a/usbcore.ko a/common.ko\na/other.ko:\n"
    )
    order = [Path(path).stem for path in loading_order(tmp_path / "modules.dep")]
    assert order == ["common", "usbcore", "xhci-pci", "hid", "usbhid"]
    for name in order:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{name}.ko").write_bytes(name.encode())
    (tmp_path / "busybox").write_bytes(b"ELF")
    whole = entries(gzip.decompress(initrd(tmp_path, tmp_path / "busybox")))
    assert whole["m/order"][1].decode().split() == [f"{name}.ko" for name in order]
    assert whole["m/hid.ko"][1] == b"hid"
    assert whole["init"][1].startswith(b"#!/bin/busybox sh")


def test_a_kernel_is_found_behind_the_loader_and_other_bytes_are_not():
    kernel = b"\x7fELF" + bytes(1000)
    image = b"MZ" + parts.XZ + b"no stream" + lzma.compress(kernel) + bytes(50)
    assert parts.unpacked_kernel(image) == kernel
    with pytest.raises(MissingPart, match="not compressed by xz"):
        parts.unpacked_kernel(b"MZ" + lzma.compress(b"no kernel"))


def elf(*kinds: int) -> bytes:
    """An ELF program of 64 bits with program headers of these types (elf(5))."""
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(kinds)).ljust(48, b"\0")
    return head + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in kinds)


def test_a_busybox_that_needs_libraries_is_none():
    assert parts.is_dynamic(elf(6, 3, 1))
    assert not parts.is_dynamic(elf(1, 2))
    assert not parts.is_dynamic(b"#!/bin/sh")
    assert parts.is_dynamic(Path("/proc/self/exe").resolve().read_bytes()[:65536]), "Debian's Python is"


def test_sources_are_compiled_for_a_guest_that_keeps_no_bytecode_and_a_folder_that_cannot_be_written_is_no_error(
    tmp_path,
):
    for folder in ("harness/room", "tests/support"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.py").write_text("WORD = 'compiled'\n")
    (tmp_path / "tests" / "support" / "__pycache__").write_text("no folder")
    parts.compile_sources(tmp_path)
    words = [sys.executable, "-B", "-v", "-c", "import one; print(one.WORD)"]
    done = subprocess.run(
        words, cwd=tmp_path / "harness" / "room", capture_output=True, text=True, timeout=HUNG_S, check=False
    )
    assert done.stdout == "compiled\n", done.stderr
    assert re.search(r"matches .*one\.py", done.stderr), "Python reads the bytecode and compiles nothing"


PREPARED = """
case ${0##*/} in
apt-cache) echo "  Depends: $KERNEL" ;;
apt-get) : > linux-image.deb ;;
dpkg) mkdir -p "$3/boot" "$3/$MODULES/6.1.0-1-amd64"; printf "MZ" > "$3/boot/vmlinuz-6.1.0-1-amd64" ;;
busybox) exit "$DEPMOD" ;;
esac
"""


def prepared(folder: Path, **environment: str) -> str:
    """What is said about a host whose packages are these; one line, and the tests are skipped."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in ("qemu-system-x86_64", "busybox", "udevadm", "apt-cache", "apt-get", "dpkg"):
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh{PREPARED}")
        program.chmod(0o755)
    how = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT / "tests"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "MODULES": "lib/modules",
        "DEPMOD": "0",
        "KERNEL": "linux-image-6.1.0-1-amd64",
        **environment,
    }
    command = [sys.executable, "-m", "support.guest.parts"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG_S, check=False, env=how)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MODULES": "usr/lib/modules"}, "has no modules in lib/modules"),
        ({"XDG_CACHE_HOME": "/dev/null"}, "Not a directory: '/dev/null/keyharness/lab'"),
        ({"KERNEL": "initramfs-tools"}, "apt knows no package linux-image-amd64: sudo apt-get update"),
        ({}, "not compressed by xz"),
    ],
)
def test_what_cannot_be_prepared_is_said_in_a_line(tmp_path, environment, said):
    assert said in prepared(tmp_path, **environment)


def test_a_preparation_that_is_interrupted_leaves_no_half_of_a_kernel(tmp_path):
    assert "depmod" in prepared(tmp_path, DEPMOD="1")
    assert list((tmp_path / "cache" / "keyharness" / "lab").iterdir()) == []


def test_the_trace_of_qemus_hub_is_read():
    line = "usb_hub_clear_port_feature dev 2, port 3, feature power"
    found = POWER.search(line)
    assert found is not None
    assert found.groups() == ("clear", "3")
    assert POWER.search("usb_hub_set_port_feature dev 2, port 3, feature reset") is None


def test_a_key_is_plugged_in_when_each_interface_has_what_its_clients_open(tmp_path):
    key = tmp_path / "1-1.1"
    key.mkdir()
    assert interfaces("1-1.1", tmp_path) == []
    count = key / "bNumInterfaces"
    for before_its_configuration in ("\n", " 2\n"):
        count.write_text(before_its_configuration)
        assert interfaces("1-1.1", tmp_path) == []
    driver = tmp_path / "drivers" / "usbhid"
    driver.mkdir(parents=True)
    for number, kind in enumerate(("0b", "03")):
        (tmp_path / f"1-1.1:1.{number}").mkdir()
        (tmp_path / f"1-1.1:1.{number}" / "bInterfaceClass").write_text(f"{kind}\n")
    (tmp_path / "1-1.1:1.1" / "driver").symlink_to(driver)
    assert interfaces("1-1.1", tmp_path) == [], "without a node nobody opens it"
    (tmp_path / "1-1.1:1.1" / "0003:20A0:42B2.0001" / "hidraw" / "hidraw0").mkdir(parents=True)
    assert interfaces("1-1.1", tmp_path) == ["1-1.1:1.0 0b -", "1-1.1:1.1 03 usbhid"]


@contextmanager
def agent(words: list[str], folder: Path, more: str = "") -> Iterator[Callable[[], dict[str, object]]]:
    """The agent of the guest runs these words, here; yields what reads its next frame."""
    ours, theirs = socket.socketpair()
    frame = {"argv": words, "cwd": str(folder)}
    code = f"from support.guest.agent import run; run({theirs.fileno()}, {frame!r}{more})"
    with ours, theirs, ours.makefile("rb") as heard:

        def next_frame() -> dict[str, object]:
            found: dict[str, object] = json.loads(heard.read(int.from_bytes(heard.read(4), "big")))
            return found

        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, pass_fds=[theirs.fileno()], env=with_support()):
            theirs.close()
            yield next_frame


def test_what_a_command_writes_comes_whole_and_its_end_is_told(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    words = ["sh", "-c", f"printf '\\303'; read _ < {gate}; printf '\\251'; exec >&- 2>&-; exit 3"]
    with agent(words, tmp_path) as next_frame:
        frames = [next_frame()]
        gate.write_text("go on\n")
        while "code" not in frames[-1]:
            frames.append(next_frame())
    assert "".join(str(one.get("out", "")) for one in frames) == "\u00e9"
    assert frames[-1] == {"code": 3}


@pytest.mark.parametrize("silent_s", [0, 1])
def test_a_command_that_hangs_is_ended(tmp_path, silent_s):
    """It ignores nothing and waits for ever; the guest itself goes on. How far it came until then is not known."""
    os.mkfifo(tmp_path / "gate")
    with agent(["sh", "-c", "read _ < gate"], tmp_path, f", {silent_s}") as next_frame:
        frames = [next_frame()]
        while "code" not in frames[-1]:
            frames.append(next_frame())
    assert "ended, because it wrote nothing" in str(frames[0]["out"])
    assert frames[-1] == {"code": -signal.SIGABRT}


def test_where_the_processes_of_a_command_stand_is_told():
    words = ["sh", "-c", "echo begun; read _; exit"]
    with subprocess.Popen(words, stdin=PIPE, stdout=PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert f"lab: {process.pid} " in stuck(process.pid)
        assert "read _" in stuck(process.pid)
    assert stuck(process.pid) == ""


def test_a_guest_that_says_nothing_any_more_is_named_once_with_the_command_and_not_asked_again():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(ours, lambda: "console.log: the last line", limit_s=0.1)
        with pytest.raises(GuestDied, match=r"in: keyharness list\nconsole\.log: the last line"):
            channel.run(("keyharness", "list"), "/lab", lambda text: None)
        theirs.recv(4096)
        with pytest.raises(GuestDied, match="is not asked again: it ended or hung in: keyharness list"):
            channel.run(("true",), "/lab", lambda text: None)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


def test_a_host_without_qemu_is_told_what_to_install_and_nothing_is_started(tmp_path):
    command = [sys.executable, "-m", "support.guest", "--", "true"]
    environment = {
        **os.environ,
        "PATH": str(tmp_path),
        "PYTHONPATH": str(ROOT / "tests"),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=HUNG_S, check=False, env=environment
    )
    assert done.returncode == 3
    assert "apt-get install --no-install-recommends qemu-system-x86" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_keys_are_started_and_lose_their_power_by_name(tmp_path):
    twins = Twins(tmp_path / "log")
    try:
        path = tmp_path / "usb"
        options = {
            "key": "nitrokey-hsm2",
            "state": str(tmp_path / "state"),
            "usbredir": str(path),
            "speed": "max",
        }
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(2)
        for _ in range(2):
            twins.start("one", options)
            twins.start("one", options)
            sock, _ = listener.accept()
            guest = Guest(sock)
            assert guest.plugged().product == 0x4230
            twins.kill("one")
            guest.removed()
            sock.close()
        twins.kill("one")
        listener.close()
    finally:
        twins.close()
