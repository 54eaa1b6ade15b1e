"""The sentence of what a run asked of no key."""

from __future__ import annotations

import pytest

from harness.bench.bench import load_bench
from harness.bench.registry import discover
from harness.report.left_out import left_out
from harness.report.summary import build_summary
from harness.report.verdict_text import verdict_block
from harness.run.head import run_head
from harness.run.session import Session
from harness.run.wanted import Wanted
from support.report import sample


def case(nodeid, rig, outcome="not_offered", reason="not offered: no large blobs"):
    return {"nodeid": nodeid, "rig": rig, "outcome": outcome, "reason": reason}


def test_a_case_that_one_rig_offers_is_not_left_out():
    asked = [
        case("c/test_a.py::test_x[mini-1-wrong]", "mini-1"),
        case("c/test_a.py::test_x[wrong-all]", "all", "passed", None),
    ]
    assert left_out(asked, {}) is None
    # The same function with another parameter is another case.
    other = [*asked, case("c/test_a.py::test_x[mini-1-right]", "mini-1")]
    assert left_out(other, {}) == "left out: 1 case that no rig offers: no large blobs (1)"


def test_what_several_rigs_do_not_offer_is_counted_once_and_the_most_frequent_is_named_first():
    reasons = ["a", "b", "b", "c", "d"]
    cases = [
        case(f"c/test_a.py::test_{n}[{rig}]", rig, reason=f"not offered: {reason}")
        for n, reason in enumerate(reasons)
        for rig in ("one", "two")
    ]
    assert (
        left_out(cases, {}) == "left out: 5 cases that no rig offers: b (2), a (1), c (1), and 1 more reason"
    )


def test_versions_that_no_rig_starts_from():
    assert (
        left_out([], {"acme": ["1.0", "1.2"], "other": []})
        == "left out: no acme that starts from v1.0 or v1.2"
    )


def test_suites_that_the_bench_asks_of_no_rig_with_a_key():
    assert (
        left_out([], {}, {"acme": ["loss", "openpgp"], "other": ["pro"], "third": []})
        == "left out: suites loss and openpgp of acme; suite pro of other"
    )


@pytest.mark.parametrize(("asked", "said"), [(["openpgp", "pro"], True), (["pro"], False), (None, False)])
def test_a_suite_that_nobody_asked_for_is_not_left_out(tmp_path, asked, said):
    made = sample.passing()
    made.head["untried_starts"], made.head["untried_suites"] = {}, {"acme": ["openpgp"]}
    made.head["asked"] = {"suites": asked} if asked else {}
    notes = " ".join(build_summary(made.write(tmp_path / "run"))["notes"])
    assert ("suite openpgp of acme" in notes) is said


def test_it_is_one_line_of_summary_and_terminal(tmp_path):
    made = sample.passing()
    made.head["untried_starts"] = {"nitrokey3-mini": ["1.0.0"]}
    summary = build_summary(made.write(tmp_path / "run"))
    (said,) = [note for note in summary["notes"] if note.startswith("left out")]
    assert said.endswith("; no nitrokey3-mini that starts from v1.0.0")
    assert [line.strip() for line in verdict_block(summary, width=400) if "left out" in line] == [said]


def test_a_run_of_a_selection_says_nothing_of_it(tmp_path):
    summary = build_summary(sample.passing().write(tmp_path / "run"))
    assert not [note for note in summary["notes"] if note.startswith("left out")]


@pytest.mark.parametrize(
    ("wanted", "starts"),
    [
        (Wanted(seed=1), {"nitrokey3-mini": ["1.0.0"]}),
        (Wanted(seed=1, rigs=("nk3-mini",)), None),
        (Wanted(seed=1, cuts=5), None),
    ],
    ids=["whole", "one rig", "a budget"],
)
def test_the_default_bench_starts_from_every_version_that_keeps_data(wanted, starts):
    plugins = discover()
    session = Session(wanted, plugins, bench=load_bench(None, plugins))
    try:
        head = run_head(session)
        assert head.get("untried_starts") == starts
        assert head.get("untried_suites") == (starts and {"nitrokey-pro": ["openpgp", "loss"]})
    finally:
        session.close()
