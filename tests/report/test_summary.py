"""summary.json from a run's files, whole and damaged."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from harness.report.schema import Summary, check_evidence, check_summary
from harness.report.summary import build_summary, conclude
from harness.report.verdict_text import verdict_block, verdict_label
from support.report import sample


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "reports" / sample.RUN


@pytest.mark.parametrize(
    ("made", "name", "code"),
    [
        (sample.passing(), "pass", 0),
        (sample.failing(), "fail", 1),
        (sample.hardware(), "pass", 0),
        (sample.hardware(bad=0.01), "fail", 1),
        (sample.hardware(missed=30), "inconclusive", 3),
    ],
    ids=["pass", "fail", "hardware", "hardware fail", "hardware missed"],
)
def test_the_contract_holds(run_dir, made, name, code):
    summary, exit_code = conclude(made.write(run_dir))
    assert (summary["verdict"], exit_code) == (name, code)
    check_summary((run_dir / "summary.json").read_bytes())
    assert json.loads((run_dir / "summary.json").read_text()) == summary
    for line in (run_dir / "evidence.jsonl").read_bytes().splitlines():
        check_evidence(line)


def test_totals(run_dir):
    made = sample.passing()
    summary = build_summary(made.write(run_dir))
    assert summary["cuts"] == len(made.evidence) == sum(op["cuts"] for op in summary["operations"])
    assert summary["distinct_states"] == sum(op["distinct_states"] for op in made.operations)
    assert summary["suites"]["conformance"] == {
        "passed": 21,
        "failed": 0,
        "skipped": 0,
        "not_offered": 1,
        "error": 0,
        "deviation": 0,
    }
    assert summary["evidence_kind"] == ["twin"]
    assert summary["complete"] is True
    assert summary["cuts_per_s"] == pytest.approx(148, rel=0.01)
    assert [row["operation"] for row in summary["operations"]] == sorted(sample.OPERATIONS)
    (hot, cold) = sorted(summary["wear"], key=lambda row: -row["used"])
    assert hot == {
        "rig": "nk3-mini",
        "what": "internal page 4",
        "used": 3 * summary["cuts"],
        "limit": 10_000,
        "estimated": True,
    }
    assert cold["limit"] == 100_000


def test_a_violation(run_dir):
    summary = build_summary(sample.failing().write(run_dir))
    lost, stuck = summary["violations"]
    assert lost["text"].splitlines() == [
        'item "attestation certificate" lost',
        'narrowest: 3.2 ms after "request sent" (flash op 17, erase of page 4, torn)',
        "the key said status ok and answered without x5c",
    ]
    assert (lost["severity"], lost["blame"], lost["rig"], lost["law"]) == ("S1", "key", "nk3-mini", "kept")
    assert lost["first"].startswith("kh1:nk3-mini/fido2.get_assertion:20261120:op")
    assert lost["count"] > lost["covering_count"] > 0
    assert "stuck" in stuck["text"]


def test_missed_cuts_are_not_judged(run_dir):
    summary = build_summary(sample.hardware(missed=5).write(run_dir))
    assert (summary["missed_cuts"], summary["cuts"]) == (10, 2 * 918 - 10)
    assert summary["verdict"] == "pass"


def test_a_switch_that_strays_and_unresolved_cuts_are_counted_and_stand_in_the_headline(run_dir):
    made = sample.hardware()
    first, second = made.operations
    stray = "the key was gone 352.0 ms after the order"
    switch = {"name": "hub, hub port 1-1.4.1", "calibrated": True, "cuts": 900, "strayed": 5, "first": None}
    first["switch"] = switch
    second["switch"] = {**switch, "strayed": 95, "first": stray}
    mine = [row for row in made.evidence if row["rig"] == second["rig"]]
    rest = [row for row in mine if row["outcome"] != "missed"]
    for row in rest[:40]:
        row["landed"] = None
    second.update(cuts=second["cuts"] - 40, unresolved=40)
    summary = build_summary(made.write(run_dir))
    assert summary["unresolved_cuts"] == 40
    assert summary["cuts"] == sum(op["cuts"] for op in made.operations)
    assert [rig["switch"]["strayed"] for rig in summary["rigs"]] == [5, 95]
    assert summary["rigs"][1]["switch"]["first"] == stray
    assert summary["verdict"] == "inconclusive"
    assert verdict_label(summary) == "INCONCLUSIVE (the switch of mini-2 strayed in 95 of 900 cuts)"
    assert any("unresolved cuts 40" in line for line in verdict_block(summary))
    check_summary(json.dumps(summary))


def test_what_an_unresolved_cut_has_lost_is_lost_wherever_the_power_went(run_dir):
    made = sample.failing()
    bad = next(row for row in made.evidence if row["blame"] == "key")
    before = build_summary(made.write(run_dir))
    bad["landed"] = None
    after = build_summary(made.write(run_dir))
    assert after["verdict"] == before["verdict"] == "fail"
    assert (after["cuts"], after["unresolved_cuts"]) == (before["cuts"], 0)


def test_the_same_run_gives_the_same_summary(run_dir, tmp_path):
    made = sample.failing()
    first = build_summary(made.write(run_dir))
    made.results.reverse()
    made.operations.reverse()
    again = build_summary(made.write(tmp_path / "again"))
    assert json.dumps(first) == json.dumps(again)


def test_a_killed_run(run_dir):
    made = sample.failing()
    made.finish = None
    made.operations = [op for op in made.operations if op["operation"] != "fido2.get_assertion"]
    made.write(run_dir)
    with (run_dir / "evidence.jsonl").open("a") as file:
        file.write('{"id": "kh1:nk3-mini/fido2.get_as')
    summary, code = conclude(run_dir)
    check_summary((run_dir / "summary.json").read_bytes())
    assert (summary["verdict"], code, summary["complete"]) == ("fail", 1, False)
    said = "\n".join(summary["reasons"])
    assert "the run was also cut short: the run ended without a word" in said
    assert "evidence.jsonl: the last line is half-written; it was left out" in said
    # The campaign wrote no line: its cuts and its violations are counted from the evidence.
    (op,) = [op for op in summary["operations"] if op["operation"] == "fido2.get_assertion"]
    assert (op["exhaustive"], op["bound"], op["distinct_states"]) == (False, None, None)
    assert op["violations"] > 0
    assert [v["first"] is not None for v in summary["violations"]] == [True, True]
    assert sum(v["count"] for v in summary["violations"]) == op["violations"]


def test_an_interrupted_run(run_dir):
    made = sample.passing()
    made.finish = {**made.finish, "complete": False, "interrupted": True}
    summary, code = conclude(made.write(run_dir))
    assert (summary["verdict"], code) == ("interrupted", 2)
    assert summary["reasons"] == ["the run was interrupted"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("evidence.jsonl", b'{"rig": "x"', "evidence.jsonl: the last line is half-written"),
        ("evidence.jsonl", b"\0\0\0\0\n", "left out: it is not JSON"),
        ("evidence.jsonl", b'{"rig": "a", "operation": "b", "outcome": "fine"}\n', "its outcome is 'fine'"),
        ("results.jsonl", b"[1]\n", "it is not a JSON object"),
        (
            "results.jsonl",
            b'{"nodeid": "x", "outcome": "passed',
            "results.jsonl: the last line is half-written",
        ),
        ("operations.jsonl", b"\xff\xfe\n{}\n", "and 1 more left out"),
        ("finish.json", b'{"complete": tr', "finish.json: unreadable"),
    ],
)
def test_damage_is_tolerated_and_told(run_dir, name, text, said):
    sample.passing().write(run_dir)
    path = run_dir / name
    path.write_bytes(text if name == "finish.json" else path.read_bytes() + text)
    summary = build_summary(run_dir)
    assert any(said in reason for reason in summary["reasons"]), summary["reasons"]
    # What may have been lost may have been a failure.
    assert summary["verdict"] in ("inconclusive", "interrupted")
    assert summary["cuts"] == 1813


def test_lost_evidence_is_noticed(run_dir):
    made = sample.passing()
    made.evidence = made.evidence[:-5]
    summary = build_summary(made.write(run_dir))
    assert summary["verdict"] == "inconclusive"
    assert "judged cuts of fido2.reset on nk3-mini" in summary["reasons"][0]


@pytest.mark.parametrize("keep", [(), ("run.json",), ("run.json", "results.jsonl")])
def test_any_remains_give_a_summary(run_dir, keep):
    sample.passing().write(run_dir)
    for path in run_dir.iterdir():
        if path.is_file() and path.name not in keep:
            path.unlink()
    summary, code = conclude(run_dir)
    check_summary((run_dir / "summary.json").read_bytes())
    assert (summary["verdict"], code) == ("interrupted", 2)
    assert summary["run"] == sample.RUN


def test_rig_faults_are_counted(run_dir):
    made = sample.hardware()
    made.results.append(
        {**made.results[0], "nodeid": "y", "outcome": "error", "blame": "rig", "reason": "hub"}
    )
    for row in made.evidence[:3]:
        row["blame"] = "rig"
    made.evidence[3].update(outcome="missed", blame="rig")
    summary = build_summary(made.write(run_dir))
    assert summary["rig_faults"] == 4
    assert summary["verdict"] == "inconclusive"


def test_a_resumed_run_counts_a_case_once(run_dir):
    made = sample.passing()
    made.results.append({**made.results[0], "outcome": "failed", "blame": "key", "reason": "now it does"})
    summary = build_summary(made.write(run_dir))
    assert summary["suites"]["conformance"]["passed"] == 20
    assert summary["suites"]["conformance"]["failed"] == 1


def test_the_schema_refuses_what_is_not_in_the_contract(run_dir):
    summary = build_summary(sample.passing().write(run_dir))
    with pytest.raises(ValidationError):
        check_summary(json.dumps({**summary, "extra": 1}))
    with pytest.raises(ValidationError):
        check_summary(json.dumps({**summary, "verdict": "fine"}))
    del summary["wear"]
    with pytest.raises(ValidationError):
        check_summary(json.dumps(summary))
    assert "operations" in Summary.model_json_schema()["required"]


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "fine"},
        {"id": "kh1:x"},
        {"planned": {"flash_op": 0, "phase": "before"}},
        {"planned": {"marker": "request sent", "offset_us": 1}},
        {"stream": "random"},
    ],
)
def test_the_schema_refuses_evidence(change):
    row = sample.passing().evidence[0]
    check_evidence(json.dumps(row))
    with pytest.raises(ValidationError):
        check_evidence(json.dumps({**row, **change}))


def test_whether_a_finding_comes_back_is_said(tmp_path):
    made = sample.failing()
    op = next(op for op in made.operations if op["findings"])
    again = {
        "outcome": "lost",
        "reproduced": [4, 5],
        "interval": [0.2836, 0.9949],
        "read": ["lost", "lost", "lost"],
        "cycle": ["lost", "lost"],
        "metastable": False,
        "history": ["request-sent+1us"],
    }
    op["findings"][0]["again"] = again
    (text,) = [
        v["text"] for v in build_summary(made.write(tmp_path / "a"))["violations"] if "came" in v["text"]
    ]
    assert text.splitlines()[-1] == (
        "came back 4 of 5 times at the same instant (28 to 99 %, with 95 %); the same when read again and after "
        "power cycles; not without 1 cut before it: request-sent+1us"
    )
    again |= {"read": ["lost", "old", "lost"], "metastable": True, "history": None}
    (text,) = [
        v["text"] for v in build_summary(made.write(tmp_path / "b"))["violations"] if "came" in v["text"]
    ]
    assert text.endswith("read again and after power cycles it was lost, old, lost, lost, lost")
    assert "it changes without being cut" in text
