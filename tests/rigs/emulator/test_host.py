"""The parent process of emulators: its sockets."""

from __future__ import annotations

import socket

import pytest

from harness_rigs.emulator import host


class OwnPort(socket.socket):
    """Gets the port that it connects to as its own, as the kernel gives it now and then."""

    def connect(self, address):
        self.bind(address)
        super().connect(address)


def free_port():
    with socket.socket() as probe:
        probe.bind((host.LOOPBACK, 0))
        return probe.getsockname()[1]


def test_a_socket_that_connects_to_itself_is_no_emulator(monkeypatch):
    port = free_port()
    with OwnPort() as own:
        own.connect((host.LOOPBACK, port))
        own.send(b"INIT")
        assert own.recv(8) == b"INIT", "it would answer every INIT with the same bytes"
    monkeypatch.setattr(socket, "socket", OwnPort)
    with pytest.raises(ConnectionRefusedError):
        host._socket("connect", free_port())


def test_a_listener_is_connected_to():
    with socket.create_server((host.LOOPBACK, 0)) as server:
        ours = socket.socket(fileno=host._socket("connect", server.getsockname()[1]))
        theirs, _ = server.accept()
        with ours, theirs:
            ours.send(b"x")
            assert theirs.recv(1) == b"x"
