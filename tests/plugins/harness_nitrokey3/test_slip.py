"""SLIP, against the vendor's own encoder and decoder."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from nitrokey.trussed._bootloader.nrf52_upload.dfu.dfu_transport_serial import Slip

from harness_nitrokey3.twin import slip

frames = st.binary(min_size=1, max_size=200) | st.lists(
    st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD, 0x00]), min_size=1, max_size=40
).map(bytes)


@given(frames)
def test_a_frame_is_encoded_as_the_vendors_client_does(frame: bytes) -> None:
    assert slip.encode(frame) == bytes(Slip.encode(list(frame)))


@given(frames)
def test_the_vendors_client_decodes_what_is_encoded(frame: bytes) -> None:
    state, decoded = Slip.SLIP_STATE_DECODING, []
    finished = False
    for byte in slip.encode(frame):
        finished, state, decoded = Slip.decode_add_byte(byte, decoded, state)
    assert finished
    assert bytes(decoded) == frame


@given(st.lists(frames, max_size=6), st.lists(st.integers(1, 50), min_size=1))
def test_frames_arrive_whole_however_they_are_cut_up(sent: list[bytes], sizes: list[int]) -> None:
    wire = b"".join(map(slip.encode, sent))
    decoder, got, at, turn = slip.Decoder(4096), [], 0, 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        got += decoder.feed(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert got == sent


@given(st.binary(max_size=300), frames)
def test_after_rubbish_and_an_end_the_next_frame_is_whole(rubbish: bytes, frame: bytes) -> None:
    decoder = slip.Decoder(4096)
    decoder.feed(rubbish + b"\xc0")
    assert decoder.feed(slip.encode(frame)) == [frame]


@given(st.integers(65, 200))
def test_a_frame_beyond_the_limit_is_dropped_up_to_its_end(size: int) -> None:
    decoder = slip.Decoder(64)
    assert decoder.feed(slip.encode(bytes(size)) + slip.encode(b"next")) == [b"next"]


def test_a_wrong_escape_drops_its_frame() -> None:
    assert slip.Decoder(64).feed(b"a\xdbb\xc0ok\xc0") == [b"ok"]


def test_an_escape_at_the_end_of_a_piece_belongs_to_the_next() -> None:
    decoder = slip.Decoder(64)
    assert decoder.feed(b"a\xdb") == []
    assert decoder.feed(b"\xdcb\xc0") == [b"a\xc0b"]
