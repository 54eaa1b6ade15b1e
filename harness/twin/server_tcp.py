"""CTAPHID reports on a TCP port that a twin listens on, for several clients at once (`ctaphid-tcp`)."""

from __future__ import annotations

import contextlib
import socket
from collections import OrderedDict

from harness.twin.frame_stream import FrameStream
from harness.twin.server_faces import APPLICATION, ServedEndpoint, Wire, bound

CLIENTS_MAX = 64
CHANNELS_MAX = 1024
"""Channels whose client is remembered; the one that was used least recently is forgotten first."""
BROADCAST = b"\xff" * 4
INIT = 0x86


class TcpFace(ServedEndpoint):
    """Each client gets the answers to its own requests, as if it had the key for itself.

    What the key sends on a channel goes to the client that used this channel last. The broadcast channel is shared: an
    answer there goes to the client whose packet the key had at hand.
    """

    endpoint = "ctaphid"

    def __init__(self, port: int, faces: tuple[str, ...] = (APPLICATION,)):
        self.faces = faces
        self._port = port
        self._listener: socket.socket | None = self._listening()
        self._streams: dict[object, FrameStream] = {}
        """By the socket of each."""
        self._users: OrderedDict[bytes, FrameStream] = OrderedDict()

    def _listening(self) -> socket.socket:
        listener = bound(socket.SOCK_STREAM, self._port)
        listener.listen(8)
        listener.setblocking(False)
        return listener

    def sockets(self) -> list[Wire]:
        return [
            *([self._listener] if self._listener is not None else []),
            *(stream.socket for stream in self._streams.values()),
        ]

    def unsent(self) -> list[Wire]:
        return [stream.socket for stream in self._streams.values() if stream.waits]

    def readable(self, sock: Wire) -> list[bytes]:
        if self._listener is not None and sock is self._listener:
            self._accept(self._listener)
            return []
        stream = self._streams.get(sock)
        if stream is None:
            # Closed since it was seen to be ready.
            return []
        frames = stream.read()
        if frames is None:
            self._drop(stream)
            return []
        for frame in frames:
            if frame[:4] != BROADCAST:
                self._note_user(frame[:4], stream)
        return frames

    def writable(self, sock: Wire) -> None:
        if sock in self._streams:
            self._streams[sock].push()

    def send(self, data: bytes, asker: object) -> None:
        channel = data[:4]
        stream = self._streams.get(asker) if channel == BROADCAST else self._users.get(channel)
        if stream is None:
            return
        if channel == BROADCAST and data[4] == INIT:
            # The answer names the channel that its client will use.
            self._note_user(data[15:19], stream)
        stream.send(data)
        if stream.is_stuck:
            self._drop(stream)

    def replugged(self) -> None:
        for stream in list(self._streams.values()):
            self._drop(stream)

    def present(self, is_there: bool) -> None:
        if not is_there:
            self.replugged()
            self.close()
        elif self._listener is None:
            self._listener = self._listening()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        # The client may be gone already.
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            if len(self._streams) < CLIENTS_MAX:
                self._streams[client] = FrameStream(client)
            else:
                client.close()

    def _note_user(self, channel: bytes, stream: FrameStream) -> None:
        self._users[channel] = stream
        self._users.move_to_end(channel)
        if len(self._users) > CHANNELS_MAX:
            self._users.popitem(last=False)

    def _drop(self, stream: FrameStream) -> None:
        del self._streams[stream.socket]
        stream.socket.close()
        self._users = OrderedDict(item for item in self._users.items() if item[1] is not stream)
