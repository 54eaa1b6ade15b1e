"""Clients of a twin that runs as a process: reports over UDP and TCP, for python-fido2."""

from __future__ import annotations

import socket

from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

from support.limits import HUNG_S


class Udp(CtapHidConnection):
    def __init__(self, listen, answer):
        self._to = ("127.0.0.1", listen)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", answer))
        self._socket.settimeout(HUNG_S)

    def read_packet(self):
        return self._socket.recv(64)

    def write_packet(self, data):
        self._socket.sendto(data, self._to)

    def close(self):
        self._socket.close()


class Tcp(CtapHidConnection):
    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HUNG_S)
        self._file = self._socket.makefile("rb")

    def read_packet(self):
        size = int.from_bytes(self._file.read(2), "big")
        data = self._file.read(size)
        if not size or len(data) != size:
            raise OSError(19, "gone")
        return data

    def write_packet(self, data):
        self._socket.sendall(len(data).to_bytes(2, "big") + data)

    def close(self):
        self._socket.close()
        self._file.close()


def device(connection):
    return CtapHidDevice(HidDescriptor("twin", 0x20A0, 0x42B2, 64, 64, "Nitrokey 3", None), connection)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
