"""Versions as numbers: the order that the bootloader compares, and where it breaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nitrokey.trussed import Version

from harness.twin.model import TwinOptions
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.twin.personality import running

cores = st.tuples(st.integers(0, 1023), st.integers(0, 65535), st.integers(0, 63))
suffixes = st.sampled_from(["", "-rc.1", "-test.20230414", "+git.abcdef", "-rc.2+git"])


def _text(core: tuple[int, int, int], suffix: str = "") -> str:
    return ".".join(map(str, core)) + suffix


@given(cores, cores)
def test_numbers_are_ordered_as_versions_are(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    assert (number_of(_text(one)) < number_of(_text(other))) == (one < other)


@given(cores, suffixes)
def test_a_suffix_is_not_in_the_number(core: tuple[int, int, int], suffix: str) -> None:
    assert number_of(_text(core, suffix)) == number_of(_text(core))
    assert text_of(number_of(_text(core, suffix))) == _text(core)


@given(cores)
def test_the_vendors_sdk_reads_the_same_number(core: tuple[int, int, int]) -> None:
    assert Version.from_int(number_of(_text(core))) == Version(*core)


@pytest.mark.parametrize(
    ("text", "as_good_as"), [("1.8.64", "1.9.0"), ("1.65536.0", "2.0.0"), ("1.65535.64", "2.0.0")]
)
def test_a_field_that_overflows_runs_into_the_next(text: str, as_good_as: str) -> None:
    assert number_of(text) == number_of(as_good_as)


def test_the_number_of_the_genuine_container() -> None:
    assert number_of("1.7.2") == 4194754


@pytest.mark.parametrize(
    ("start", "version", "behaves_as"),
    [
        ("reference", "1.8.3", "reference"),
        ("reference", "1.8.4", "reference"),
        ("reference", "1.9.0", "reference-1.9"),
        ("reference", "9.0.0", "reference-1.9"),
        ("reference", "1.8.2", "reference-1.7"),
        ("reference", "1.5.0", "reference-1.2"),
        ("reference", "0.9.0", "reference-1.2"),
        ("reference-all", "1.9.1", "reference-all"),
        ("1.7.1", "1.7.2-rc.1", "1.7.2"),
        ("1.7.1", "1.6.0", "1.4.0"),
        ("1.5.0", "1.8.9", "1.8.3"),
    ],
)
def test_a_version_without_a_personality_behaves_as_the_nearest_lower_one(
    start: str, version: str, behaves_as: str
) -> None:
    found = running(TwinOptions(start), version)
    assert (found.name, found.version) == (behaves_as, version)


@given(cores, suffixes)
def test_every_version_runs_as_something_and_reports_itself(core: tuple[int, int, int], suffix: str) -> None:
    found = running(TwinOptions(), _text(core, suffix))
    assert found.version == _text(core, suffix)
    assert found.numbers == core
    assert found.sound
    assert (found.layout == 0) == (core <= (1, 0, 0))
