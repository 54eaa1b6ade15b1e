"""Bind the vendor's SDK to a rig: the SDK's own code runs, on the ports and the time of the rig.

Its DFU transport opens a serial port by name, lists the ports of the host, and sleeps. While `bound` is
entered it gets the rig's port, a list with the rig's key in it and the rig's time; at all other times
everything is as it was. Test keys of ours are added to the keys that it knows for as long as that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from nitrokey.nk3 import _NK3_DATA, NK3
from nitrokey.trussed._bootloader.nrf52 import SignatureKey
from nitrokey.trussed._bootloader.nrf52_upload.lister.enumerated_device import EnumeratedDevice
from nitrokey.trussed._connection.ctaphid import CtapHidConnection

import harness_fido2.client
from harness.api import KeyFault, KeyGone, Refused, Rig
from harness_nitrokey3 import sdk_log
from harness_nitrokey3.dfu_port import dfu_port
from harness_transports.client_random import ModuleProxy
from harness_transports.ctaphid import ctaphid

_TRANSPORT = "nitrokey.trussed._bootloader.nrf52_upload.dfu.dfu_transport_serial"
_SLEEPERS = (
    _TRANSPORT,
    "nitrokey.trussed._bootloader.nrf52",
    "nitrokey.trussed.updates",
    "nitrokey._helpers",
)
_rig: Rig | None = None


def open_nk3(rig: Rig) -> NK3:
    """Return the SDK's device object on the rig's CTAPHID."""
    return NK3(CtapHidConnection(ctaphid(rig)))


def fault(error: BaseException) -> KeyFault | None:
    """Return the fault of the key that an exception of the SDK tells of; None if it tells of none."""
    if type(error).__module__.startswith("nitrokey"):
        return Refused(f"the key failed in a command of the SDK: {error}", type(error).__name__)
    return harness_fido2.client.fault(error)


@contextmanager
def unwrapped() -> Iterator[None]:
    """While entered, raise the cause of an SDK error where the cause is that the key has gone.

    :raises OSError: a transport's own error, or KeyGone, where that was the cause of an error of the SDK's.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (KeyGone, OSError)):
            cause = cause.__cause__
        if cause is None or cause is error:
            raise
        raise cause from None


def _sleep(seconds: float) -> None:
    if _rig is None:
        time.sleep(seconds)
    else:
        _rig.clock.wait_us(round(seconds * 1e6))


class _Opener:
    """Stands in for pyserial's Serial in the transport."""

    def __init__(self, real: Any):
        self._real = real

    def __call__(self, *args: Any, **settings: Any) -> Any:
        if _rig is None:
            return self._real(*args, **settings)
        port = dfu_port(_rig)
        port.timeout = settings.get("timeout")
        return port


class _Lister:
    """Stands in for the SDK's list of ports: the key on the rig, and no other."""

    def __init__(self, real: Any):
        self._real = real

    def __call__(self) -> Any:
        return self._real() if _rig is None else self

    def enumerate(self) -> list[EnumeratedDevice]:
        assert _rig is not None
        face = next(face for face in _rig.key.faces if face.name == _rig.face)
        if face.name == "application":
            return []
        port = dfu_port(_rig)
        found = EnumeratedDevice(
            f"{face.vendor_id:04x}", f"{face.product_id:04x}", port.serial_number, [port.port]
        )
        return [found]

    def get_device(self, com: str | None = None) -> EnumeratedDevice | None:
        return next((one for one in self.enumerate() if com is None or one.has_com_port(com)), None)


def install() -> None:
    """Put the stand-ins into the SDK; does nothing the second time."""
    for name in _SLEEPERS:
        module: Any = import_module(name)
        if not isinstance(module.time, ModuleProxy):
            module.time = ModuleProxy(time, sleep=_sleep)
    transport: Any = import_module(_TRANSPORT)
    if not isinstance(transport.Serial, _Opener):
        transport.Serial = _Opener(transport.Serial)
        transport.DeviceLister = _Lister(transport.DeviceLister)


@contextmanager
def bound(rig: Rig, test_keys: Sequence[SignatureKey] = ()) -> Iterator[None]:
    """While entered, the SDK reaches the key on `rig`, and takes what `test_keys` sign for signed."""
    global _rig
    install()
    known = _NK3_DATA.nrf52_signature_keys
    before, _rig = _rig, rig
    _NK3_DATA.nrf52_signature_keys = [*known, *test_keys]
    try:
        with sdk_log.kept():
            yield
    finally:
        _rig = before
        _NK3_DATA.nrf52_signature_keys = known
