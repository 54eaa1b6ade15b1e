"""A log stays short: its lines depend on files, campaigns and time, not on the number of cases and cuts."""

from __future__ import annotations

import io
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.base.clock import VirtualClock
from harness.bench.registry import discover
from harness.report.notable import FEW, UNBOUND, notable
from harness.report.summary import build_summary
from harness.report.terminal import FILES_SAID, PLAIN_EVERY_US, RunDisplay
from support.paths import ROOT
from support.report import sample

MOST = 150
"""Lines of the default run's log."""
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


@pytest.fixture(scope="module")
def default_log(tmp_path_factory):
    """A log with the files of all suites and the operations of all keys, in two minutes of campaigns."""
    nodes = (ROOT / "tests" / "golden" / "node_ids.txt").read_text().split()
    files = sorted({node.partition("::")[0] for node in nodes if "::" in node})
    # Each name of an operation once for each key that has it.
    operations = [(key.name, name) for key in discover().keys.values() for name in key.operations]
    assert len(files) > 50
    assert len(operations) > 107
    made = sample.passing()
    clock, stream = VirtualClock(), io.StringIO()
    display = RunDisplay(stream, clock=clock)
    display.started({**HEAD, "rigs": [{**HEAD["rigs"][0], "name": name} for name in discover().keys]})
    for file in files:
        for number in range(30):
            display.case(case(file, number))
        clock.wait_us(400_000)
    for number, (rig, name) in enumerate(operations):
        for done in range(40 if number < 2 else 1):
            display.campaign(rig, name, done, 40, 100.0, 1.0)
            clock.wait_us(1_000_000)
        display.operation({**row(name), "rig": rig})
    summary = build_summary(made.write(tmp_path_factory.mktemp("a") / "run"))
    (op, *_) = summary["operations"]
    rows = [
        {**op, "rig": rig, "operation": name, "exhaustive": n % 3 > 0}
        for n, (rig, name) in enumerate(operations)
    ]
    display.finished({**summary, "operations": rows})
    return stream.getvalue(), files, rows


def test_the_default_runs_log_is_short(default_log):
    log, *_ = default_log
    assert len(log.splitlines()) <= MOST, log


def test_each_of_the_first_files_has_a_line_and_the_others_are_counted(default_log):
    log, files, _ = default_log
    named = [file for file in files if f" {file} " in log]
    assert len(named) == FILES_SAID
    together = [int(count) for count in re.findall(r"cases +(\d+) files? ", log)]
    assert len(together) > 1
    assert len(named) + sum(together) == len(files)


def test_the_end_names_what_has_no_bound_and_counts_the_others(default_log):
    log, _, rows = default_log
    end = log[log.index("endurance\n" if "endurance\n" in log else "endurance ") :]
    unbound = [op for op in rows if not op["exhaustive"]]
    assert len(unbound) > UNBOUND
    assert [f" {op['rig']} {op['operation']} " in end for op in unbound] == [
        n < UNBOUND for n in range(len(unbound))
    ]
    others = f"{len(rows) - UNBOUND} more operations without a violation: "
    others += f"{len(rows) - len(unbound)} cut at every modelled flash operation, "
    assert f"{others}{len(unbound) - UNBOUND} without a bound" in end


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=120))
def test_no_operation_with_a_violation_is_only_counted(kinds):
    rows = [
        {
            **finished_campaign(),
            "operation": f"op{n}",
            "violations": int(bad),
            "exhaustive": whole,
            "bound": None,
        }
        for n, (bad, whole) in enumerate(kinds)
    ]
    named, more = notable(rows)
    assert [op for op in named if op["violations"]] == [op for op in rows if op["violations"]]
    assert len(named) + int((more or "0").split()[0]) == len(rows)
    if len(rows) <= FEW:
        assert named == rows


def test_a_file_with_a_case_that_failed_always_has_a_line(tmp_path):
    clock, stream = VirtualClock(), io.StringIO()
    display = RunDisplay(stream, clock=clock)
    display.started(HEAD)
    for number in range(FILES_SAID + 9):
        outcome = "failed" if number == FILES_SAID + 3 else "passed"
        display.case({**case(f"conformance/test_{number}.py", 0), "outcome": outcome})
    display.finished(build_summary(sample.passing().write(tmp_path / "run")))
    assert f"conformance/test_{FILES_SAID + 3}.py   1 failed" in stream.getvalue()
    assert " 8 files   8 passed" in stream.getvalue()


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


def test_operations_that_are_all_counted_are_no_others():
    rows = [{**finished_campaign(), "operation": f"op{n}", "exhaustive": True} for n in range(FEW + 1)]
    assert notable(rows) == (
        [],
        f"{FEW + 1} operations without a violation: {FEW + 1} cut at every modelled flash operation",
    )
