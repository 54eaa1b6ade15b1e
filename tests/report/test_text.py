"""The run in a terminal: what is said, and when."""

from __future__ import annotations

import io

import pytest

from harness.base.clock import VirtualClock
from harness.report.summary import build_summary
from harness.report.terminal import RunDisplay
from harness.report.text import ansi, bar, duration, folded, headline, operation_lines, rig_lines, suite_lines
from harness.report.verdict_text import failure_text, verdict_block
from harness.report.vocabulary import (
    at_most,
    bound_sentence,
    evidence_sentence,
    percent,
    proof,
    shares,
    weakest,
)
from support.report import sample


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class AsciiStream(io.StringIO):
    encoding = "ascii"


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def summary_of(made, tmp_path):
    return build_summary(made.write(tmp_path / "run"))


def test_headline_and_rigs():
    assert headline(sample.head()) == (
        "keyharness 0.1.0 · bench late-replay.toml · seed 20261120 · run 20261120-093012-7c1e"
    )
    assert rig_lines(sample.head()) == [
        "  nk3-mini   Nitrokey 3A Mini · twin, personality reference · firmware v1.8.3 · "
        "nrf52 flash, layer safe"
    ]


def test_pass_block(tmp_path):
    block = verdict_block(summary_of(sample.passing(), tmp_path), report="reports/x/index.html", width=200)
    assert block == [
        "      PASS (exhaustive)   model run: simulated key, no vendor firmware executed",
        "             0 violations in 1,813 judged cuts, 516 distinct states",
        "             all 6 operations: every modelled flash operation in every modelled phase",
        "             missed cuts 0 of 1,813 · rig faults 0 · a real key would have spent 5,439 of 10,000 "
        "erases on its hottest page (estimated)",
        "      report reports/x/index.html",
    ]


def test_hardware_quotes_the_weakest_operation(tmp_path):
    block = verdict_block(summary_of(sample.hardware(), tmp_path), width=400)
    assert block[0] == "      PASS (bounded: below 1 % of instants, 99 %)   hardware run: 2 keys took part"
    assert block[2].strip() == (
        "fido2.client_pin.change: no violation in 459 evenly spread cuts: below 1 % of instants "
        "(99 %, approximate); a window that fails every hit and is wider than 12 ms would have been found "
        "(95 %)"
    )


def test_fail_block(tmp_path):
    summary = summary_of(sample.failing(), tmp_path)
    block = verdict_block(summary, "my bench.toml", width=200)
    assert block[:2] == [
        "      FAIL   model run: simulated key, no vendor firmware executed",
        '        S1 key   fido2.get_assertion: item "attestation certificate" lost',
    ]
    assert block[3].startswith('                 narrowest: 3.2 ms after "request sent"')
    assert (
        block[5] == f"{' ' * 17}keyharness replay {summary['violations'][0]['first']} --bench 'my bench.toml'"
    )
    assert any("CTAPHID_INIT while busy" in line for line in block)


def test_the_worst_is_said_first(tmp_path):
    made = sample.failing()
    op = next(op for op in made.operations if op["findings"])
    op["findings"][0]["severity"] = "S3"
    block = verdict_block(summary_of(made, tmp_path), width=200)
    severities = [line.split()[0] for line in block if line.startswith("        S")]
    assert severities == ["S1", "S3"]


def test_cut_short_is_said(tmp_path):
    made = sample.failing()
    made.finish["complete"] = False
    assert verdict_block(summary_of(made, tmp_path))[0].endswith("· cut short")


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_width(tmp_path, width):
    summary = summary_of(sample.failing(), tmp_path)
    lines = verdict_block(summary, width=width)
    # A command and a test's name are copied, so they are never broken.
    prose = [line for line in lines if "keyharness replay" not in line and "::" not in line]
    assert len(prose) > len(lines) / 2
    assert max(map(len, prose)) <= width


def test_columns_line_up(tmp_path):
    lines = suite_lines(summary_of(sample.failing(), tmp_path), {"conformance": {"ctaphid": 8}}, width=200)
    assert lines[0].startswith(
        "  conformance   ctaphid 8    20 passed · 1 failed · 1 not offered by this key"
    )
    operations = [line for line in lines if " cuts  " in line]
    assert len({line.index(" cuts  ") for line in operations}) == 1
    assert len({line.index("every modelled") for line in operations}) == 1
    narrow = operation_lines(sample.passing().operations, width=80)
    assert all(len(line) <= 80 for line in narrow)


def test_failure_text():
    op = next(op for op in sample.failing().operations if op["findings"])
    text = failure_text(op, "b.toml")
    assert text.startswith("fido2.get_assertion on nk3-mini:\n        S1 key   fido2.get_assertion: item")
    assert "--bench b.toml" in text


@pytest.mark.parametrize(
    ("done", "total", "drawn"),
    [(0, 10, "········"), (10, 10, "████████"), (5, 10, "████····"), (9, 16, "████▌···"), (0, 0, "········")],
)
def test_bar(done, total, drawn):
    assert bar(done, total, 8) == drawn


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.048, "0.048 s"),
        (1, "1 s"),
        (59.6, "1 min"),
        (65, "1 min 5 s"),
        (7380, "2 h 3 min"),
        (3600, "1 h"),
        (0.999, "1 s"),
    ],
)
def test_duration(seconds, said):
    assert duration(seconds) == said


def test_a_rare_thing_is_never_said_to_be_nothing():
    assert percent(1, 10_000) == "<1 %"
    assert percent(9_999, 10_000) == ">99 %"
    assert shares({"new": 500, "old": 1500, "lost": 1, "missed": 2}) == [
        "unchanged 75 %",
        "completed 25 %",
        "lost 1",
        "missed 2",
    ]


def test_weakest():
    bounded = {"operation": "a", "bound": {"below": 0.01, "confidence": 0.99}, "covering_cuts": 459}
    looser = {"operation": "b", "bound": {"below": 0.05, "confidence": 0.99}, "covering_cuts": 90}
    unbounded = {"operation": "c", "bound": None, "covering_cuts": 3}
    walked = {"operation": "d", "exhaustive": True}
    assert weakest([bounded, looser, walked]) is looser
    assert weakest([bounded, unbounded, looser]) is unbounded
    assert weakest([walked]) is None
    assert proof(bounded) == "below 1 % (99 %)"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.009983, "1 %"),
        (0.0495, "5 %"),
        (0.0999e-2, "0.1 %"),
        (0.0942, "9.5 %"),
        (0.01, "1 %"),
        (1.0, "100 %"),
    ],
)
def test_a_bound_is_rounded_up(value, said):
    assert at_most(value) == said


def test_a_window_is_not_excluded_where_something_was_found():
    op = {
        "bound": {"confidence": 0.95, "below": 0.08},
        "covering_cuts": 59,
        "window_ms": 3.0,
        "violations": 2,
    }
    assert bound_sentence(op) == "59 evenly spread cuts: below 8 % of instants (95 %, approximate)"
    assert proof(op) == "below 8 % (95 %)"
    assert "would have been found" in bound_sentence({**op, "violations": 0})


def test_evidence_kinds_are_named():
    rig = {"name": "a", "transport": "emulator, vpcd", "flash": "in a file"}
    said = evidence_sentence(["hardware", "twin"], [rig])
    assert said.startswith("hardware run: 1 key took part; model run")
    assert "in a file" not in said
    two = [rig, {**rig, "name": "b"}, {**rig, "name": "c", "flash": "behind its driver"}]
    assert evidence_sentence(["emulator-torn"], two) == (
        "emulated run: vendor firmware build, modelled flash (in a file; behind its driver): 3 keys took part"
    )
    older = [{"name": "a", "transport": "emulator, vpcd"}]
    assert evidence_sentence(["emulator-torn"], older).endswith("modelled flash: 1 key took part")
    assert evidence_sentence([], []) == "nothing says what kind of evidence this is"


def show(stream, made, tmp_path, **how):
    clock = VirtualClock()
    summary = summary_of(made, tmp_path)
    with RunDisplay(stream, clock=clock, environ=how.pop("environ", {}), **how) as display:
        display.started(made.head)
        display.expect(len(made.results))
        for row in made.results:
            display.case(row)
        for op in made.operations:
            for done in range(0, op["cuts"], 50):
                display.campaign(op["rig"], op["operation"], done, op["cuts"], 148.0, 1.0)
                clock.wait_us(4_000_000)
            display.operation(op)
        display.finished(summary)
    return stream.getvalue()


def test_a_log_has_a_line_for_each_file_of_cases(tmp_path):
    said = show(io.StringIO(), sample.failing(), tmp_path).splitlines()
    assert "0:00:00  cases        conformance/test_ctaphid.py   7 passed · 1 failed   0.43 s" in said
    assert "0:00:00  cases        conformance/test_admin.py   3 passed · 1 not offered   0.12 s" in said
    assert not any("test_ping" in line for line in said)
    (failed,) = [line for line in said if line.startswith("0:00:00  failed ") and "CTAPHID_INIT" in line]
    assert "key: CTAPHID_INIT while busy" in failed
    # 14 reports at 4 s each: one line every 10 s, none before the first 10.
    steps = [line[9:] for line in said if "  campaign     fido2.reset   " in line and "left" in line]
    assert [line.split("   ")[2].split("/")[0] for line in steps] == ["150", "300", "450", "600"]
    assert "\x1b" not in "\n".join(said)
    assert said[-1].strip().startswith("missed cuts")


def test_a_verbose_log_has_a_line_for_each_case(tmp_path):
    said = show(io.StringIO(), sample.failing(), tmp_path, verbosity=1)
    assert "0:00:00  passed       conformance/test_ctaphid.py::test_ping[nk3-mini]   0.012 s\n" in said
    locked = "not offered  conformance/test_admin.py::test_locked[nk3-mini]   this key has no such command\n"
    assert f"0:00:00  {locked}" in said
    assert "  cases  " not in said


def test_a_quiet_log_has_what_is_wrong_and_the_verdict(tmp_path):
    said = show(Terminal(), sample.failing(), tmp_path, verbosity=-1, width=130, color="no")
    wrong, _, end = said.partition("\n\n")
    assert [line.split()[1] for line in wrong.splitlines()] == ["failed"] * 2
    assert "      FAIL   model run" in end
    assert "\x1b" not in said


@pytest.mark.parametrize(("color", "painted"), [("yes", True), ("auto", False), ("no", False)])
def test_a_log_is_in_colours_if_that_is_asked_for(tmp_path, color, painted):
    said = show(io.StringIO(), sample.failing(), tmp_path, color=color)
    assert (ansi("FAIL", "bad") in said) == painted


def test_a_narrow_terminal_gets_narrow_lines():
    head = folded(headline(sample.head()), 60)
    assert head == [
        "keyharness 0.1.0 · bench late-replay.toml · seed 20261120",
        "    run 20261120-093012-7c1e",
    ]


def test_live_has_bars_and_colour(tmp_path):
    said = show(Terminal(), sample.failing(), tmp_path, width=130)
    assert "█" in said
    assert ansi("FAIL", "bad") in said
    assert said.endswith("\n")
    # The cursor is shown again.
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")


def test_a_terminal_shows_how_many_of_the_cases_are_done_and_since_when(tmp_path):
    made = sample.failing()
    said = show(Terminal(), made, tmp_path, width=130)
    assert f"\n  0 of {len(made.results)} cases · 0 s" in said
    assert f"\n  {len(made.results)} of {len(made.results)} cases · " in said


def test_where_the_outcomes_do_not_fit_the_worst_are_said_and_none_is_cut_in_two():
    outcomes = {"old": 5000, "new": 3000, "recovered": 400, "lost": 17}
    op = sample.failing().operations[0] | {"operation": "op", "cuts": 8417, "outcomes": outcomes}
    said = {width: operation_lines([op], width=width)[0] for width in (40, 55, 80)}
    assert said == {
        40: "    op   8,417 cuts  lost 17  …",
        55: "    op   8,417 cuts  lost 17  unchanged 59 %  …",
        80: "    op   8,417 cuts  unchanged 59 %  completed 36 %  recovered 5 %  lost 17",
    }


def test_no_color(tmp_path):
    said = show(Terminal(), sample.passing(), tmp_path, width=130, environ={"NO_COLOR": "1"})
    assert "\x1b[1;32m" not in said
    assert "█" in said


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}])
def test_a_dumb_terminal_gets_plain_lines(tmp_path, environ):
    assert "\x1b" not in show(Terminal(), sample.passing(), tmp_path, environ=environ)


def test_a_stream_that_knows_only_ascii(tmp_path):
    said = show(AsciiStream(), sample.failing(), tmp_path)
    said.encode("ascii")
    assert "keyharness 0.1.0 - bench" in said


@pytest.mark.parametrize("live", [True, False])
def test_a_terminal_that_goes_away_ends_nothing(tmp_path, live):
    show(Gone(), sample.passing(), tmp_path, live=live, width=100)


def test_several_rigs_are_named(tmp_path):
    said = show(io.StringIO(), sample.hardware(), tmp_path)
    assert "mini-1 fido2.client_pin.change" in said
    assert "mini-2 fido2.client_pin.change" in said
