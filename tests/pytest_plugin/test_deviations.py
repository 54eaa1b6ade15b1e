"""A SHOULD is not a MUST: what a key does otherwise than recommended, or as its bench accepts, fails no run."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

from support.command import Cli
from support.limits import HUNG_S

HEAD = '[[rig]]\nname = "nk3-1"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
SUITE = """
import pytest
from harness.api import KeyGone, deviates

@pytest.mark.case("CTAP 9, 1", level="SHOULD")
def test_recommended(rig):
    assert 1 == 2, "not as recommended"

@pytest.mark.case("CTAP 9, 1", level="SHOULD")
def test_recommended_and_dead(rig):
    raise KeyGone("the key is gone")

@pytest.mark.case("CTAP 9, 2")
def test_on_its_way(rig):
    deviates("code 1 instead of 2")
    deviates("code 1 instead of 2")

@pytest.mark.case("CTAP 9, 3 step 1")
@pytest.mark.parametrize("size", [1, 23])
def test_required(rig, size):
    if size:
        raise AssertionError(f"refused {size}")

@pytest.mark.case("CTAP 9, 4")
def test_sound(rig):
    pass
"""
FAR = "2999-01-01"


class Ran:
    """What one run of the suite left behind."""

    def __init__(self, cli: Cli, deviations: str = "", *more: str):
        (cli.cwd / "test_mine.py").write_text(SUITE)
        (cli.cwd / "bench.toml").write_text(HEAD + deviations)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kh-bench", "bench.toml"]
        done = subprocess.run(
            [*command, "--kh-run", "a", "--junitxml", "junit.xml", "--kh-display", "test_mine.py", *more],
            cwd=cli.cwd,
            env=cli.env,
            capture_output=True,
            text=True,
            timeout=HUNG_S,
            check=False,
        )
        self.code, self.out = done.returncode, done.stdout + done.stderr
        folder = cli.cwd / "reports" / "a"
        self.summary = json.loads((folder / "summary.json").read_text())
        rows = map(json.loads, (folder / "results.jsonl").read_text().splitlines())
        self.rows = {row["nodeid"].partition("::test_")[2]: row for row in rows}
        self.xml = ElementTree.parse(cli.cwd / "junit.xml")

    def outcomes(self) -> dict[str, str]:
        return {name.partition("[")[0]: row["outcome"] for name, row in self.rows.items()}


def test_a_deviation_from_a_recommendation_is_reported_and_does_not_fail(cli):
    ran = Ran(cli, "", "-k", "recommended and not dead or on_its_way or sound")
    assert ran.code == 0, ran.out
    assert ran.outcomes() == {"recommended": "deviation", "on_its_way": "deviation", "sound": "passed"}
    assert ran.summary["suites"][cli.cwd.name]["deviation"] == 2
    said = {group["clause"]: (group["kind"], group["text"]) for group in ran.summary["deviations"]}
    assert said["CTAP 9, 2"] == ("recommendation", "code 1 instead of 2")
    assert "not as recommended" in said["CTAP 9, 1"][1]
    assert "deviates from a recommendation (CTAP 9, 2)" in ran.out
    skipped = {case.get("name"): case.find("skipped") for case in ran.xml.iter("testcase")}
    assert skipped["test_on_its_way[nk3-1]"].get("message") == "code 1 instead of 2"
    properties = [one.attrib for one in ran.xml.iter("property")]
    assert {"name": "deviation", "value": "recommendation"} in properties


def test_what_the_bench_accepts_does_not_fail_and_one_case_of_a_function_can_be_named(cli):
    known = f'[[deviation]]\ncase = "test_required[23]"\nreason = "known since 1.2"\nuntil = {FAR}\n'
    ran = Ran(cli, known, "-k", "required")
    assert ran.code == 1
    assert {name: row["outcome"] for name, row in ran.rows.items()} == {
        "required[nk3-1-1]": "failed",
        "required[nk3-1-23]": "deviation",
    }
    (group,) = ran.summary["deviations"]
    assert (group["kind"], group["count"]) == ("accepted", 1)
    assert "known since 1.2" in group["text"]
    assert FAR in group["text"]
    assert ran.summary["notes"] == []


def test_a_run_whose_only_failures_are_accepted_passes(cli):
    ran = Ran(
        cli, f'[[deviation]]\nclause = "CTAP 9, 3"\nreason = "known"\nuntil = {FAR}\n', "-k", "required"
    )
    assert (ran.code, ran.outcomes()) == (0, {"required": "deviation"}), ran.out


def test_expired_unused_and_unknown_deviations_are_said(cli):
    entries = [
        ('case = "test_required"', "2020-01-01"),
        ('case = "test_sound"', FAR),
        ('case = "test_requierd"', FAR),
        ('clause = "CTAP 9, 31"', FAR),
    ]
    text = "".join(f'[[deviation]]\n{named}\nreason = "so"\nuntil = {until}\n' for named, until in entries)
    ran = Ran(cli, text, "-k", "required or sound")
    assert ran.code == 1
    assert ran.outcomes() == {"required": "failed", "sound": "passed"}
    expired, unused, unknown, no_clause = ran.summary["notes"]
    assert "held until 2020-01-01" in expired
    assert "not needed" in unused
    assert "no case of this run" in unknown
    assert "test_required" in unknown
    assert 'clause "CTAP 9, 31"' in no_clause
    assert "no case" in no_clause
    assert all(note.split(":")[0] in " ".join(ran.out.split()) for note in ran.summary["notes"])


def test_cases_that_fail_for_one_reason_are_one_line(cli):
    """And a key that is gone is no deviation from a recommendation."""
    ran = Ran(cli, "", "-k", "required or dead")
    assert ran.outcomes() == {"required": "failed", "recommended_and_dead": "failed"}
    group, dead = ran.summary["failures"]
    assert (dead["count"], dead["text"]) == (1, "the key is gone")
    assert (group["count"], group["clause"], len(group["cases"])) == (2, "CTAP 9, 3 step 1", 2)
    assert sum(reason.startswith("failed:") for reason in ran.summary["reasons"]) == 2
    assert ran.out.count("refused 1") == 2, "once when it happens, once at the end"
    assert "refused 23" not in ran.out
