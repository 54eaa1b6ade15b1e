"""The suite of the Nitrokey Pro: the sound twins pass every case, and bugs that show without a cut fail theirs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

MINIMUM = {"otp": 105, "pins": 20, "reset": 18, "safe": 40, "status": 60, "update": 20}
SHOWN = {
    "totp-stale-time": "test_no_code_is_made_of_a_time_that_nobody_told_in_this_boot",
    "admin-not-asked": "test_nobody_writes_without_the_admin",
    "safe-slots-mixed": "test_the_second_report_stores_nothing_that_was_announced_for_another_slot",
    "safe-key-before-pin": "test_a_refused_new_key_changes_nothing",
    "verified-code-again": "test_five_boots_of_a_verified_boot",
    "reset-keeps-settings": "test_a_factory_reset_leaves_no_secret_and_no_setting",
}


def rig(name: str, twin: str) -> str:
    """A rig of a bench. :param twin: one of its settings."""
    head = f'[[rig]]\nname = "{name}"\nkey = "nitrokey-pro"\ndriver = "virtual"\nexpendable = true\n'
    return head + f"twin.{twin}\n"


def cases(cli) -> list[dict[str, str]]:
    return [json.loads(text) for text in (cli.run_dir / "results.jsonl").read_text().splitlines()]


@pytest.mark.long
def test_the_sound_twin_passes_every_case(cli):
    done = cli("run", "pro", "--seed", "1", "--bench", "pro.toml")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    found = Counter(case["outcome"] for case in cases(cli))
    # Firmware with a bootloader is none of before 0.11.
    assert found == {"passed": found["passed"], "not_offered": 1}
    passed = Counter(re.search(r"test_(\w+)\.py", case["nodeid"])[1] for case in cases(cli))
    assert not {table: passed[table] for table, least in MINIMUM.items() if passed[table] < least}


@pytest.mark.long
def test_a_case_fails_for_a_bug_that_shows_without_a_cut(cli):
    rigs = {f"pro-{number}": defect for number, defect in enumerate(SHOWN)}
    sound = rig("old", 'personality = "card-2.1"')
    (cli.cwd / "bench.toml").write_text(
        sound + "".join(rig(name, f'defects = ["{defect}"]') for name, defect in rigs.items())
    )
    done = cli("run", "pro", "--seed", "1", "--bench", "bench.toml", "--", "-k", " or ".join(SHOWN.values()))
    assert done.returncode == 1, done.stdout[-2000:]
    failed = {
        (re.search(r"\[(pro-\d|old)", one["nodeid"])[1], re.search(r"::(\w+)", one["nodeid"])[1])
        for one in cases(cli)
        if one["outcome"] == "failed"
    }
    assert failed == {(name, SHOWN[defect]) for name, defect in rigs.items()}
    # The card of the old personality has no AES key.
    assert {one["outcome"] for one in cases(cli) if "[old" in one["nodeid"]} == {"passed", "not_offered"}


@pytest.mark.long
def test_what_the_key_allows_is_a_fact_in_the_report_and_no_failure(cli):
    rigs = rig("pro-15", 'personality = "v0.15"') + rig("pro-10", 'version = "0.10"')
    (cli.cwd / "bench.toml").write_text(rigs)
    names = "kept_out_by or before_0_11 or any_version or forgot"
    done = cli("run", "pro", "--seed", "1", "--bench", "bench.toml", "--", "-k", names)
    assert done.returncode == 0, done.stdout[-2000:]
    assert Counter(one["outcome"] for one in cases(cli)) == {"passed": 6, "not_offered": 6}
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    policies = {said for said in summary["notes"] if said.startswith("policy of ")}
    assert {said.partition(":")[0] for said in policies} == {"policy of pro-15", "policy of pro-10"}
    assert any("also to an older image" in said for said in policies)
    assert any("firmware 0.10 is never updated" in said for said in policies)
    shown = " ".join(done.stdout.split())
    assert all(said in shown for said in policies)
