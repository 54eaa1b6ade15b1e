"""The verdict: a table of what a run was, and what is said of it."""

from __future__ import annotations

import pytest

from harness.report.causes import blame_of
from harness.report.verdict import INCONCLUSIVE, PASS, verdict

PASSED = {"nodeid": "a.py::a", "outcome": "passed", "blame": None, "reason": None}
SKIPPED = {**PASSED, "outcome": "skipped"}
NOT_OFFERED = {**PASSED, "outcome": "not_offered"}
OP = {"rig": "mini", "operation": "fido2.reset", "complete": True, "missed": {"keepalive": [0, 500]}}
FOUND = {"severity": "S1", "blame": "key", "rig": "mini", "operation": "fido2.reset", "count": 3}


def case(outcome: str, blame: str | None, reason: str = "so") -> dict[str, object]:
    return {"nodeid": f"x.py::{outcome}_{blame}", "outcome": outcome, "blame": blame, "reason": reason}


@pytest.mark.parametrize(
    ("told", "name", "code", "reason"),
    [
        pytest.param({"cases": [PASSED]}, "pass", 0, None, id="a case passed"),
        pytest.param(
            {"operations": [OP], "judged_cuts": 500}, "pass", 0, None, id="cuts without a violation"
        ),
        pytest.param({"violations": [FOUND]}, "fail", 1, "worst of severity S1: fido2.reset", id="S1"),
        pytest.param({"violations": [{**FOUND, "severity": "S2"}]}, "fail", 1, "S2", id="S2"),
        pytest.param(
            {"violations": [{**FOUND, "severity": "S3"}], "judged_cuts": 9},
            "pass",
            0,
            None,
            id="S3 is only reported",
        ),
        pytest.param(
            {"violations": [{**FOUND, "severity": None}]},
            "fail",
            1,
            "finding",
            id="an unknown severity is severe",
        ),
        pytest.param(
            {"cases": [case("failed", "key")]}, "fail", 1, "x.py::failed_key: so", id="case, the key's"
        ),
        pytest.param(
            {"cases": [case("failed", None)]}, "fail", 1, "failed: x.py", id="a failed claim is the key's"
        ),
        pytest.param(
            {"cases": [case("error", "key")]}, "fail", 1, "x.py::error_key", id="an error, the key's"
        ),
        pytest.param(
            {"cases": [case("error", None)]}, "inconclusive", 3, "harness fault: x.py", id="an error is ours"
        ),
        pytest.param(
            {"cases": [case("failed", "rig")]}, "inconclusive", 3, "rig fault: x.py", id="case, the rig's"
        ),
        pytest.param(
            {"cases": [case("failed", "harness")]}, "inconclusive", 3, "harness fault", id="case, ours"
        ),
        pytest.param(
            {"violations": [{**FOUND, "blame": "rig"}], "judged_cuts": 5},
            "inconclusive",
            3,
            "blamed on the rig",
            id="a violation that is the rig's",
        ),
        pytest.param(
            {"operations": [{**OP, "missed": {"keepalive": [11, 500]}}], "judged_cuts": 489},
            "inconclusive",
            3,
            "11 of 500 cuts missed in section keepalive (2.2 %",
            id="more than 2 % missed",
        ),
        pytest.param(
            {"operations": [{**OP, "missed": {"keepalive": [10, 500]}}], "judged_cuts": 490},
            "pass",
            0,
            None,
            id="2 % missed",
        ),
        pytest.param(
            {"operations": [{**OP, "complete": False}], "judged_cuts": 9},
            "inconclusive",
            3,
            "did not come to its end",
            id="a campaign that stopped",
        ),
        pytest.param(
            {
                "operations": [
                    {
                        **OP,
                        "goal": {"confidence": 0.99, "below": 0.01},
                        "bound": {"confidence": 0.99, "below": 0.05},
                        "covering_cuts": 90,
                    }
                ],
                "judged_cuts": 90,
            },
            "inconclusive",
            3,
            "goal of below 1 % (99 %) was not reached in 90 evenly spread cuts",
            id="the goal of confidence not reached",
        ),
        pytest.param(
            {
                "operations": [
                    {
                        **OP,
                        "goal": {"confidence": 0.99, "below": 0.01},
                        "bound": {"confidence": 0.99, "below": 0.01},
                        "covering_cuts": 459,
                    }
                ],
                "judged_cuts": 459,
            },
            "pass",
            0,
            None,
            id="the goal reached",
        ),
        pytest.param(
            {"faults": ["evidence.jsonl: torn"], "cases": [PASSED]}, "inconclusive", 3, "torn", id="damage"
        ),
        pytest.param({"cut_short": "killed", "cases": [PASSED]}, "interrupted", 2, "killed", id="killed"),
        pytest.param(
            {"cut_short": "Ctrl-C", "violations": [FOUND]},
            "fail",
            1,
            "also cut short: Ctrl-C",
            id="a fail, cut short",
        ),
        pytest.param(
            {"cut_short": "Ctrl-C", "cases": [case("error", "rig")]},
            "interrupted",
            2,
            "rig fault",
            id="both named",
        ),
        pytest.param({}, "nothing-tested", 5, "no test case was selected", id="nothing at all"),
        pytest.param(
            {"cases": [SKIPPED, NOT_OFFERED, NOT_OFFERED]},
            "nothing-tested",
            5,
            "of 3 cases 2 are not offered by this key and 1 were skipped",
            id="only skips",
        ),
        pytest.param(
            {"cases": [SKIPPED, case("error", "rig")]}, "inconclusive", 3, "rig fault", id="only rig faults"
        ),
        pytest.param({"usage": ["no such bench"]}, "inconclusive", 4, "usage: no such bench", id="usage"),
        pytest.param(
            {"cases": [case("error", "caller"), PASSED]},
            "inconclusive",
            4,
            "usage: caller fault",
            id="the caller's",
        ),
        pytest.param(
            {"usage": ["no PIN"], "violations": [FOUND]}, "fail", 4, "S1", id="usage hides no violation"
        ),
    ],
)
def test_verdict(told, name, code, reason):
    ruling = verdict(**told)
    assert (ruling.verdict, ruling.exit_code) == (name, code)
    if reason is None:
        assert ruling.reasons == ()
    else:
        assert any(reason in sentence for sentence in ruling.reasons), ruling.reasons


def test_many_reasons_are_counted():
    ruling = verdict(cases=[case("failed", "key", f"why {chr(97 + i) * 3}") for i in range(25)])
    assert len(ruling.reasons) == 11
    assert ruling.reasons[-1] == "15 more causes blamed on the key"


def test_a_reason_is_one_line():
    ruling = verdict(cases=[case("failed", "key", "one\n   two")])
    assert ruling.reasons == ("failed: x.py::failed_key: one two",)


@pytest.mark.parametrize(("row", "blame"), [(case("failed", None), "key"), (case("error", None), "harness")])
def test_blame_of(row, blame):
    assert blame_of(row) == blame


def switched(**switch):
    row = {"name": "lcus, lcus /dev/ttyUSB0 channel 1", "calibrated": True, "cuts": 100, "strayed": 0}
    return {"rig": "mini-1", "operation": "o", "cuts": 100, "covering_cuts": 60, "violations": 0} | {
        "switch": {**row, "first": None, **switch}
    }


@pytest.mark.parametrize(
    ("switch", "says"),
    [
        ({}, None),
        ({"strayed": 2}, None),
        ({"calibrated": False}, "is not calibrated as it is wired now, so where the power of 100 cuts went"),
        (
            {"strayed": 3, "first": "the key was gone 352.0 ms after the order"},
            "strayed in 3 of 100 cuts, and in at most 2 % it may: the key was gone 352.0 ms after the order",
        ),
    ],
)
def test_a_switch_that_is_not_to_be_believed_passes_nothing_and_is_named(switch, says):
    ruled = verdict(operations=[switched(**switch)], judged_cuts=100)
    if says is None:
        assert (ruled.verdict, ruled.reasons) == (PASS, ())
        return
    assert (ruled.verdict, ruled.exit_code) == (INCONCLUSIVE, 3)
    (reason,) = ruled.reasons
    assert reason.startswith("rig mini-1: its switch (lcus, lcus /dev/ttyUSB0 channel 1) ")
    assert says in reason
    assert "`keyharness calibrate mini-1`" in reason


def test_each_switch_is_named_once_for_all_of_its_operations():
    rows = [{**switched(strayed=strayed), "operation": str(strayed)} for strayed in (0, 5)]
    (reason,) = verdict(operations=rows, judged_cuts=200).reasons
    assert "strayed in 5 of 200 cuts" in reason


def test_an_operation_of_unresolved_cuts_alone_is_no_pass():
    row = {**switched(), "unresolved": 6, "covering_cuts": 0}
    ruled = verdict(operations=[row], judged_cuts=1)
    assert ruled.verdict == INCONCLUSIVE
    assert "6 cuts, and none is known to have gone inside the operation" in ruled.reasons[0]
    assert verdict(operations=[{**row, "covering_cuts": 9}], judged_cuts=9).verdict == PASS


def test_an_exit_code_that_is_not_the_verdicts_stands_beside_it():
    from harness.report.verdict import exit_code_of
    from harness.report.verdict_text import verdict_label

    ruling = verdict(usage=["the bench names no identity"])
    summary = {"verdict": ruling.verdict, "reasons": ruling.reasons, "rigs": [], "operations": []}
    assert verdict_label(summary) == "INCONCLUSIVE (usage: exit code 4)"
    assert exit_code_of(summary) == ruling.exit_code == 4
    calm = {**summary, "reasons": ["rig fault"]}
    assert (verdict_label(calm), exit_code_of(calm)) == ("INCONCLUSIVE", 3)
