"""--plan promises what the run then does."""

from __future__ import annotations

import json
import re

import pytest

OPERATIONS = (
    *("admin.power_up.interrupted", "admin.worn_page", "admin.setting.on", "fido2.get_assertion"),
    *("fido2.client_pin.wrong", "fido2.u2f.register", "fido2.large_blobs.write", "update.refused"),
)
ROW = re.compile(r"^    (?P<name>\S.*\S) +(?P<cuts>[0-9]+) +(?P<touches>[0-9]+) +(?P<erases>[0-9]+)$", re.M)


def planned(cli, *more):
    chosen = [part for name in OPERATIONS for part in ("--operation", name)]
    asked = ("run", "endurance", "--seed", "1", *chosen, *more)
    plan = cli(*asked, "--plan")
    assert plan.returncode == 0, plan.stderr
    done = cli(*asked)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["name"]: (int(row["cuts"]), int(row["erases"])) for row in ROW.finditer(plan.stdout)}
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    return plan.stdout, rows, summary


def total(text):
    return int(re.search(r"^  (?:at most )?([0-9]+) cuts, about", text, re.M)[1])


def erases(text):
    return int(re.search(r" ([0-9,]+) erases of its hottest page", text)[1].replace(",", ""))


def hottest(summary):
    return max(row["used"] for row in summary["wear"])


@pytest.mark.long
def test_the_plan_of_a_walk_is_what_the_run_does(cli):
    """Second cuts, into the boot after a cut, included: these are half of all.

    Of an operation that writes nothing from another home, no cut can be made there: the plan says the most.
    """
    text, rows, summary = planned(cli)
    made = {op["operation"]: op["cuts"] for op in summary["operations"]}
    for name, (cuts, _) in rows.items():
        assert made[name] == cuts or (made[name] < 10 and made[name] < cuts)
    assert summary["cuts"] <= total(text)
    assert hottest(summary) <= erases(text)
    assert "at most" in text


@pytest.mark.long
@pytest.mark.parametrize("search", [(), ("--search", "time")], ids=["walk", "search"])
def test_the_plan_of_a_budget_is_what_the_run_does(cli, search):
    text, rows, summary = planned(cli, "--cuts", "60", *search)
    rest, _ = rows.pop("where outcomes are new")
    for op in summary["operations"]:
        cuts, _ = rows[op["operation"]]
        assert cuts <= op["cuts"] <= cuts + rest
    assert total(text) == summary["cuts"]
    assert "at most" in text
    assert erases(text) >= hottest(summary)
