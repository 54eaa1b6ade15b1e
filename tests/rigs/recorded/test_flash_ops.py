"""A write to a flash file as erases and programs: together they leave what the write left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_rigs.recorded.batches import batches, joined
from harness_rigs.recorded.directory_ops import apply, apply_torn
from harness_rigs.recorded.events import FileEvent
from harness_rigs.recorded.flash_ops import RUNS, driver_ops, flash_ops
from harness_rigs.recorded.from_events import ops_of
from harness_rigs.recorded.options import FlashOptions

SMALL = {"page_size": 32, "word_size": 4}
ERASED = st.sampled_from([0xFF, 0x00])


def image(erase_value: int) -> FlashOptions:
    return FlashOptions(kind="image", files=["f"], erase_value=erase_value, **SMALL)


def done(content: bytes, ops, flash: FlashOptions) -> bytes:
    entries = {"f": ("file", content, 0o600)}
    for op in ops:
        apply(entries, op, flash)
    return entries["f"][1]


@given(
    content=st.binary(min_size=96, max_size=96),
    data=st.binary(min_size=1, max_size=96),
    at=st.integers(0, 95),
    erased=ERASED,
)
def test_they_leave_what_the_write_left(content, data, at, erased):
    data = data[: 96 - at]
    ops = flash_ops("f", content, at, data, 100, 200, image(erased))
    assert done(content, ops, image(erased)) == content[:at] + data + content[at + len(data) :]
    assert all(100 <= op.start_us <= op.end_us <= 200 for op in ops)
    assert [op.page for op in ops] == sorted(op.page for op in ops)


@given(content=st.binary(min_size=32, max_size=32), clears=st.binary(min_size=32, max_size=32))
def test_what_only_loses_bits_is_programmed_without_an_erase(content, clears):
    new = bytes(a & b for a, b in zip(content, clears))
    ops = flash_ops("f", content, 0, new, 0, 1, image(0xFF))
    assert {op.kind for op in ops} <= {"program"}


def test_a_bit_that_comes_back_costs_an_erase_of_its_page_alone():
    content = bytes(96)
    ops = flash_ops("f", content, 40, b"\x01", 0, 1, image(0xFF))
    assert [(op.kind, op.page, len(op.data)) for op in ops] == [("erase", 1, 0), ("program", 1, 32)]


def test_a_page_that_is_written_whole_is_programmed_in_few_pieces():
    new = b"\x00\x00\x00\x00\xff\xff\xff\xff" * 8
    flash = FlashOptions(kind="image", files=["f"], page_size=64)
    ops = flash_ops("f", b"\xff" * 64, 0, new, 0, 100, flash)
    assert len(ops) == RUNS
    ops = flash_ops(
        "f", b"\xff" * 128, 0, new + new, 0, 100, FlashOptions(kind="image", files=["f"], page_size=128)
    )
    assert len(ops) == RUNS
    assert done(b"\xff" * 128, ops, FlashOptions(kind="image", files=["f"], page_size=128)) == new + new


def host_pages(*at: int, mapped: bool = True) -> list[FileEvent]:
    return [
        FileEvent("write", "f", n, n + 1, offset, bytes([n + 1]) * 4096, mapped=mapped)
        for n, offset in enumerate(at)
    ]


@pytest.mark.parametrize(
    ("events", "sizes"),
    [
        (host_pages(0, 4096, 8192, 12288), [4]),
        (host_pages(4096, 12288), [2]),
        (host_pages(8192, 16384, 20480), [1, 2]),
        (host_pages(4096, 0), [1, 1]),
        (host_pages(0, 4096, mapped=False), [1, 1]),
        ([*host_pages(0), FileEvent("fsync", "f", 1, 1), *host_pages(4096)], [1, 1, 1]),
    ],
    ids=["whole", "with a gap", "two pages", "backwards", "by the firmware", "synced between"],
)
def test_host_pages_of_one_flash_page_are_one_write(events, sizes):
    flash = FlashOptions(kind="image", files=["f"], page_size=16384)
    found = list(batches(events, flash))
    assert [len(batch) for batch in found] == sizes
    assert [event for batch in found for event in batch] == events
    before = {"f": ("file", bytes(32768), 0o600)}
    apart, together = dict(before), dict(before)
    for event in events:
        apply(apart, ops_of(event, apart, FlashOptions(kind="files"))[0], flash)
    for batch in found:
        for op in ops_of(joined(batch, together), together, flash):
            apply(together, op, flash)
    assert together == apart


def test_an_erased_page_that_is_written_again_as_erased_costs_nothing():
    assert flash_ops("f", b"\xff" * 96, 32, b"\xff" * 32, 0, 1, image(0xFF)) == []


@given(
    content=st.binary(min_size=32, max_size=32),
    new=st.binary(min_size=32, max_size=32),
    phi=st.floats(0.01, 0.99),
    erased=ERASED,
)
def test_a_torn_operation_changes_no_cell_that_the_whole_one_leaves_alone(content, new, phi, erased):
    flash = image(erased)
    entries = {"f": ("file", content, 0o600)}
    for number, op in enumerate(flash_ops("f", content, 0, new, 0, 1, flash), 1):
        before, torn = entries["f"][1], dict(entries)
        apply_torn(torn, op, phi, b"seed", number, flash)
        apply(entries, op, flash)
        after = entries["f"][1]
        changed = bytes(a ^ b for a, b in zip(before, torn["f"][1]))
        assert all(not (one & ~(a ^ b)) for one, a, b in zip(changed, before, after))


@given(offset=st.integers(0, 20), words=st.integers(1, 4), erased=ERASED)
def test_a_request_of_a_driver_is_split_at_pages(offset, words, erased):
    flash = FlashOptions(kind="driver", pages=3, erase_value=erased, **SMALL)
    event = FileEvent("program", "f", 0, 10, 4 * offset, bytes(range(4 * words)), 4 * words)
    ops = driver_ops(event, flash)
    blank = bytes([erased]) * 96
    written = bytes((a & b) if erased else (a | b) for a, b in zip(blank[4 * offset :], event.data))
    assert done(blank, ops, flash) == blank[: 4 * offset] + written + blank[4 * offset + len(written) :]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "image"}, "files: found nothing"),
        ({"kind": "files", "files": ["a"]}, 'files: found .*with kind = "files"'),
        ({"kind": "files", "pages": 3}, 'pages: found 3, with kind = "files"'),
        ({"kind": "driver"}, "pages: found nothing"),
        ({"kind": "driver", "pages": True}, "valid integer"),
        ({"kind": "driver", "pages": 1 << 16, "page_size": 1 << 20}, "268,435,456 bytes at most"),
        ({"kind": "image", "files": ["a", "b", "a"]}, '"a" twice'),
        ({"kind": "image", "files": ["a"], "page_size": 100, "word_size": 8}, "no multiple"),
        *(
            ({"kind": "image", "files": [name]}, "the plain name of a file")
            for name in ("", ".", "..", "/etc/passwd", "../a", "./a", "a//b", "a/", "a\0b")
        ),
    ],
)
def test_a_table_that_does_not_fit_is_explained(options, words):
    with pytest.raises(ValueError, match=words):
        FlashOptions(**options)
