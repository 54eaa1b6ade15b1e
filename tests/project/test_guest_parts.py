"""What the virtual machine of script/lab is made of, and what is said where a part is missing; none is started."""

from __future__ import annotations

import gzip
import lzma
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.guest import parts
from support.guest.initrd import archive, initrd, loading_order
from support.guest.machine import POWER
from support.guest.parts import MissingPart
from support.guest.twins import Twins
from support.limits import HUNG_S
from support.paths import ROOT
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


def test_the_trace_of_qemus_hub_is_read():
    line = "usb_hub_clear_port_feature dev 2, port 3, feature power"
    found = POWER.search(line)
    assert found is not None
    assert found.groups() == ("clear", "3")
    assert POWER.search("usb_hub_set_port_feature dev 2, port 3, feature reset") is None


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
