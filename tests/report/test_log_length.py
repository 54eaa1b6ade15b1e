"""A log stays short: its lines depend on files, campaigns and time, not on the number of cases and cuts."""

from __future__ import annotations

import io
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.bench.registry import discover
from harness.report.summary import build_summary
from harness.report.terminal import PLAIN_EVERY_US, RunDisplay
from support.paths import ROOT
from support.report import sample

MOST = 150
"""Lines of the default run's log."""
SUITES = ("conformance", "downgrade", "endurance")
HEAD = sample.head()


def case(file, number):
    return {
        "nodeid": f"{file}::test_{number}[nk3-mini]",
        "suite": file.partition("/")[0],
        "rig": "nk3-mini",
        "outcome": ("passed", "not_offered", "skipped")[number % 3],
        "reason": None,
        "duration_s": 0.01,
    }


def log(files, cases, campaigns, reports, step_us, *, verbosity=0):
    """The lines of a run before its end, of passing cases and campaigns without a finding."""
    clock, stream = VirtualClock(), io.StringIO()
    display = RunDisplay(stream, clock=clock, verbosity=verbosity)
    display.started(HEAD)
    for file in files:
        for number in range(cases):
            display.case(case(file, number))
    for name in campaigns:
        for done in range(reports):
            display.campaign("nk3-mini", name, done, reports, 100.0, 1.0)
            clock.wait_us(step_us)
        display.operation(row(name))
    return stream.getvalue().splitlines()


@cache
def finished_campaign():
    (operation,) = [op for op in sample.passing().operations if op["operation"] == "fido2.reset"]
    return operation


def row(name):
    return {**finished_campaign(), "operation": name}


@settings(max_examples=30)
@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 3),
    st.integers(1, 60),
    st.integers(1, 30),
)
def test_lines_depend_on_files_campaigns_and_time_only(files, few, many, campaigns, reports, seconds):
    names = [f"conformance/test_{number}.py" for number in range(files)]
    operations = [f"op{number}" for number in range(campaigns)]
    us = seconds * 1_000_000
    lines = len(log(names, few, operations, reports, us))
    assert lines == len(log(names, many, operations, reports, us)), "more cases, the same lines"
    finer = log(names, few, operations, reports * 10, us // 10)
    steps = campaigns * (reports * us // PLAIN_EVERY_US + 1)
    head = len(log([], 0, [], 0, 0))
    # The last file is said at the end of the run.
    assert len(finer) <= head + files - 1 + campaigns + steps
    assert lines <= head + files - 1 + campaigns + steps


def test_the_default_runs_log_is_short(tmp_path):
    """With the files and operations that there are, in two minutes of campaigns that take more than 10 s each."""
    nodes = (ROOT / "tests" / "golden" / "node_ids.txt").read_text().split()
    files = sorted({node.partition("::")[0] for node in nodes if node.startswith(SUITES) and "::" in node})
    operations = list(discover().keys["nitrokey3-mini"].operations)
    assert len(files) > 20
    assert len(operations) > 30
    made = sample.passing()
    clock, stream = VirtualClock(), io.StringIO()
    display = RunDisplay(stream, clock=clock)
    display.started(HEAD)
    for file in files:
        for number in range(30):
            display.case(case(file, number))
    for number, name in enumerate(operations):
        for done in range(40 if number < 4 else 1):
            display.campaign("nk3-mini", name, done, 40, 100.0, 1.0)
            clock.wait_us(1_000_000)
        display.operation(row(name))
    summary = build_summary(made.write(tmp_path / "run"))
    rows = [{**summary["operations"][0], "operation": name} for name in operations]
    display.finished({**summary, "operations": rows})
    assert len(stream.getvalue().splitlines()) <= MOST


def test_a_campaign_that_found_something_is_said_at_once():
    clock, stream = VirtualClock(), io.StringIO()
    display = RunDisplay(stream, clock=clock)
    display.started(HEAD)
    for name, violations in (("first", 0), ("second", 0), ("third", 1)):
        display.operation({**row(name), "violations": violations})
    said = [word for word in ("first", "second", "third") if f" {word} " in stream.getvalue()]
    assert said == ["first", "third"], "one line every 10 s, and what is wrong"


def test_a_verbose_log_has_a_line_for_each_case():
    assert len(log(["a/test_a.py"], 9, [], 0, 0, verbosity=1)) == len(log([], 0, [], 0, 0)) + 9
