"""The times before lines, in every format that people send."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.field.stamps import read_stamp

NOON = 1706508908.0
"""2024-01-29 06:15:08 UTC."""


@pytest.mark.parametrize(
    ("line", "kind", "seconds"),
    [
        ("[   72.372708] usb", "monotonic", 72.372708),
        ("[4325188.747000] usb", "monotonic", 4325188.747),
        ("[Mo Jan 29 06:15:08 2024] usb", "date", NOON),
        ("[Mon Jan 29 06:15:08 2024] usb", "date", NOON),
        ("[lun. janv. 29 06:15:08 2024] usb", "date", NOON),
        ("[lun 29 ene 06:15:08 2024] usb", "date", NOON),
        ("[一 1月 29 06:15:08 2024] usb", "date", NOON),
        ("[월  1월 29 06:15:08 2024] usb", "date", NOON),
        ("[Пн янв 29 06:15:08 2024] usb", "date", NOON),
        ("[Pzt Oca 29 06:15:08 2024] usb", "date", NOON),
        ("[Δευ Ιαν 29 06:15:08 2024] usb", "date", NOON),
        ("Mon Jan 29 06:15:08 2024 kern.err kernel: [ 1507.170883] usb", "date", NOON),
        ("2024-01-29T06:15:08.500000+00:00 host kernel: usb", "date", NOON + 0.5),
        ("2024-01-29T01:15:08-05:00 host kernel: usb", "date", NOON),
        ("2024/01/29 06:15:08.250 usb", "date", NOON + 0.25),
        ("1085      DEBUG       root print", "since start", 1.085),
        ("00400138 ccid_usb.c:859:WriteUSB() write failed", "step", 0.400138),
        ("DEBUG 12:35:54.365 [fido2.hid]", "time of day", 45354.365),
    ],
)
def test_a_time_is_read(line, kind, seconds):
    stamp, rest = read_stamp(line)
    assert (stamp.kind, stamp.seconds) == (kind, pytest.approx(seconds))
    assert rest
    assert rest in line


def test_a_date_without_a_year_is_compared_within_its_log():
    first, _ = read_stamp("Mar 15 13:15:47 myhost kernel: usb")
    later, _ = read_stamp("Mar 15 13:15:51 myhost kernel: usb")
    assert later.seconds - first.seconds == 4


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("12月 04 18:47:45 host kernel: usb", "12月 04 18:47:49 host kernel: usb"),
        ("Okt  4 18:47:45 host kernel: usb", "Okt  4 18:47:49 host kernel: usb"),
        ("дек 04 18:47:45 host kernel: usb", "дек 04 18:47:49 host kernel: usb"),
    ],
)
def test_a_syslog_in_another_language_is_compared_within_its_log(first, later):
    assert read_stamp(later)[0].seconds - read_stamp(first)[0].seconds == 4


@pytest.mark.parametrize(
    "line",
    [
        "usb 1-1: new device",
        "[Xx Foo 29 06:15:08 2024] a",
        "Foo 15 13:15:47 x",
        "[ 1.2",
        "13月 15 13:15:47 x",
    ],
)
def test_what_is_no_time_is_none_or_has_no_seconds(line):
    stamp, _ = read_stamp(line)
    assert stamp is None or stamp.seconds is None


@settings(deadline=None)
@given(st.text(max_size=120))
def test_no_line_breaks_it(line):
    read_stamp(line)
