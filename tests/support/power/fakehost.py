"""A machine with boards on USB, down to its system calls: sysfs, hidraw nodes, and libusb's place in pyusb."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import usb.backend

from harness.host.host import Host
from harness_rigs.power import hidraw
from support.lab.tree import Look, Tree

VENDOR_DESCRIPTOR = bytes.fromhex("0600ff 0901 a101 0901 1500 26ff00 7508 9508 b102 c0")


class UsbThing:
    """Something on USB, as its firmware answers; a board is a subclass.

    :ivar heard: (kind, data): "set", "get" for feature reports, "out" for output reports, "control", "bulk".
    :ivar mute: it answers nothing any more.
    :ivar gone: it has left the bus.
    """

    vendor_id = product_id = 0
    product = ""
    endpoints: tuple[int, ...] = (0x01, 0x81)
    interface_class = 3

    def __init__(self):
        self.heard: list[tuple[str, bytes]] = []
        self.mute = self.gone = False
        self.changed = threading.Condition()
        self.dies_on: bytes | None = None
        self.denied = False
        self._answers: list[bytes] = []

    # What the firmware does.

    def set_feature(self, data: bytes) -> None:
        raise NotImplementedError

    def get_feature(self) -> bytes:
        raise NotImplementedError

    def report(self, data: bytes) -> bytes | None:
        """An output report came: what it answers."""
        raise NotImplementedError

    def control(self, kind: int, request: int, value: int, index: int, data: bytes | int) -> bytes:
        """A control transfer by pyusb."""
        if (kind, request, value) == (0x20, 9, 0x0300):
            self.take("set", bytes(data))
            self.set_feature(bytes(data))
            return b""
        if (kind, request, value) == (0xA0, 1, 0x0300):
            self.take("get", b"")
            return self.get_feature()[:data]
        raise stall()

    def bulk(self, data: bytes) -> None:
        self.take("out", data)
        answer = self.report(data)
        if answer is not None and not self.mute:
            self._answers.append(answer)

    # What the bus does.

    def is_hearing(self, kind: str, data: bytes) -> bool:
        """Wait until the last thing that it heard is this, and it has done it."""
        with self.changed:
            return self.changed.wait_for(lambda: self.heard[-1:] == [(kind, data)], 5)

    def take(self, kind: str, data: bytes) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        self.heard.append((kind, data))
        if self.dies_on is not None and self.dies_on in data:
            self.gone = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def pop_answer(self) -> bytes:
        if not self._answers:
            raise usb_error(errno.ETIMEDOUT)
        return self._answers.pop(0)


class FakeHost(Host):
    """A machine in a folder."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        super().__init__(root)
        root.mkdir()
        self.tree = Tree(root)
        self.things: dict[str, UsbThing] = {}
        self._nodes: dict[str, UsbThing] = {}
        self._shown = {}
        self._open: dict[int, UsbThing] = {}
        self.backend = FakeBackend(self)
        self.libusb = True
        monkeypatch.setattr(hidraw.fcntl, "ioctl", self._ioctl)
        monkeypatch.setattr("usb.backend.libusb1.get_backend", lambda: None)
        monkeypatch.setattr("usb.backend.libusb0.get_backend", lambda: None)
        monkeypatch.setattr("usb.backend.openusb.get_backend", lambda: None)

    def usb_backend(self):
        return self.backend if self.libusb else None

    def plug(self, port: str, thing: UsbThing, serial: str | None = None, *, hidraw: bool = True) -> UsbThing:
        hid = (VENDOR_DESCRIPTOR,) if hidraw else ()
        look = Look(thing.vendor_id, thing.product_id, thing.product, serial, hid=hid)
        hub = port.rpartition(".")[0] or "usb" + port.partition("-")[0]
        self.tree.hub(hub, 4, switchable=False)
        self._shown[port] = shown = self.tree.show(port, look)
        self.things[port] = thing
        for node in shown.nodes:
            self._nodes[node] = thing
        return thing

    def unplug(self, port: str) -> UsbThing:
        self.tree.hide(self._shown.pop(port))
        thing = self.things.pop(port)
        thing.gone = True
        return thing

    def open_hidraw(self, node: Path) -> int:
        thing = self._nodes[node.name]
        if thing.gone or not node.exists():
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if thing.denied:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=self._serve, args=(theirs, thing), daemon=True).start()
        fd = ours.detach()
        self._open[fd] = thing
        return fd

    def _serve(self, link: socket.socket, thing: UsbThing) -> None:
        """A node: reports come with their number; what the shim of the cutter says is an ioctl."""
        # Whoever closes without reading the last answer resets the link.
        with link, contextlib.suppress(OSError):
            while data := link.recv(4096):
                with thing.changed:
                    answer = self._heard(thing, data)
                    thing.changed.notify_all()
                if answer is not None and not thing.mute:
                    link.send(answer)

    @staticmethod
    def _heard(thing: UsbThing, data: bytes) -> bytes | None:
        if data.startswith(b"ioctl:"):
            request, report = int.from_bytes(data[6:14], "little"), data[14:]
            assert request == 0xC0094806, f"{request:x}: not HIDIOCSFEATURE(9)"
            thing.take("set", report[1:])
            thing.set_feature(report[1:])
            return None
        assert data[0] == 0, "the report's number is missing"
        thing.take("out", data[1:])
        return thing.report(data[1:])

    def _ioctl(self, fd: int, request: int, report):
        thing, size = self._open[fd], request >> 16 & 0x3FFF
        assert len(report) == size
        if request & 0xFFFF == 0x4806:
            assert report[0] == 0
            thing.take("set", bytes(report[1:]))
            thing.set_feature(bytes(report[1:]))
        else:
            assert request & 0xFFFF == 0x4807
            thing.take("get", b"")
            answer = thing.get_feature()
            report[1 : 1 + len(answer)] = answer
        return size


def usb_error(number: int) -> OSError:
    import usb.core

    return usb.core.USBError(os.strerror(number), None, number)


def stall() -> OSError:
    return usb_error(errno.EPIPE)


class FakeBackend(usb.backend.IBackend):
    """What libusb does, for the things of a host."""

    def __init__(self, host: FakeHost):
        self._host = host
        self.claimed: list[object] = []

    def enumerate_devices(self):
        return list(self._host.things)

    def get_device_descriptor(self, port):
        thing = self._host.things[port]
        folder = self._host.sys / "bus/usb/devices" / port
        return SimpleNamespace(
            bLength=18,
            bDescriptorType=1,
            bcdUSB=0x200,
            bDeviceClass=0,
            bDeviceSubClass=0,
            bDeviceProtocol=0,
            bMaxPacketSize0=64,
            idVendor=thing.vendor_id,
            idProduct=thing.product_id,
            bcdDevice=0x100,
            iManufacturer=0,
            iProduct=0,
            iSerialNumber=0,
            bNumConfigurations=1,
            address=int((folder / "devnum").read_text()),
            bus=int((folder / "busnum").read_text()),
            port_number=1,
            port_numbers=(1,),
            speed=2,
        )

    def get_configuration_descriptor(self, port, config):
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=2,
            wTotalLength=32,
            bNumInterfaces=1,
            bConfigurationValue=1,
            iConfiguration=0,
            bmAttributes=0x80,
            bMaxPower=50,
            extra_descriptors=b"",
        )

    def get_interface_descriptor(self, port, interface, alternate, config):
        if interface or alternate:
            raise IndexError
        thing = self._host.things[port]
        return SimpleNamespace(
            bLength=9,
            bDescriptorType=4,
            bInterfaceNumber=0,
            bAlternateSetting=0,
            bNumEndpoints=len(thing.endpoints),
            bInterfaceClass=thing.interface_class,
            bInterfaceSubClass=0,
            bInterfaceProtocol=0,
            iInterface=0,
            extra_descriptors=b"",
        )

    def get_endpoint_descriptor(self, port, endpoint, interface, alternate, config):
        thing = self._host.things[port]
        return SimpleNamespace(
            bLength=7,
            bDescriptorType=5,
            bEndpointAddress=thing.endpoints[endpoint],
            bmAttributes=3,
            wMaxPacketSize=64,
            bInterval=1,
            bRefresh=0,
            bSynchAddress=0,
            extra_descriptors=b"",
        )

    def open_device(self, port):
        if self._host.things[port].denied:
            raise usb_error(errno.EACCES)
        return port

    def close_device(self, handle):
        pass

    def set_configuration(self, handle, value):
        pass

    def get_configuration(self, handle):
        return 1

    def claim_interface(self, handle, interface):
        self.claimed.append(handle)

    def release_interface(self, handle, interface):
        pass

    def is_kernel_driver_active(self, handle, interface):
        return False

    def intr_write(self, handle, endpoint, interface, data, timeout):
        return self.bulk_write(handle, endpoint, interface, data, timeout)

    def intr_read(self, handle, endpoint, interface, buffer, timeout):
        answer = self._thing(handle).pop_answer()
        buffer[: len(answer)] = type(buffer)("B", answer)
        return len(answer)

    def bulk_write(self, handle, endpoint, interface, data, timeout):
        assert not endpoint & 0x80
        self._spoken(lambda: self._thing(handle).bulk(bytes(data)))
        return len(data)

    def ctrl_transfer(self, handle, kind, request, value, index, data, timeout):
        thing = self._thing(handle)
        if not kind & 0x80:
            self._spoken(lambda: thing.control(kind, request, value, index, bytes(data)))
            return len(data)
        answer = self._spoken(lambda: thing.control(kind, request, value, index, len(data)))
        if thing.mute:
            raise usb_error(errno.ETIMEDOUT)
        data[: len(answer)] = type(data)("B", answer)
        return len(answer)

    def _thing(self, handle):
        return self._host.things[handle]

    @staticmethod
    def _spoken(speak):
        import usb.core

        try:
            return speak()
        except usb.core.USBError:
            raise
        except OSError as error:
            raise usb_error(error.errno) from None


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
/* An ioctl of hidraw or usbfs becomes a message to whoever holds the other end of the descriptor. */
int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list rest;
    va_start(rest, request);
    void *data = va_arg(rest, void *);
    va_end(rest);
    unsigned type = request >> 8 & 0xff, size = request >> 16 & 0x3fff;
    if (type == 'H' || type == 'U') {
        char message[6 + 8 + 0x4000];
        unsigned long long number = request & 0xffffffff;
        memcpy(message, "ioctl:", 6);
        memcpy(message + 6, &number, 8);
        memcpy(message + 14, data, size);
        return write(fd, message, 14 + size) < 0 ? -1 : 0;
    }
    if (!real) real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, data);
}
"""


def build_shim(folder: Path) -> Path:
    """A library that shows what ioctls a process makes.

    :raises OSError: there is no C compiler.
    :raises subprocess.CalledProcessError: it does not compile.
    """
    source, library = folder / "shim.c", folder / "shim.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True, capture_output=True)
    return library
