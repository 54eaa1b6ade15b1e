"""When a packet of an emulator arrived, however late it is read."""

from __future__ import annotations

import os
import socket
import sys
import time

import pytest

from harness_rigs.emulator.arrival import date_packets, receive
from harness_rigs.emulator.link import VpcdLink
from harness_rigs.emulator.process import ProcessHost
from support.emulator.emulated import namespaces_permitted
from support.limits import HUNG_S

PORT = 35963
CARD = f"""
import socket, time
reader = socket.create_connection(("127.0.0.1", {PORT}))

def asked():
    size = int.from_bytes(reader.recv(2, socket.MSG_WAITALL), "big")
    return reader.recv(size, socket.MSG_WAITALL)

def answer(data):
    reader.send(len(data).to_bytes(2, "big"))
    reader.send(data)
    return time.monotonic_ns()

while True:
    command = asked()
    if command == b"\\x04":
        answer(b"atr")
    elif command == b"ask":
        sent_ns = answer(b"ok")
    elif command == b"when":
        answer(sent_ns.to_bytes(8, "big"))
"""
"""It sends a length and then its content, as many firmwares do; it is asked afterwards when it had sent both."""


def pair(kind):
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    client = socket.socket(socket.AF_INET, kind)
    client.connect(server.getsockname())
    if kind == socket.SOCK_DGRAM:
        return client, server
    with server:
        return client, server.accept()[0]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["datagram", "stream"])
def test_a_packet_arrived_while_it_was_sent(kind):
    ours, theirs = pair(kind)
    with ours, theirs:
        date_packets(theirs)
        until_s = time.monotonic() + HUNG_S
        while True:
            # The kernel begins to date packets a moment after it was asked to.
            before_us = time.monotonic_ns() // 1000
            ours.send(b"one")
            sent_us = time.monotonic_ns() // 1000
            data, arrived_us = receive(theirs, 100)
            assert data == b"one"
            if before_us <= arrived_us <= sent_us:
                return
            assert time.monotonic() < until_s, "it is dated when it is read"


def test_where_the_kernel_dates_nothing_a_packet_arrives_when_it_is_read():
    ours, theirs = pair(socket.SOCK_STREAM)
    with ours, theirs:
        ours.send(b"one")
        before_us = time.monotonic_ns() // 1000
        data, arrived_us = receive(theirs, 100)
        assert data == b"one"
        assert before_us <= arrived_us <= time.monotonic_ns() // 1000


@pytest.mark.skipif(not namespaces_permitted(), reason="no network namespace may be made here")
def test_an_answer_in_two_segments_arrives_before_what_its_firmware_does_next():
    host = ProcessHost("namespace")
    try:
        host.acknowledge_at_once()
        with host.socket("listen", PORT) as reader:
            output = os.open(os.devnull, os.O_WRONLY)
            process = host.spawn([sys.executable, "-ISc", CARD], dict(os.environ), "/", output)
            os.close(output)
            link = VpcdLink(host, process, reader)
            assert link.ready(time.monotonic() + HUNG_S)
            early = []
            # The kernel acknowledges the first segments of a connection at once in any case.
            for _ in range(60):
                link.send(b"ask")
                assert link.receive(HUNG_S) == b"ok"
                arrived_us = link.arrived_us
                link.send(b"when")
                sent_us = int.from_bytes(link.receive(HUNG_S), "big") // 1000
                early.append(arrived_us <= sent_us)
            link.close()
            process.kill()
    finally:
        host.close()
    assert all(early[-20:]), "the content was held back until its length was acknowledged"
