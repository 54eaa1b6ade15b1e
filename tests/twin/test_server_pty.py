"""`keyharness twin --dfu-pty`: the bootloader's serial port as other programs see it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from nitrokey.nk3 import NK3
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_transport_serial
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection
from nitrokey.trussed.admin_app import BootMode

from harness.base.seeds import child
from harness_nitrokey3 import images
from harness_nitrokey3.images import Recipe
from support.limits import HUNG_S

SEED = child(1, "twin", "nitrokey3-mini")


class Tcp(CtapHidConnection):
    """Reports behind a length."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HUNG_S)
        self._file = self._socket.makefile("rb")

    def read_packet(self) -> bytes:
        data = self._file.read(int.from_bytes(self._file.read(2), "big"))
        if not data:
            raise OSError(19, "gone")
        return data

    def write_packet(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(2, "big") + data)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Twin:
    """A twin in a process of its own."""

    def __init__(self, folder: Path, *more: str):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.link = folder / "dfu"
        command = [
            sys.executable,
            "-m",
            "harness",
            "twin",
            "nitrokey3-mini",
            "--state",
            str(folder / "state"),
        ]
        command += ["--ctaphid-tcp", str(self.port), "--dfu-pty", str(self.link), "--touch", "always", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()

    def nk3(self) -> NK3:
        descriptor = HidDescriptor("twin", 0x20A0, 0x42B2, 64, 64, "Nitrokey 3", None)
        return NK3(SdkConnection(CtapHidDevice(descriptor, Tcp(self.port))))

    def wait_for(self, line: str) -> None:
        """Read what the process says until it says this."""
        assert self.process.stderr is not None
        for said in self.process.stderr:
            if line in said:
                return
        pytest.fail(f"the twin ended without saying {line!r}")

    def enter_bootloader(self) -> None:
        self.nk3().admin.reboot(BootMode.BOOTROM)
        self.wait_for("the firmware rebooted")
        assert self.link.is_symlink()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def _flash(link: Path, version: str, pages: int | None = None) -> None:
    """The vendor's transport, unmodified but for its list of ports, on the pseudo-terminal."""
    image = images.make(Recipe(version), SEED)
    transport = dfu_transport_serial.DfuTransportSerial(os.fspath(link), timeout=0)
    transport.do_ping = False
    transport.open()
    transport.send_init_packet(image.dat)
    transport.send_firmware(image.bin if pages is None else image.bin[: pages * 4096])
    transport.close()


def test_the_application_gives_way_to_the_bootloader_and_comes_back_newer(tmp_path: Path) -> None:
    twin = Twin(tmp_path, "--speed", "max")
    try:
        assert not twin.link.exists()
        assert str(twin.nk3().admin.version()) == "v1.8.3"
        twin.enter_bootloader()
        _flash(twin.link, "1.9.0")
        twin.wait_for("the firmware rebooted")
        assert not twin.link.is_symlink()
        assert str(twin.nk3().admin.version()) == "v1.9.0"
    finally:
        twin.end()


def test_a_killed_process_is_a_cut_and_the_next_one_stands_in_its_bootloader(tmp_path: Path) -> None:
    twin = Twin(tmp_path, "--speed", "max")
    try:
        twin.enter_bootloader()
        _flash(twin.link, "1.9.0", pages=3)
    finally:
        twin.end()
    twin = Twin(tmp_path, "--speed", "max")
    try:
        assert twin.link.is_symlink()
        _flash(twin.link, "1.9.0")
        twin.wait_for("the firmware rebooted")
        assert str(twin.nk3().admin.version()) == "v1.9.0"
    finally:
        twin.end()


def test_a_link_that_is_a_file_is_the_callers_mistake(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "dfu").write_text("mine")
    done = cli("twin", "nitrokey3-mini", "--state", tmp_path / "state", "--dfu-pty", tmp_path / "dfu")
    assert done.returncode == 4
    assert "a path for a link" in done.stderr
    assert (tmp_path / "dfu").read_text() == "mine"
