"""Large logs: nothing is missed that a look at each line would find, and the end of a log is always looked at."""

from __future__ import annotations

import io
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.bench.registry import discover
from harness.field import reading as reading_module
from harness.field.knowledge import load
from harness.field.literals import literals
from harness.field.prefilter import Prefilter
from harness.field.reading import read

KNOWN = load(discover().field_files)
NOISE = "Jan 29 07:15:08 myhost systemd[1]: Started Session {0} of User root; state is fine.\n"
ERROR = "[{0:12.6f}] usb 1-4: device descriptor read/64, error -71\n"
PATTERNS = [pattern for _, _, pattern in KNOWN.formats]


@settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PATTERNS).flatmap(lambda one: st.tuples(st.just(one), st.from_regex(one))))
def test_what_a_format_matches_holds_one_of_its_texts(pair):
    pattern, text = pair
    assert any(word in text for word in literals(pattern.pattern))


def test_every_format_of_ours_has_a_text_to_look_for():
    assert [one.pattern for one in PATTERNS if min(map(len, literals(one.pattern)), default=0) < 4] == []


@settings(deadline=None)
@given(
    st.text("ab:c \n", max_size=200),
    st.lists(st.text("abc:", min_size=1, max_size=6), min_size=1, max_size=4),
)
def test_the_lines_are_those_in_which_a_text_stands(text, words):
    block = text.encode()
    found = [
        block[begin:end]
        for begin, end in Prefilter([re.compile(re.escape(one)) for one in words], words).lines(block)
    ]
    assert found == [line for line in block.split(b"\n") if any(one.encode() in line for one in words)]


def test_a_pattern_without_a_text_is_always_tried():
    filter_ = Prefilter([re.compile(r"\d+"), re.compile("acme-(?:lost|found)"), re.compile("x*acme")])
    assert filter_.formats("nothing") == [0]
    assert filter_.formats("acme-lost") == [0, 1, 2]


def test_few_lines_in_a_large_log_are_all_found(tmp_path):
    log = tmp_path / "large.log"
    lines = [NOISE.format(number) for number in range(60_000)]
    places = [7, 20_000, 40_001, 59_999]
    for place in places:
        lines[place] = ERROR.format(place)
    log.write_text("".join(lines))
    assert log.stat().st_size > 4 * reading_module.WHOLE_BYTES
    found = read([log], KNOWN)
    assert [entry.line for entry in found.entries] == [place + 1 for place in places]
    assert (found.lines, found.understood, found.not_understood) == (60_000, 4, 59_996)


def test_of_a_flood_the_begin_and_the_end_are_looked_at(tmp_path, monkeypatch):
    for name, value in (("KEPT_MAX", 2000), ("TAIL_BLOCKS", 1), ("BLOCK_BYTES", 1 << 14)):
        monkeypatch.setattr(reading_module, name, value)
    log = tmp_path / "flood.log"
    count = 20_000
    log.write_text("".join(ERROR.format(number) for number in range(count)))
    found = read([log], KNOWN)
    assert found.lines == count == found.understood + found.not_understood + found.skipped
    assert found.not_understood == 0
    assert found.skipped > count // 2
    assert (found.entries[0].line, found.entries[-1].line) == (1, count)


def test_of_a_flood_the_last_event_is_kept(tmp_path, monkeypatch):
    for name, value in (("KEPT_MAX", 2000), ("BLOCK_BYTES", 1 << 14)):
        monkeypatch.setattr(reading_module, name, value)
    log = tmp_path / "flood.log"
    log.write_text("".join(map(ERROR.format, range(20_000))))
    found = read([log], KNOWN)
    assert (found.entries[-1].line, found.dropped) == (20_000, 0)
    assert found.lines == 20_000 == found.understood + found.skipped


def test_a_line_that_was_broken_in_a_large_log_is_put_together(tmp_path):
    log = tmp_path / "broken.log"
    broken = "[   10.000000] usb 1-4: new full-speed USB device\nnumber 7 using xhci_hcd\n"
    log.write_text("".join(map(NOISE.format, range(20_000))) + broken)
    (entry,) = read([log], KNOWN).entries
    assert (entry.event.kind, entry.event.about["number"]) == ("connect", "7")


def test_a_large_log_of_a_windows_editor_is_read_a_block_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_module, "BLOCK_BYTES", 1 << 12)
    log = tmp_path / "windows.log"
    log.write_bytes(("nothing that anybody knows\n" * 5000 + ERROR.format(1)).encode("utf-16"))
    asked = []

    class Counted(io.FileIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    with Counted(log) as file:
        lines = b"\n".join(reading_module._blocks(file)).splitlines()
    assert (len(lines), lines[-1].decode()) == (5001, ERROR.format(1).strip())
    assert set(asked) == {1 << 12}
