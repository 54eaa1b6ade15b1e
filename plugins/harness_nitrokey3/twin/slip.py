"""SLIP (RFC 1055) as the nRF52 bootloader speaks it: frames that end with 0xC0."""

from __future__ import annotations

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD


def encode(frame: bytes) -> bytes:
    """Encode a frame, with its end byte."""
    escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return escaped + b"\xc0"


class Decoder:
    """Decode frames from bytes as they arrive.

    :param limit: bytes; a longer frame is dropped up to its end, as is one with a wrong escape.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._frame = bytearray()
        self._escaped = False
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that are complete now; empty ones are dropped."""
        frames = []
        for part, ended in _split(data):
            self._take(part)
            if ended:
                if self._frame and not self._dropping and not self._escaped:
                    frames.append(bytes(self._frame))
                self._frame.clear()
                self._escaped = self._dropping = False
        return frames

    def _take(self, part: bytes) -> None:
        """Take a run of bytes without an end byte."""
        if self._escaped and part:
            part = b"\xdb" + part
            self._escaped = False
        if part.endswith(b"\xdb"):
            self._escaped = True
            part = part[:-1]
        if self._dropping or not part:
            return
        first, *rest = part.split(b"\xdb")
        self._frame += first
        for piece in rest:
            if piece[:1] == b"\xdc":
                self._frame += b"\xc0" + piece[1:]
            elif piece[:1] == b"\xdd":
                self._frame += b"\xdb" + piece[1:]
            else:
                self._dropping = True
                return
        self._dropping = len(self._frame) > self._limit


def _split(data: bytes) -> list[tuple[bytes, bool]]:
    """Split into runs between end bytes; True marks a run that an end byte follows."""
    parts = data.split(b"\xc0")
    return [(part, True) for part in parts[:-1]] + [(parts[-1], False)]
