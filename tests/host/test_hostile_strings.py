"""What a device calls itself is shown, and is never obeyed by a terminal."""

from __future__ import annotations

import io
from json import dumps

import pytest

from harness.bench.registry import discover
from harness.host import hubs
from harness.host.scan import scan
from support.lab.keys import Thing
from support.lab.tree import FIDO_DESCRIPTOR, Look
from support.usb import PORT, laboratory

TITLE = "Key\x1b]0;owned\x07\x1b[2J\u202e\u2028!"
SHOWN = r"Key\x1b]0;owned\x07\x1b[2J\u202e\u2028!"


@pytest.mark.parametrize("json", [False, True])
def test_the_list_of_hubs_holds_no_escape(tmp_path, json):
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, Thing(Look(0x20A0, 0x42B2, TITLE, serial="\x1b[31mX", hid=(FIDO_DESCRIPTOR,))))
        out = io.StringIO()
        if json:
            out.write(dumps(hubs.table(lab.host), ensure_ascii=False))
        else:
            hubs.show(lab.host, out)
    assert SHOWN in out.getvalue().replace("\\\\", "\\")
    assert "\x1b" not in out.getvalue()


def test_neither_does_what_enroll_offers(tmp_path):
    with laboratory(tmp_path) as lab:
        lab.plug(PORT, Thing(Look(0x20A0, 0x42B2, TITLE, hid=(FIDO_DESCRIPTOR,))))
        found = scan(discover().sought())
    assert [one.title for one in found if one.kind == "hidraw"] == [SHOWN]
