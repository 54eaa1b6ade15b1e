"""What is kept of abnormal cuts: bounded, without a PIN, and found again by the replay id."""

from __future__ import annotations

import json

import pytest

from harness.base.errors import CallerError
from harness.evidence import abnormal
from harness.evidence.abnormal import CUT_BYTES, FILES_MAX, KEPT_MAX, RUN_BYTES, Abnormal, find
from harness.model.row import Judged

SECRETS = {"60636235": "[first FIDO2 PIN]"}


def row(number=1):
    about = {"rig": "emu", "operation": "fido2.reset", "firmware": "v1", "seed": 1, "outcome": "lost"}
    return {"id": f"kh1:emu/fido2.reset:1:start+{number}us:abcdef", **about}


def store(tmp_path, secrets=SECRETS):
    return Abnormal(tmp_path, lambda: secrets)


def test_no_pin_stands_in_a_text_in_any_form(tmp_path):
    texts = {
        "output.txt": b"pin 60636235 tried",
        "transport.log": b"17 > 00200081083630363336323335",
        "known.json": b'{"pin": "60636235"}',
    }
    folder = store(tmp_path).add(row(), lambda: {**texts, "state/pin.txt": b"60636235"})
    for name in texts:
        body = (folder / name).read_bytes()
        assert b"60636235" not in body
        assert b"3630363336323335" not in body
        assert b"[first FIDO2 PIN]" in body
    assert (folder / "state/pin.txt").read_bytes() == b"60636235", "what the key holds is kept as it is"


def test_a_run_keeps_a_limited_number_of_cuts(tmp_path):
    one, other = store(tmp_path), store(tmp_path)
    for number in range(KEPT_MAX + 5):
        (one if number % 2 else other).add(row(number), lambda: {"a.txt": b"x"})
    assert len(list((tmp_path / abnormal.FOLDER).iterdir())) == KEPT_MAX == len(one.kept) + len(other.kept)


def test_a_run_keeps_a_limited_number_of_bytes_and_says_what_is_left_out(tmp_path):
    big = bytes(CUT_BYTES - 2_000)
    for number in range(6):
        store(tmp_path).add(row(number), lambda: {"a.bin": big, "b.bin": big, "c.txt": b"small"})
    folders = sorted((tmp_path / abnormal.FOLDER).iterdir())
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < RUN_BYTES + KEPT_MAX * 1000
    assert "b.bin" in (folders[0] / "left-out.txt").read_text()
    assert (folders[0] / "c.txt").read_bytes() == b"small"


def test_a_cut_has_a_limited_number_of_files(tmp_path):
    folder = store(tmp_path).add(row(), lambda: {f"{number}.txt": b"" for number in range(FILES_MAX + 20)})
    assert len(list(folder.iterdir())) == FILES_MAX + 2


def test_no_name_leads_out_of_the_folder(tmp_path):
    folder = store(tmp_path).add(row(), lambda: {"../../../evil.txt": b"1", "/etc/passwd": b"2", "..": b"3"})
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [
        "evil.txt",
        "passwd",
        "row.json",
        "unnamed",
    ]
    assert not (tmp_path.parent / "evil.txt").exists()


def test_only_abnormal_cuts_are_kept_after_their_row(tmp_path):
    kept, one = [], store(tmp_path)
    normal, bad = Judged(row(1), {}), Judged(row(2), {}, lambda: {"a.txt": b"x"})
    one.keeping(kept.extend, lambda ident: {"kernel.log": ident.encode()})([normal, bad])
    assert kept == [normal, bad]
    (folder,) = one.kept
    assert json.loads((folder / "row.json").read_text()) == bad.row
    assert (folder / "kernel.log").read_text() == bad.row["id"]
    assert find(tmp_path, bad.row["id"]) == (bad.row, folder)
    with pytest.raises(CallerError, match="start\\+2us"):
        find(tmp_path, normal.row["id"])


def test_a_run_that_keeps_nothing_says_so(tmp_path):
    with pytest.raises(CallerError, match="this run keeps none"):
        find(tmp_path, row()["id"])


def test_in_json_a_number_with_the_digits_of_a_pin_stays():
    """Nitrokey's first PIN is 123456, and a cut may come after 1.234567 s."""
    row = {"fired_us": 1234567, "said": "PIN 123456 and 313233343536", "quoted": 'a "123456'}
    told = abnormal.redacted("cut.json", json.dumps(row).encode(), {"123456": "<PIN>"})
    assert json.loads(told) == {"fired_us": 1234567, "said": "PIN <PIN> and <PIN>", "quoted": 'a "<PIN>'}
    assert abnormal.redacted("cut.log", b"PIN 123456, 7", {"123456": "<PIN>"}) == b"PIN <PIN>, 7"
