"""A card's firmware: how command APDUs come apart, and a twin with one chip."""

from __future__ import annotations

import pytest

from harness.twin.card_firmware import Command, parsed_command


@pytest.mark.parametrize(
    ("apdu", "data", "le"),
    [
        ("00A40400", b"", None),
        ("00A4040000", b"", 256),
        ("00A4040010", b"", 16),
        ("00A4040002AABB", b"\xaa\xbb", None),
        ("00A4040002AABB00", b"\xaa\xbb", 256),
        ("00A4040002AABB08", b"\xaa\xbb", 8),
        ("00A40400000000", b"", 65536),
        ("00A40400000200", b"", 512),
        ("00A40400000002AABB", b"\xaa\xbb", None),
        ("00A40400000002AABB0000", b"\xaa\xbb", 65536),
        ("00A40400000002AABB0200", b"\xaa\xbb", 512),
    ],
)
def test_short_and_extended_commands_come_apart(apdu, data, le):
    assert parsed_command(bytes.fromhex(apdu)) == Command(0x00, 0xA4, 0x04, 0x00, data, le)


@pytest.mark.parametrize(
    "apdu", ["", "00A404", "00A4040003AABB", "00A4040001AABBCC", "00A404000000", "00A40400000005AA"]
)
def test_lengths_that_contradict_each_other_are_no_command(apdu):
    assert parsed_command(bytes.fromhex(apdu)) is None
