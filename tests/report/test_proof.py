"""What a run proves: of each operation, of the run, in the headline, and where more is required."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.page import page
from harness.report.proof import PROOFS, proof_of, proof_of_run, proof_words, unmet
from harness.report.schema import check_summary
from harness.report.summary import conclude
from harness.report.verdict import verdict
from harness.report.verdict_text import verdict_block
from support.report import sample

WALKED = {"rig": "mini", "operation": "a", "exhaustive": True, "bound": None, "cuts": 97}
BOUNDED = {
    **WALKED,
    "operation": "b",
    "exhaustive": False,
    "bound": {"confidence": 0.99, "below": 0.01},
    "covering_cuts": 459,
}
SAMPLED = {**WALKED, "operation": "c", "exhaustive": False}


@pytest.mark.parametrize(
    ("row", "proof"),
    [
        (WALKED, "exhaustive"),
        (BOUNDED, "bounded"),
        (SAMPLED, "sample"),
        ({**BOUNDED, "bound": {"confidence": 0.99, "below": 1.0}}, "sample"),
        ({"rig": "mini", "operation": "unfinished"}, "sample"),
    ],
    ids=["walked", "bounded", "sampled", "below 100 %", "unfinished"],
)
def test_an_operation_proves(row, proof):
    assert proof_of(row) == proof


@pytest.mark.parametrize(
    ("operations", "proof", "words"),
    [
        ([], None, ""),
        ([WALKED], "exhaustive", "exhaustive"),
        ([WALKED, BOUNDED], "bounded", "bounded: below 1 % of instants, 99 %"),
        ([WALKED, BOUNDED, SAMPLED], "sample", "sample: 1 of 3 operations have no bound"),
        ([SAMPLED], "sample", "sample: 1 of 1 operation has no bound"),
        (
            [BOUNDED, {**BOUNDED, "bound": {"confidence": 0.99, "below": 0.2}, "covering_cuts": 21}],
            "bounded",
            "bounded: below 20 % of instants, 99 %",
        ),
    ],
)
def test_a_run_proves_what_its_weakest_operation_does(operations, proof, words):
    assert proof_of_run(operations) == proof
    assert proof_words(operations) == words


@given(st.lists(st.sampled_from([WALKED, BOUNDED, SAMPLED]), min_size=1), st.sampled_from(PROOFS[1:]))
def test_what_is_required_is_unmet_where_the_run_proves_less(operations, required):
    proved = PROOFS.index(proof_of_run(operations))
    assert bool(unmet(operations, required)) == (proved < PROOFS.index(required))


@pytest.mark.parametrize(
    ("required", "operations", "reason"),
    [
        ("bounded", [WALKED, SAMPLED], "--require bounded: 1 of 2 operations is not bounded: c on mini"),
        (
            "exhaustive",
            [WALKED, BOUNDED, SAMPLED],
            "--require exhaustive: 2 of 3 operations were not cut exhaustively: b on mini, c on mini",
        ),
        (
            "bounded",
            [{**SAMPLED, "operation": f"op{n}"} for n in range(7)],
            "--require bounded: 7 of 7 operations are not bounded: op0 on mini, op1 on mini, op2 on mini, "
            "op3 on mini, op4 on mini and 2 more",
        ),
        ("bounded", [], "--require bounded: no power was cut, so nothing is proved"),
    ],
)
def test_what_is_required_and_not_proved_is_inconclusive(required, operations, reason):
    passed = {"nodeid": "a", "outcome": "passed"}
    ruling = verdict(cases=[passed], operations=operations, judged_cuts=9, required=required)
    assert (ruling.verdict, ruling.exit_code, ruling.reasons) == ("inconclusive", 3, (reason,))
    assert verdict(cases=[passed], operations=operations, judged_cuts=9).verdict == "pass"


def test_what_is_required_of_an_operation_that_fails_is_not_asked():
    found = {"severity": "S1", "blame": "key", "rig": "mini", "operation": "c", "count": 1}
    ruling = verdict(
        operations=[{**SAMPLED, "violations": 1}], violations=[found], judged_cuts=9, required="bounded"
    )
    assert (ruling.verdict, len(ruling.reasons)) == ("fail", 1)


def sampled_run(**asked):
    made = sample.passing(asked={"require": None, **asked})
    for op in made.operations[2:]:
        op["exhaustive"] = False
    return made


def test_the_summary_says_it_and_the_headline(tmp_path):
    run = sampled_run().write(tmp_path / "run")
    summary, code = conclude(run)
    check_summary((run / "summary.json").read_bytes())
    assert (code, summary["verdict"], summary["proof"]) == (0, "pass", "sample")
    assert sorted(op["proof"] for op in summary["operations"]) == ["exhaustive"] * 2 + ["sample"] * 4
    words = "PASS (sample: 4 of 6 operations have no bound)"
    assert verdict_block(summary, width=200)[0].startswith(f"      {words}   model run")
    assert words in page(summary)


def test_a_run_without_campaigns_has_no_proof(tmp_path):
    made = sample.passing()
    made.operations, made.evidence = [], []
    summary, _ = conclude(made.write(tmp_path / "run"))
    assert (summary["verdict"], summary["proof"]) == ("pass", None)
    assert verdict_block(summary, width=200)[0].startswith("      PASS   model run")


def test_a_fail_is_no_proof(tmp_path):
    summary, _ = conclude(sample.failing().write(tmp_path / "run"))
    assert verdict_block(summary, width=200)[0].startswith("      FAIL   model run")


def test_the_report_made_again_requires_what_the_run_required(tmp_path):
    run = sampled_run(require="bounded").write(tmp_path / "run")
    summary, code = conclude(run)
    assert (summary["verdict"], code) == ("inconclusive", 3)
    (reason,) = summary["reasons"]
    assert reason.startswith("--require bounded: 4 of 6 operations are not bounded: ")
    assert json.loads((run / "summary.json").read_text())["proof"] == "sample"


def test_a_damaged_demand_for_proof_is_not_met():
    assert unmet([{"exhaustive": True}], "\u2028x") == [
        "the proof that the run was asked for is none: '\\u2028x'"
    ]
