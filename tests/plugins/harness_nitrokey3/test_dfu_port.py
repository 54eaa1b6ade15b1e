"""The tap of the bootloader's port: a mark for each answer, however its bytes arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.model.tap import Mark, Tap
from harness_nitrokey3.dfu_port import DfuPort


class Port:
    """Gives what was put into it, in pieces."""

    port, serial_number, timeout = "", "", None

    def __init__(self, pieces: list[bytes]):
        self._pieces = pieces

    def read(self, size: int = 1) -> bytes:
        return self._pieces.pop(0)

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        """Nothing is open."""


frames = st.lists(st.binary(max_size=6).map(lambda body: body.replace(b"\xc0", b"\xc1")), max_size=5)


@given(frames, st.lists(st.integers(0, 30), max_size=6))
def test_each_frame_is_one_response_with_its_result(bodies: list[bytes], places: list[int]) -> None:
    stream = b"".join(body + b"\xc0" for body in bodies)
    ends = sorted({min(place, len(stream)) for place in places} | {len(stream)})
    pieces = [stream[start:end] for start, end in zip([0, *ends], ends)]
    tap = Tap(VirtualClock())
    port = DfuPort(Port(list(pieces)), tap)
    for _ in pieces:
        port.read()
    names = ["response" if number == 1 else f"response-{number}" for number in range(1, len(bodies) + 1)]
    statuses = [body[2] if len(body) > 2 else None for body in bodies]
    assert tap.marks == [Mark(name, 0, status) for name, status in zip(names, statuses)]
