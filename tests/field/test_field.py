"""Logs as people send them: what is read, what is recognised, and what is not claimed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.errors import CallerError
from harness.bench.registry import discover
from harness.commands.field import FieldReport
from harness.field.events import classify
from harness.field.knowledge import load
from harness.field.reading import read
from harness.field.redact import Redactor
from harness.field.scenario_file import parse_scenario
from support.paths import ROOT, shared

HOME = "/" + "home"
KNOWN = load(discover().field_files)
GLITCH = """\
[   10.000000] usb 1-4: new full-speed USB device number 7 using xhci_hcd
[   10.100000] usb 1-4: device descriptor read/64, error -71
[   10.200000] usb 1-4: device descriptor read/64, error -71
[   10.300000] usb usb1-port4: attempt power cycle
[   11.000000] usb 1-4: new full-speed USB device number 8 using xhci_hcd
[   11.200000] usb 1-4: New USB device found, idVendor=20a0, idProduct=42b2, bcdDevice= 1.03
[   11.200001] usb 1-4: New USB device strings: Mfr=1, Product=2, SerialNumber=0
[   11.200002] usb 1-4: Product: Some Key
[   20.200000] usb 1-4: USB disconnect, device number 8
[   30.000000] usb 1-5.2: new full-speed USB device number 9 using xhci_hcd
[   30.100000] usb 1-5.2: New USB device found, idVendor=20a0, idProduct=42b2, bcdDevice= 1.03
"""
RECOGNISED = {
    "01": {"usb-gave-up", "usb-not-authorised", "usb-contact-glitch"},
    "03": {"passed-through-and-lost"},
    "05": {"usb-contact-glitch", "usb-disturbed"},
    "07": {"usb-bad-cable"},
    "09": {"usb-over-current"},
    "11": {"host-controller-died"},
    "13": {"reader-lost", "reader-not-opened"},
    "15": {"reader-lost"},
    "17": set(),
    "19": set(),
    "21": {"nk3-attestation-gone"},
    "23": {"nk3-attestation-gone", "nk3-shared-reader"},
    "25": {"nk3-update-not-found-after"},
    "27": {"nk3-update-died"},
    "29": set(),
    "31": {"hid-denied"},
    "33": {"nk3-in-bootloader"},
    "35": {"openpgp-card-misread"},
    "37": set(),
    "39": set(),
    "41": set(),
    "43": {"usb-no-answer"},
    "45": set(),
    "47": {"usb-no-answer"},
    "49": set(),
    "51": {"hid-denied"},
    "53": set(),
}
"""What each excerpt of a real log shows, by the number of its file; nothing is an answer."""


def report_of(tmp_path, *texts, encoding="utf-8") -> FieldReport:
    paths = []
    for number, text in enumerate(texts):
        paths.append(tmp_path / f"{number}.log")
        paths[-1].write_bytes(text.encode(encoding))
    return FieldReport(paths)


def ids(report) -> set[str]:
    return {found.signature.id for found in report.found}


@pytest.mark.parametrize("number", RECOGNISED)
def test_an_excerpt_of_a_real_log_shows_what_it_shows(number):
    (path,) = shared("data/logs").glob(f"{number}-*")
    report = FieldReport([path])
    assert ids(report) == RECOGNISED[number]
    assert report.reading.understood >= 1


def test_every_excerpt_is_in_the_table():
    assert {path.name[:2] for path in shared("data/logs").iterdir()} == RECOGNISED.keys()


def test_the_story_of_a_spontaneous_reset_is_recognised():
    story = shared("seeds/nitrokey3-mini-spontaneous-reset.txt")
    report = FieldReport([story])
    assert "nk3-spontaneous-reset" in ids(report)
    assert report.line.plugged[1].port == "1-6"
    assert report.line.plugged[1].same_as == 0


def test_the_scenario_of_a_known_failure_can_be_replayed():
    report = FieldReport([shared("seeds/nitrokey3-mini-spontaneous-reset.txt")])
    scenario = parse_scenario(report.scenario, "made")
    assert (scenario.scenario.firmware, scenario.replay.key) == ("v1.3.1", "nitrokey3-mini")
    assert scenario.replay.sees
    assert [step.act for step in scenario.step][:3] == ["glitch", "connect", "disconnect"]


def test_a_time_line_is_put_together(tmp_path):
    line = report_of(tmp_path, GLITCH).line
    first, second = line.plugged
    assert (first.port, first.identity, first.name) == ("1-4", "20a0:42b2", "Some Key")
    assert first.errors == {"descriptor-error": 2}
    assert first.shows_serial is False
    assert first.seconds == pytest.approx(10.2)
    assert line.power_cycles == 1
    assert (second.same_as, second.sure) == (0, "only one of its kind at a time")


def test_two_of_a_kind_at_once_may_be_different_ones(tmp_path):
    text = GLITCH.replace("[   20.200000] usb 1-4: USB disconnect, device number 8\n", "")
    assert report_of(tmp_path, text).line.plugged[1].sure == "may be another one"


def test_a_serial_number_is_followed_and_not_shown(tmp_path):
    shown = "[   11.200002] usb 1-4: Product: Some Key\n"
    text = GLITCH.replace("SerialNumber=0", "SerialNumber=3").replace(
        shown, shown + "[   11.200003] usb 1-4: SerialNumber: ABC123\n"
    )
    report = report_of(tmp_path, text, text)
    assert "ABC123" not in json.dumps(report.table())
    assert any(one.sure == "same serial number" for one in report.line.plugged)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n".join(f"> > {line}" for line in text.splitlines()),
        lambda text: "\n".join(f"myhost kernel: {line}" for line in text.splitlines()),
        lambda text: text.replace("USB device number", "USB device\nnumber"),
        lambda text: "\x1b[32m" + text.replace("usb 1-4:", "\x1b[33musb 1-4:\x1b[0m"),
    ],
    ids=["crlf", "quoted", "syslog", "wrapped", "coloured"],
)
def test_however_it_was_pasted_it_says_the_same(tmp_path, change):
    plain, pasted = report_of(tmp_path, GLITCH), report_of(tmp_path, change(GLITCH))
    assert ids(pasted) == ids(plain)
    assert [one.port for one in pasted.line.plugged] == [one.port for one in plain.line.plugged]


def test_as_a_windows_editor_saves_it(tmp_path):
    assert ids(report_of(tmp_path, GLITCH, encoding="utf-16")) == {"usb-contact-glitch"}


def test_times_that_run_backwards_are_said_and_not_used(tmp_path):
    lines = GLITCH.splitlines()
    report = report_of(tmp_path, "\n".join([*lines[5:], *lines[:5]]))
    assert report.line.scrambled
    assert "at_s" not in report.scenario


def test_a_device_that_never_ends_is_refused():
    with pytest.raises(CallerError, match="/dev/zero"):
        read([Path("/dev/zero")], KNOWN)


@given(st.binary(max_size=4000))
@settings(max_examples=200)
def test_what_is_no_log_is_counted_and_yields_nothing(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "noise"
    path.write_bytes(data)
    reading = read([path], KNOWN)
    assert reading.understood + reading.not_understood + reading.blank == reading.lines


@given(st.text(alphabet="usb 1-:.[]()0123456789rderror,", max_size=100))
def test_no_line_breaks_a_format(text):
    classify(text, KNOWN)


def test_private_details_become_marks_the_same_for_the_same():
    redact = Redactor()
    text = f"Mar 15 13:15:47 laptop kernel: {HOME}/jane/x C:\\Users\\jane\\y jane@example.org 10.0.0.7 ssh:example.org"
    shown = redact(text)
    for private in ("laptop", "jane", "example.org", "10.0.0.7"):
        assert private not in shown
    assert redact(f"{HOME}/jane/z") == f"{HOME}/<user-1>/z"


def test_its_scenario_can_be_read_again(cli):
    (cli.cwd / "a.log").write_text(GLITCH)
    done = cli("field", "a.log", "--scenario", "s.toml", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert table["first"].startswith("Do not update")
    scenario = tomllib.loads((cli.cwd / "s.toml").read_text())
    assert [step["act"] for step in scenario["step"]] == ["glitch", "connect", "disconnect", "connect"]
    assert scenario["step"][0]["errors"] == 2
    assert scenario["scenario"]["product"] == "Some Key 20a0:42b2"
    again = cli("field", "a.log", "--scenario", "s.toml")
    assert again.returncode == 4
    assert "a new file" in again.stderr


def test_a_log_that_is_not_there_is_explained(cli):
    done = cli.inside("field", "nowhere.log")
    assert done.returncode == 4
    assert "nowhere.log" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_known_is_called_unexplained(cli):
    (cli.cwd / "a.log").write_text("dear support, it does not work\n")
    done = cli.inside("field", "a.log")
    assert done.returncode == 0
    assert "Unexplained" in done.stdout


def test_a_large_log_needs_little_memory(tmp_path):
    path = tmp_path / "large.log"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"nothing that anybody knows of, again and again, in a line\n" * 18_000)
        file.write(GLITCH.encode())
    program = """
import resource, sys
from pathlib import Path
from harness.field.knowledge import load
from harness.field.reading import read
known = load([])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = read([Path(sys.argv[1])], known)
print(found.lines, found.understood, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", program, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    lines, understood, grown_kib = map(int, done.stdout.split())
    assert lines == 64 * 18_000 + len(GLITCH.splitlines())
    assert understood == len(GLITCH.splitlines())
    assert grown_kib * 1024 < path.stat().st_size / 4


def test_a_catalogue_that_is_damaged_is_explained(tmp_path):
    path = tmp_path / "field.toml"
    for text, words in (
        ("[[format]]\nsource = 1", "source"),
        ("[[format]]\nsource = 'a'\nkind = 'b'\npattern = '('", "regular expression"),
        ("no toml", "TOML"),
        ("[[format]]\nsource = 1", "expected  a text in quotation marks"),
    ):
        path.write_text(text)
        with pytest.raises(CallerError, match=words):
            load([path])


def test_every_signature_has_what_a_reader_needs():
    for one in KNOWN.signatures.values():
        assert one.reference.startswith("https://"), one.id
        assert one.all_of or one.any_of, one.id
        assert one.ask.endswith((".", "?")), one.id
        assert Path(one.id).name == one.id
