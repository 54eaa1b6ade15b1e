"""junit.xml as servers read it: opened by the package that many of them use."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import junitparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import files
from harness.report.junit import address_of, write_junit
from harness.report.summary import conclude
from support.report import sample


def written(made: sample.Sample, run_dir, required=None):
    """The file of a sample, by (suite, rig); the campaigns' cases say which operation they cut, as real ones do."""
    for case in made.results:
        if case["suite"] == "endurance":
            case["operation"] = (
                case["nodeid"].rpartition("[")[2].removesuffix("]").partition(f"{case['rig']}-")[2]
            )
    made.write(run_dir)
    summary, _ = conclude(run_dir)
    write_junit(run_dir, summary, made.results, made.operations, required)
    return junitparser.JUnitXml.fromfile(run_dir / files.JUNIT)


def properties(element) -> dict[str, str]:
    return {one.name: one.value for one in element.properties()}


def case_of(xml, end: str) -> junitparser.TestCase:
    (found,) = [case for suite in xml for case in suite if case.name.endswith(end)]
    return found


def test_a_suite_for_each_suite_and_rig_with_what_it_proves(tmp_path):
    made = sample.hardware()
    made.results += [
        {**row, "rig": "mini-2", "nodeid": row["nodeid"].replace("mini-1", "mini-2")} for row in made.results
    ]
    made.results += [endurance(rig, "fido2.client_pin.change") for rig in ("mini-1", "mini-2")]
    xml = written(made, tmp_path / "run")
    suites = {suite.name: suite for suite in xml}
    expected = {
        f"{suite} on {rig}"
        for suite in ("conformance", "downgrade", "endurance")
        for rig in ("mini-1", "mini-2")
    }
    assert set(suites) == expected
    assert sum(suite.tests for suite in xml) == len(made.results)
    of = properties(suites["endurance on mini-2"])
    assert (of["verdict"], of["proof"], of["seed"]) == ("pass", "bounded", "20261120")
    assert (of["firmware"], of["evidence_kind"], of["cuts"]) == ("v1.8.3", "hardware", "918")
    assert properties(suites["conformance on mini-1"])["cuts"] == "0"


def endurance(rig: str, operation: str, outcome: str = "passed", **more):
    nodeid = f"endurance/test_power_cut.py::test_power_cut[{rig}-{operation}]"
    blank = {"blame": None, "reason": None, "duration_s": 2.8}
    return {"nodeid": nodeid, "suite": "endurance", "rig": rig, "outcome": outcome, **blank, **more}


def test_a_campaign_has_its_counts_and_its_own_failure(tmp_path):
    xml = written(sample.failing(), tmp_path / "run")
    case = case_of(xml, "-fido2.get_assertion]")
    (failure,) = case.result
    assert isinstance(failure, junitparser.Failure)
    lost = 'S1: Sign in, cut 3.2 ms after "request sent": attestation certificate lost'
    assert failure.message == f"{lost} (and 1 more)"
    assert "keyharness replay kh1:nk3-mini/fido2.get_assertion:20261120:" in failure.text
    assert failure.type == "S1"
    of = {one.get("name"): one.get("value") for one in case._elem.iterfind("properties/property")}
    counts = (of["cuts"], of["outcome.lost"], of["outcome.stuck"], of["violations"], of["proof"])
    assert counts == ("123", "17", "2", "19", "exhaustive")
    passed = case_of(xml, "-fido2.client_pin.set]")
    assert passed.is_passed
    failed = case_of(xml, "::test_busy[nk3-mini]".removeprefix("::"))
    assert "answered with 0x7F" in failed.result[0].message


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"missed": {"all": [9, 100]}}, "9 of 100 cuts missed in section all"),
        ({"complete": False}, "the campaign did not come to its end"),
        (
            {"goal": {"confidence": 0.99, "below": 0.001}, "exhaustive": False},
            "the goal of below 0.1 % (99 %) was not reached",
        ),
    ],
)
def test_a_campaign_that_proves_nothing_is_an_error(tmp_path, change, why):
    made = sample.passing()
    made.operations[2] |= change
    xml = written(made, tmp_path / "run")
    wrong = [case for suite in xml for case in suite if case.is_error]
    assert [case.name for case in wrong] == [f"test_campaign[nk3-mini-{made.operations[2]['operation']}]"]
    assert why in wrong[0].result[0].message
    assert wrong[0].result[0].type == "inconclusive"


def test_what_the_rig_did_wrong_is_no_failure_of_the_key(tmp_path):
    made = sample.passing()
    for at, (outcome, blame) in enumerate(
        [("failed", "rig"), ("failed", "key"), ("error", "harness"), ("failed", None)]
    ):
        made.results[at] |= {"outcome": outcome, "blame": blame, "reason": "it did not switch"}
    xml = written(made, tmp_path / "run")
    found = [
        (type(case.result[0]).__name__, case.result[0].type) for suite in xml for case in suite if case.result
    ]
    assert found[:4] == [("Error", "rig"), ("Failure", "key"), ("Error", "harness"), ("Failure", "key")]


def test_less_proof_than_was_asked_for_is_an_error(tmp_path):
    made = sample.passing()
    made.head["asked"] = {"require": "exhaustive"}
    made.operations[0] |= {"exhaustive": False, "bound": {"confidence": 0.99, "below": 0.01}}
    xml = written(made, tmp_path / "run", "exhaustive")
    assert sum(suite.errors for suite in xml) == 1
    assert "--require exhaustive" in case_of(xml, f"{made.operations[0]['operation']}]").result[0].message


def test_a_run_that_proves_nothing_has_an_error_even_if_each_case_passed(tmp_path):
    made = sample.passing()
    made.finish["interrupted"] = True
    xml = written(made, tmp_path / "run")
    (suite,) = [suite for suite in xml if suite.errors]
    (case,) = suite
    assert (case.classname, case.name, case.result[0].type) == ("keyharness", "verdict", "interrupted")
    made.finish["interrupted"] = False
    assert not sum(suite.errors for suite in written(made, tmp_path / "run")), "remade, the error is gone"


def test_what_pytest_wrote_of_a_case_is_kept_and_the_file_can_be_made_again(tmp_path):
    made = sample.failing()
    run_dir = made.write(tmp_path / "run")
    busy = made.results[3]
    (run_dir / files.JUNIT).write_text(
        '<testsuites><testsuite name="pytest"><testcase classname="conformance.test_ctaphid" '
        'name="test_busy[nk3-mini]"><properties><property name="clause" value="11.2"/></properties>'
        "<failure message='m'>a traceback &lt;here&gt;</failure><system-out>said</system-out></testcase>"
        '<testcase classname="mine" name="test_of_no_rig"><error message="x"/></testcase>'
        '<testcase classname="mine" name="test_cut_short"><properties><property name="rig" value="nk3-mini"/>'
        "</properties></testcase></testsuite></testsuites>"
    )
    assert busy["nodeid"].endswith("::test_busy[nk3-mini]")
    xml = written(made, run_dir)
    case = case_of(xml, "test_busy[nk3-mini]")
    assert case.result[0].text == "a traceback <here>"
    assert case.system_out == "said"
    assert case_of(xml, "test_of_no_rig").is_error
    assert not [case for suite in xml for case in suite if case.name == "test_cut_short"], "it never ended"
    before = (run_dir / files.JUNIT).read_bytes()
    written(made, run_dir)
    assert (run_dir / files.JUNIT).read_bytes() == before


@given(st.text() | st.sampled_from(["\x1b[31m", "\x00", "\ufffe", "\ud800", "]]>", "<&>\"'"]))
def test_whatever_a_key_answers_is_xml(tmp_path_factory, reason):
    run_dir = tmp_path_factory.mktemp("run")
    case = {"nodeid": f"a/test_b.py::test_c[{reason}]", "outcome": "failed", "reason": reason, "rig": reason}
    summary = {
        **dict.fromkeys(("started", "proof", "seed", "version"), None),
        "run": reason,
        "bench": reason,
        "verdict": "fail",
        "evidence_kind": [],
        "rigs": [],
        "violations": [],
        "reasons": [reason],
    }
    write_junit(run_dir, summary, [case], [])
    (read,) = ET.parse(run_dir / files.JUNIT).getroot().iter("testcase")
    assert read.find("failure") is not None


@pytest.mark.parametrize(
    ("nodeid", "address"),
    [
        ("conformance/test_u2f.py::test_version[nk3-57]", ("conformance.test_u2f", "test_version[nk3-57]")),
        ("test_a.py::TestB::test_c", ("test_a.TestB", "test_c")),
        ("a/test_b.py::test_c[x::y/z.py]", ("a.test_b", "test_c[x::y/z.py]")),
    ],
)
def test_the_names_are_those_of_pytest(nodeid, address):
    from _pytest.junitxml import mangle_test_address

    *classes, name = mangle_test_address(nodeid)
    assert address_of(nodeid) == address == (".".join(classes), name)
