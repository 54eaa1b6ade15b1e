"""The host that rigs are connected to: its device tree, its device nodes and its events.

Drivers get these here and nowhere else, so that tests can put a simulated host in their place: KEYHARNESS_HOST names
a function ("package.module:function") that returns another Host.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.base.errors import CallerError
from harness.host.network_namespace import is_deaf

VARIABLE = "KEYHARNESS_HOST"

UEVENT_PROTOCOL = 15
"""NETLINK_KOBJECT_UEVENT of linux/netlink.h."""
KERNEL_GROUP, UDEV_GROUP = 1, 2
"""The kernel's own events, and udev's, which come after the rules have set who may open the node."""
_RECEIVE_BYTES = 1 << 20

_CONTROL = struct.Struct("@BBHHHIP")
"""struct usbdevfs_ctrltransfer of linux/usbdevice_fs.h."""
USBDEVFS_CONTROL = 3 << 30 | _CONTROL.size << 16 | ord("U") << 8
_STATUS_LIMIT_MS = 500
_CONNECTED = 1
"""PORT_CONNECTION, bit 0 of a port's status."""


class Host:
    """A host, as the kernel shows it below a root folder.

    :ivar root: the folder that holds sys/, proc/ and dev/.
    """

    def __init__(self, root: Path = Path("/")):
        self.root = root

    @property
    def sys(self) -> Path:
        return self.root / "sys"

    @property
    def dev(self) -> Path:
        return self.root / "dev"

    def boot_id(self) -> str:
        """Return what names this boot of the host; "" if the kernel does not tell (random(4))."""
        try:
            return (self.root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return ""

    def usb_backend(self) -> Any:
        """Return the backend for pyusb; None means libusb."""
        return None

    def open_serial(self, node: Path, baud: int, limit_s: float) -> Any:
        """Open a serial port exclusively; return an object like pyserial's Serial.

        :param limit_s: longest time of a read or a write, in seconds.
        :raises OSError: it cannot be opened (serial.SerialException is one).
        """
        import serial

        return serial.Serial(str(node), baud, timeout=limit_s, write_timeout=limit_s, exclusive=True)

    def open_hidraw(self, node: Path) -> int:
        """Open a hidraw node: each read gives one input report, each write takes a report number and a report.

        :raises OSError: it cannot be opened.
        """
        return os.open(node, os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, fd: int, request: int, buffer: bytearray) -> int:
        """Call ioctl with a buffer that it may fill; return what it returns.

        :raises OSError: it fails.
        """
        import fcntl

        done: int = fcntl.ioctl(fd, request, buffer)
        return done

    def may_open(self, node: Path) -> bool:
        """Return whether this process may read and write a node; False until udev's rules allow it."""
        return os.access(node, os.R_OK | os.W_OK)

    def usb_answers(self, bus: int, number: int) -> bool | None:
        """Return whether a device is still on the bus (GET_STATUS: USB 2.0, section 9.4.5).

        A stall is an answer. A device that says "not now" until the limit (ETIMEDOUT) is busy, and there; one that is
        gone fails at once, as Linux' list of USB error codes says (ENODEV, EPROTO, ETIME, EILSEQ, ESHUTDOWN).

        None if this process cannot ask it.
        """
        try:
            device = self._open_usb(bus, number)
        except FileNotFoundError:
            return False
        except OSError:
            return None
        try:
            _control_in(device, 0x80, 0, 2)
        except OSError as error:
            return error.errno in (errno.EPIPE, errno.ETIMEDOUT)
        finally:
            os.close(device)
        return True

    def hub_sees_device(self, bus: int, number: int, port: int) -> bool | None:
        """Return whether a hub sees a device on its port (GET_STATUS: USB 2.0, 11.24.2.7; USB 3.2, 10.16.2.6).

        The hub knows before the kernel does: of a port that a request has switched off, the kernel is told nothing.

        :param bus: of the hub. :param number: of the hub on its bus, not of the device.
        :returns: None if this process cannot ask the hub.
        """
        try:
            device = self._open_usb(bus, number)
        except OSError:
            return None
        try:
            status = _control_in(device, 0xA3, port, 4)
        except OSError:
            return None
        finally:
            os.close(device)
        return bool(status[0] & _CONNECTED)

    def _open_usb(self, bus: int, number: int) -> int:
        return os.open(self.dev / f"bus/usb/{bus:03}/{number:03}", os.O_RDWR | os.O_CLOEXEC)

    def scard(self) -> Any:
        """Return pyscard's module of PC/SC functions, which talk to the pcscd of this host.

        :raises ImportError: pyscard, or the library that it loads, is missing.
        """
        try:
            ctypes.CDLL("libpcsclite.so.1")
        except OSError:
            raise ImportError("no libpcsclite.so.1") from None
        from smartcard import scard

        return scard

    def open_uevents(self) -> socket.socket:
        """Open a socket that receives one datagram for each device that comes or goes; see `harness.host.uevents`.

        :raises OSError: this process may not, or none would ever come.
        """
        if is_deaf():
            raise OSError(errno.ENETUNREACH, "a network namespace into which the kernel sends none")
        link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, UEVENT_PROTOCOL)
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            link.bind((0, KERNEL_GROUP | UDEV_GROUP))
        except OSError:
            link.close()
            raise
        return link

    log_commands: tuple[tuple[str, ...], ...] = (
        ("dmesg", "--follow-new"),
        ("journalctl", "--dmesg", "--follow", "--lines=0", "--output=short-monotonic"),
    )
    """Commands that print the kernel's lines as they come, for hosts where /dev/kmsg may not be read."""

    def open_kernel_log(self) -> int:
        """Open /dev/kmsg: each read gives one new record, without waiting.

        :raises OSError: it may not be read here.
        """
        log = os.open(self.dev / "kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.lseek(log, 0, os.SEEK_END)
        except OSError:
            os.close(log)
            raise
        return log


_here: Host | None = None


def here() -> Host:
    """Return the host of this process.

    :raises CallerError: KEYHARNESS_HOST names no function that returns a Host.
    """
    global _here
    if _here is None:
        _here = _make(os.environ.get(VARIABLE))
    return _here


@contextmanager
def standing_in(host: Host) -> Iterator[Host]:
    """While entered, `here` returns this host."""
    global _here
    before, _here = _here, host
    try:
        yield host
    finally:
        _here = before


def _make(name: str | None) -> Host:
    if not name:
        return Host()
    module, _, function = name.partition(":")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError, TypeError) as error:
        raise CallerError(
            VARIABLE, found=f"{name}: {error}", expected='"package.module:function" that makes a Host'
        ) from None
    assert isinstance(made, Host)
    return made


def _control_in(device: int, kind: int, index: int, size: int) -> bytes:
    """Ask a USB device for its status, or for that of one of its ports.

    :param kind: bmRequestType. :param index: wIndex. :param size: of the answer, in bytes.
    :raises OSError: it does not answer.
    """
    answer = ctypes.create_string_buffer(size)
    fcntl.ioctl(
        device,
        USBDEVFS_CONTROL,
        _CONTROL.pack(kind, 0, 0, index, size, _STATUS_LIMIT_MS, ctypes.addressof(answer)),
    )
    return answer.raw
