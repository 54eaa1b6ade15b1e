"""NXP's bootloader as a process: it listens on a port for reports, each behind a big-endian length of two bytes.

It knows GET PROPERTY (07) of property 1, a version, and WRITE MEMORY (04), whose data become that version: they are in
a file of the folder in which it is started. Arguments: the port.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

STATE = Path("version")
FIRST = 0x4B030001


def received(stream: socket.socket, size: int) -> bytes:
    data = stream.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        raise SystemExit(0)
    return data


def report(stream: socket.socket) -> tuple[int, bytes]:
    data = received(stream, int.from_bytes(received(stream, 2), "big"))
    return data[0], data[4:]


def answer(stream: socket.socket, tag: int, *words: int) -> None:
    packet = struct.pack(f"<BBBB{len(words)}I", tag, 0, 0, len(words), *words)
    data = struct.pack("<BBH", 3, 0, len(packet)) + packet
    stream.sendall(len(data).to_bytes(2, "big") + data)


def serve(stream: socket.socket) -> None:
    while True:
        _, packet = report(stream)
        tag, _, _, count = packet[:4]
        words = struct.unpack_from(f"<{count}I", packet, 4)
        if tag == 7 and words[0] == 1:
            version = int.from_bytes(STATE.read_bytes(), "little") if STATE.exists() else FIRST
            answer(stream, 0xA7, 0, version)
        elif tag == 4:
            answer(stream, 0xA0, 0, tag)
            content = b""
            while len(content) < words[1]:
                content += report(stream)[1]
            STATE.write_bytes(content)
            answer(stream, 0xA0, 0, tag)
        else:
            answer(stream, 0xA0, 10_000, tag)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        serve(listener.accept()[0])


if __name__ == "__main__":
    main()
