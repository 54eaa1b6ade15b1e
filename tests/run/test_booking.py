"""A violation that is found in the rest of a budget is booked on the operation's own case."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from support.report.results import allure_results, parameter

CASE = "test_power_cut[nk3-mini-fido2.get_assertion]"
REST = "test_where_outcomes_are_new[nk3-mini]"
# The first share of two cuts finds nothing. update.refused cannot take any of the rest, whose third cut does harm.
RUN = (
    *("run", "endurance", "--seed", "1", "--bench", "late-replay.toml", "--cuts", "7"),
    *("--operation", "fido2.get_assertion", "--operation", "update.refused"),
)


@pytest.mark.long
@pytest.mark.parametrize("workers", [(), ("--", "-n", "auto")], ids=["alone", "auto"])
def test_it_is_booked_on_the_operation(cli, workers):
    done = cli(*RUN, *workers)
    assert done.returncode == 1, done.stdout + done.stderr
    cases = [json.loads(line) for line in (cli.run_dir / "results.jsonl").read_text().splitlines()]
    of_case = [row["outcome"] for row in cases if row["nodeid"].endswith(CASE)]
    assert of_case == ["passed", "failed"]
    assert [row["outcome"] for row in cases if row["nodeid"].endswith(REST)] == ["passed"]
    in_the_terminal(done.stdout)
    in_the_summary(cli.run_dir)
    in_junit(cli.run_dir)
    in_allure(cli.run_dir)


def in_the_terminal(text):
    assert len([line for line in text.splitlines() if "  failed  " in line and CASE in line]) == 1
    assert "4 passed · 1 failed" in text


def in_the_summary(run):
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["suites"]["endurance"]["passed"], summary["suites"]["endurance"]["failed"]) == (4, 1)
    assert not any("test_power_cut" in reason for reason in summary["reasons"]), "its finding says more"


def in_junit(run):
    suite = next(ET.parse(run / "junit.xml").getroot().iter("testsuite"))
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "1", "0")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert len(cases) == len(list(suite.iter("testcase"))) == 5
    assert "S2 key" in cases[CASE].find("failure").text
    assert cases[REST].find("failure") is None


def in_allure(run):
    results = {f"{function(one)}[{parameter(one, 'case')}]": one for one in allure_results(run)}
    status = {name: one["status"] for name, one in results.items()}
    assert (status[CASE], status[REST]) == ("failed", "passed")
    booked = results[CASE]
    assert "S2 key" in booked["statusDetails"]["message"]
    labels = {(label["name"], label["value"]) for label in booked["labels"]}
    assert {("blame", "key"), ("outcome", "lost")} <= labels


def function(result):
    return result["fullName"].rpartition("#")[2]
