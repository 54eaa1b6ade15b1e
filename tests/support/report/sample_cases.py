"""Test cases that label and attach as the pytest plugin does; run by the tests of the report in a child."""

import json
import os
from pathlib import Path

import pytest

from harness.base.errors import RigError
from harness.report import allure_labels, files
from harness.report.verdict_text import failure_text

RUN_DIR = Path(os.environ["SAMPLE_RUN_DIR"])
RESULTS = [json.loads(line) for line in (RUN_DIR / files.RESULTS).read_text().splitlines()]
OPERATIONS = [json.loads(line) for line in (RUN_DIR / files.OPERATIONS).read_text().splitlines()]
EVIDENCE = [json.loads(line) for line in (RUN_DIR / files.EVIDENCE).read_text().splitlines()]


CASES = {row["nodeid"]: row for row in RESULTS if row["suite"] != "endurance"}
CAMPAIGNS = {f"{row['rig']}-{row['operation']}": row for row in OPERATIONS}


@pytest.mark.parametrize("nodeid", CASES)
def test_case(nodeid):
    case = CASES[nodeid]
    group = case["nodeid"].partition("::")[0].rpartition("_")[2].removesuffix(".py")
    name = case["nodeid"].rpartition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
    allure_labels.label_case(
        suite=case["suite"],
        case=nodeid,
        application=group,
        title=name,
        rig=case["rig"],
        firmware="v1.8.3",
        seed=1,
    )
    if case["outcome"] == "not_offered":
        pytest.skip(case["reason"])
    if case["outcome"] == "failed":
        allure_labels.label_failure(case["blame"])
        pytest.fail(case["reason"], pytrace=False)
    if case["outcome"] == "error":
        allure_labels.label_failure(case["blame"])
        raise RigError(case["reason"])


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_campaign(campaign):
    op = CAMPAIGNS[campaign]
    names = op["rig"], op["operation"]
    allure_labels.label_case(
        suite="endurance",
        application=op["operation"].partition(".")[0],
        operation=op["operation"],
        title=op["title"] or op["operation"],
        rig=op["rig"],
        firmware="v1.8.3",
        seed=1,
        severity="S1",
    )
    allure_labels.attach_evidence(row for row in EVIDENCE if (row["rig"], row["operation"]) == names)
    for kind, called in ((files.CUT_MAP, "cut map"), (files.FLASH_RASTER, "flash raster")):
        allure_labels.attach_picture(files.picture_path(RUN_DIR, *names, kind), called)
    if op["findings"]:
        allure_labels.label_failure("key", [finding["outcome"] for finding in op["findings"]])
        allure_labels.attach_replay(op["findings"][0]["first"], "rigs/late-replay.toml")
        pytest.fail(failure_text(op, "rigs/late-replay.toml"), pytrace=False)
