"""Elementary files: blocks, offsets, rights, and a card that is full."""

from __future__ import annotations

import pytest

from harness.api import NOT_OFFERED, NoRoom, Refused
from harness_cards.tlv import tlv
from harness_schsm import description
from harness_schsm.client import DATA, EC_SHA256, KEY, OF_THE_DEVICE, TOKEN_INFO, ScHsm
from harness_suites.schsm.second import FORBIDDEN, NOT_FOUND, NOT_LOGGED_IN, WRONG_DATA, refused

FILE = 0xCF09
LONG = bytes(range(256)) * 16


def read_at(hsm: ScHsm, at: int, le: int) -> tuple[bytes, int]:
    return hsm.exchange(0xB1, 0, 0, tlv(0x54, at.to_bytes(2, "big")), le=le)


def fill(hsm: ScHsm) -> None:
    """Write files until the card refuses one."""
    for number in range(0x10, 0xFF):
        hsm.update(0xCF00 | number, LONG[:2000])
    pytest.skip(f"{NOT_OFFERED}: 239 files of 2000 bytes do not fill this card")


@pytest.mark.parametrize("block", [64, 248, 1024, 2048])
@pytest.mark.parametrize("size", [1, 247, 1024, 1025, 2304, 4000])
def test_what_was_written_in_blocks_is_read_back(user, size, block):
    user.update(FILE, LONG[:size], block=block)
    assert user.size_of(FILE) == size
    assert user.read(FILE) == LONG[:size]


@pytest.mark.parametrize(
    "at, le, found", [(0, 10, 10), (95, 5, 5), (0, 100, 100), (50, 256, 50), (100, 256, 0)]
)
def test_a_part_of_a_file_is_read_from_its_offset(user, at, le, found):
    user.update(FILE, LONG[:100])
    user.size_of(FILE)
    part, status = read_at(user, at, le)
    assert part == LONG[at : at + found]
    assert status in (0x9000, 0x6282)


def test_the_end_of_a_file_is_told_by_fewer_bytes(user):
    """With 6282, or with 9000: clients keep the data of both."""
    user.update(FILE, LONG[:100])
    user.size_of(FILE)
    part, status = read_at(user, 90, 20)
    assert part == LONG[90:100]
    assert status in (0x6282, 0x9000)


def test_an_offset_beyond_the_end_is_refused(user):
    user.update(FILE, LONG[:100])
    user.size_of(FILE)
    part, status = read_at(user, 101, 10)
    assert part == b""
    assert status in (0x6B00, 0x6A86, 0x6282)
    with refused({"6B00", "6A86", "6A80"}):
        user.update_block(FILE, 200, b"x")
    assert user.read(FILE) == LONG[:100]


def test_an_empty_file_can_be_made(user):
    user.update(FILE, b"")
    assert FILE in user.objects()
    assert user.size_of(FILE) == 0


def test_a_shorter_content_replaces_a_longer_one(user):
    user.update(FILE, LONG[:500])
    user.update(FILE, LONG[:20])
    assert user.read(FILE) == LONG[:20]


def test_a_block_can_be_replaced_in_the_middle(user):
    user.update(FILE, LONG[:100])
    user.update_block(FILE, 40, b"\xee" * 10)
    assert user.read(FILE) == LONG[:40] + b"\xee" * 10 + LONG[50:100]


@pytest.mark.parametrize("fid", [0xC409, 0xC809, 0xC909, 0xCA09, 0xCD09, 0xCE09, 0xCF09], ids="{:04X}".format)
def test_every_kind_of_file_can_be_written_and_deleted(user, fid):
    before = user.objects()
    user.update(fid, b"content")
    assert user.read(fid) == b"content"
    assert user.objects() == sorted([*before, fid])
    user.delete(fid)
    with refused(NOT_FOUND):
        user.size_of(fid)
    assert user.objects() == before


@pytest.mark.parametrize("fid", [0xC809, 0xC909, 0xCA09, 0xCD09, 0xCF09], ids="{:04X}".format)
def test_data_of_the_number_of_a_deleted_key_stay(user, fid):
    """Numbers of data objects and of certificates of authorities are their own."""
    user.generate_aes(9)
    user.update(fid, b"of somebody else")
    user.delete(0xCC09)
    assert user.read(fid) == b"of somebody else"


@pytest.mark.parametrize("fid", [0xCC09, 0x3F00, 0x0001, 0xD009], ids="{:04X}".format)
def test_other_files_cannot_be_written(user, fid):
    with refused(FORBIDDEN | NOT_FOUND | WRONG_DATA):
        user.update(fid, b"content")


def test_what_is_missing_cannot_be_deleted(user):
    with refused(NOT_FOUND):
        user.delete(0xCF7E)


@pytest.mark.parametrize("fid", [0xCD00, 0xCD09, 0xCD80, 0xCDFF], ids=hex)
def test_protected_data_are_read_behind_the_pin_only(user, fid):
    user.update(fid, b"secret")
    assert user.read(fid) == b"secret"
    user.select()
    with refused(NOT_LOGGED_IN):
        user.read(fid)
    assert user.read(0xCF01), "other data need no PIN"


def test_the_label_of_the_token_is_a_file(user):
    content = description.token("keyharness token")
    user.update(TOKEN_INFO, content)
    assert user.read(TOKEN_INFO) == content


def test_data_without_an_offset_are_refused(user):
    with refused(WRONG_DATA):
        user.command("UPDATE BINARY", 0xD7, 0xCF, 0x09, tlv(0x53, b"x"))


@pytest.mark.parametrize(
    "offset", [b"", bytes(5), bytes(4) + b"\x10"], ids=["empty", "5 bytes", "a 16 of 5 bytes"]
)
def test_an_offset_has_one_to_four_bytes(user, offset):
    user.update(0xCF09, b"0123456789abcdef")
    for ins, more in ((0xB1, b""), (0xD7, tlv(0x53, b"\xaa"))):
        with refused(WRONG_DATA):
            user.command("an offset", ins, 0xCF, 0x09, tlv(0x54, offset) + more)
    assert user.read(0xCF09) == b"0123456789abcdef"


def test_an_offset_of_four_bytes_is_taken(user):
    user.update(0xCF09, b"0123456789abcdef")
    assert user.exchange(0xB1, 0xCF, 0x09, tlv(0x54, b"\0\0\0\x0a"), le=6) == (b"abcdef", 0x9000)


@pytest.mark.parametrize("size", [4095, 4096, 4097])
def test_a_long_file_comes_back_whole_or_is_refused_for_its_size(user, size):
    content = bytes(number * 29 & 0xFF for number in range(size))
    try:
        user.update(0xCF10, content)
    except Refused as error:
        assert error.status in {"6A84", "6B00", "6700", "6A80"}
        return
    assert user.read(0xCF10) == content


@pytest.mark.parametrize("count", [60, 130])
def test_every_file_is_listed_however_many_there_are(user, count):
    before = user.objects()
    made = [DATA | number for number in range(0x10, 0x10 + count)]
    for fid in made:
        user.update(fid, fid.to_bytes(2, "big"))
    assert user.objects() == sorted([*before, *made])
    assert [int.from_bytes(user.read(fid), "big") for fid in made] == made
    user.delete(made[-1])
    assert user.objects() == sorted([*before, *made[:-1]])


def test_a_description_shows_its_label(user):
    assert description.label_of(user.read(0xC401)) == "keyharness canary 1"
    assert description.label_of(user.read(0xC403)) == "keyharness canary 3"


def test_a_full_card_refuses_and_loses_nothing(user):
    before = user.read(0xCF01)
    with pytest.raises(NoRoom):
        fill(user)
    assert user.read(0xCF01) == before
    assert user.sign(1, EC_SHA256, b"text")
    user.delete(0xCF10)
    user.update(0xCF10, LONG[:1000])
    assert user.read(0xCF10) == LONG[:1000]


def test_a_full_card_can_be_initialised(user, mine):
    with pytest.raises(NoRoom):
        fill(user)
    user.initialize(mine.so_pin, mine.pin, shares=1)
    assert KEY in user.objects()
    assert set(user.objects()) <= OF_THE_DEVICE
