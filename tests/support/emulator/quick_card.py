"""A card in a virtual reader (vpcd), which has the host and port of its arguments: there milliseconds after its start.

It answers 9000 to every command.
"""

from __future__ import annotations

import socket
import sys

GET_ATR = 4
ATR = bytes.fromhex("3B8001" + "81")


def received(stream: socket.socket, size: int) -> bytes:
    data = stream.recv(size, socket.MSG_WAITALL)
    if len(data) < size:
        # The reader is gone.
        raise SystemExit(0)
    return data


def main() -> None:
    stream = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        size = int.from_bytes(received(stream, 2), "big")
        command = received(stream, size)
        # A command of one byte is a control, of which only the last is answered.
        answer = b"\x90\x00" if size > 1 else ATR if command[0] == GET_ATR else b""
        if answer:
            stream.sendall(len(answer).to_bytes(2, "big") + answer)


if __name__ == "__main__":
    main()
