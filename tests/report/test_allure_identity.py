"""A case has the same history id in every run, also where its parameters are functions."""

from __future__ import annotations

from allure_commons import model2

from harness.report.allure_identity import replace_history_id


def result(*parameters: model2.Parameter) -> model2.TestResult:
    return model2.TestResult(
        fullName="suite.test_x#test_y", parameters=list(parameters), historyId="as allure-pytest says"
    )


def case(name: str, value: str) -> model2.TestResult:
    made = result(
        model2.Parameter(name="case", value=repr(name)),
        model2.Parameter(name="seed", value="1", excluded=True),
        model2.Parameter(name="make", value=value),
    )
    replace_history_id(made)
    return made


def test_an_address_is_no_part_of_the_id():
    one, other = (case("rig-a", f"<function <lambda> at 0x7f{run}>") for run in ("00aa", "11bb"))
    assert one.historyId == other.historyId
    assert one.parameters[2].value == "<function <lambda>>"


def test_cases_are_still_told_apart():
    one, other = (case(name, "<function <lambda> at 0x7f00>") for name in ("rig-a", "rig-b"))
    assert one.historyId != other.historyId


def test_an_id_without_an_address_stays():
    assert case("rig-a", "b'\\x00'").historyId == "as allure-pytest says"
