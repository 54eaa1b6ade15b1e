"""The simulated Nitrokey Pro as a process: feature reports on a port, and what outlives a kill."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from harness_nitrokey_pro import reports
from harness_nitrokey_pro.reports import COMMANDS, READY, Status
from support.limits import HUNG_S
from support.pro import ADMIN

READS = 100_000
"""Most times that a report is read until the key is ready; each is answered at once."""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def served(folder):
    """A twin in a process of its own: the process, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "harness", "twin", "nitrokey-pro", "--state", str(folder / "state")]
    process = subprocess.Popen(
        [*command, "--speed", "max", "--feature-tcp", str(port)], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process, port
        finally:
            process.kill()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=HUNG_S)


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def read(sock: socket.socket) -> bytes:
    sock.sendall(frame(b""))
    with sock.makefile("rb") as stream:
        return stream.read(2 + reports.SIZE)[2:]


def ask(sock: socket.socket, name: str, **values):
    """Send a command and read until its answer is there."""
    report = reports.request(COMMANDS[name], values)
    sock.sendall(frame(report))
    for _ in range(READS):
        found = reports.read_answer(read(sock))
        if found.state == READY and found.crc == reports.crc32(report[:60]) and found.code == report[0]:
            return found
    raise AssertionError("the key was never ready")


@pytest.mark.long
def test_reports_go_over_the_port_and_what_was_acknowledged_outlives_a_kill(tmp_path):
    with served(tmp_path) as (process, port):
        with connected(port) as sock:
            assert read(sock) == bytes(reports.SIZE)
            assert ask(sock, "status").status == Status.OK
            assert ask(sock, "admin", pin=ADMIN.encode(), temporary=b"t").status == Status.OK
        # The next client finds the same boot of the same key.
        with connected(port) as sock:
            ask(sock, "otp_data", temporary=b"t", kind=ord("N"), data=b"kept")
            assert ask(sock, "write_slot", temporary=b"t", slot=0x10, counter=3).status == Status.OK
        process.kill()
        process.wait(HUNG_S)
    with served(tmp_path) as (_, port), connected(port) as sock:
        found = ask(sock, "read_slot", slot=0x10)
        assert found.status == Status.OK
        assert found.data.startswith(b"kept\0")
        # What was authorised lived in RAM.
        assert ask(sock, "erase_slot", temporary=b"t", slot=0x10).status == Status.NOT_AUTHORIZED


@pytest.mark.long
def test_a_second_client_takes_the_place_of_the_first(tmp_path):
    with served(tmp_path) as (_, port), connected(port) as first:
        assert ask(first, "status").status == Status.OK
        with connected(port) as second:
            assert ask(second, "status").status == Status.OK
            assert first.recv(1) == b""
