"""Update a simulated key with the vendor's SDK, the code that nitropy runs, without a rig of Keyharness.

    keyharness firmware make --version 1.9.0 new.zip
    keyharness twin nitrokey3-mini --state mykey --ctaphid-tcp 35962 --dfu-pty mykey.dfu --touch always
    python update_twin.py new.zip TEST_KEY 35962 mykey.dfu

TEST_KEY is the row "test key" that `keyharness firmware make` shows.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor
from nitrokey.nk3 import _NK3_DATA, NK3
from nitrokey.nk3._bootloader import NK3BootloaderNrf52
from nitrokey.trussed._base import Model
from nitrokey.trussed._bootloader.nrf52 import SignatureKey
from nitrokey.trussed._bootloader.nrf52_upload.dfu import dfu_transport_serial
from nitrokey.trussed._bootloader.nrf52_upload.lister.enumerated_device import EnumeratedDevice
from nitrokey.trussed._connection.ctaphid import CtapHidConnection as SdkConnection
from nitrokey.trussed.updates import DeviceHandler, Updater, UpdateUi

LIMIT_S = 60


def trust(test_key: str) -> None:
    """Tell the SDK of the test key: it then treats what this key signs as official. `test_key` is DER in hex."""
    keys = _NK3_DATA.nrf52_signature_keys
    _NK3_DATA.nrf52_signature_keys = [*keys, SignatureKey("Keyharness test key", True, test_key)]


class Reports(CtapHidConnection):
    """CTAPHID reports, each after its length, on a TCP port of this host."""

    def __init__(self, port: int):
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def read_packet(self) -> bytes:
        data = self._file.read(int.from_bytes(self._file.read(2), "big"))
        if not data:
            raise OSError("the key has left")
        return data

    def write_packet(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(2, "big") + data)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def application(port: int) -> NK3:
    descriptor = HidDescriptor("twin", 0x20A0, 0x42B2, 64, 64, "Nitrokey 3", None)
    return NK3(SdkConnection(CtapHidDevice(descriptor, Reports(port))))


class Port:
    """Stands in for the SDK's list of serial ports, in which a pseudo-terminal is not."""

    def get_device(self, com: str) -> EnumeratedDevice:
        return EnumeratedDevice("20a0", "42e8", "", [com])


class Twin(DeviceHandler):
    """Finds the twin again after it has changed faces."""

    def __init__(self, port: int, link: Path, uuid: int):
        self._port, self._link, self._uuid = port, link, uuid

    def await_bootloader(self, model: Model) -> NK3BootloaderNrf52:
        until(self._link.is_symlink)
        return NK3BootloaderNrf52(str(self._link), self._uuid)

    def await_device(
        self, model: Model, wait_retries: int | None, callback: Callable[[int, int], None] | None
    ) -> NK3:
        until(lambda: not self._link.is_symlink())
        return application(self._port)


def until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not is_so():
        if time.monotonic() > limit:
            raise SystemExit("the twin does not change faces")
        time.sleep(0.05)


class Answers(UpdateUi):
    """Says yes to the SDK's questions, and shows what it says."""

    def _say(self, *texts: object) -> None:
        print(*texts)

    def _fail(self, *texts: object) -> NoReturn:
        raise SystemExit(" ".join(map(str, texts)))

    error = abort = raise_warning = abort_downgrade = abort_pynitrokey_version = _fail
    show_warning = confirm_download = confirm_update = confirm_pynitrokey_version = _say
    confirm_extra_information = confirm_update_same_version = _say
    request_bootloader_confirmation = pre_bootloader_hint = _say

    @contextmanager
    def _bar(self, what: str = "") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None

    download_progress_bar = update_progress_bar = finalization_progress_bar = _bar


def main(container: str, test_key: str, tcp: str, dfu: str) -> None:
    trust(test_key)
    dfu_transport_serial.DeviceLister = Port
    device = application(int(tcp))
    uuid = device.uuid()
    assert uuid is not None
    version, _ = Updater(Answers(), Twin(int(tcp), Path(dfu), uuid.value)).update(device, container)
    print("the key runs", version)


if __name__ == "__main__":
    main(*sys.argv[1:])
