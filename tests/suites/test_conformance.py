"""The conformance suite: our sound twins pass all of it, and it is as large as it says."""

from __future__ import annotations

import json
import re

import pytest

MINIMUM = {
    "ctaphid": 40,
    "u2f": 20,
    "get_info": 30,
    "make_credential": 60,
    "get_assertion": 50,
    "discoverable": 20,
    "client_pin": 45,
    "credential_management": 30,
    "reset": 12,
    "hmac_secret": 20,
    "cred_protect": 10,
    "malformed": 40,
    "config": 30,
    "large_blobs": 24,
    "admin": 24,
}


def suite_of(cli, bench, *rigs):
    named = [word for rig in rigs for word in ("--rig", rig)]
    done = cli("run", "conformance", "--seed", "1", "--bench", bench, *named)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    return json.loads((cli.run_dir / "summary.json").read_text())["suites"]["conformance"]


@pytest.mark.long
def test_the_twin_with_every_feature_passes_every_table(cli):
    counts = suite_of(cli, "reference-all.toml")
    assert counts["failed"] == counts["error"] == counts["skipped"] == counts["deviation"] == 0
    passed: dict[str, int] = {}
    for text in (cli.run_dir / "results.jsonl").read_text().splitlines():
        row = json.loads(text)
        table = re.search(r"test_(\w+)\.py", row["nodeid"])[1]
        passed[table] = passed.get(table, 0) + (row["outcome"] == "passed")
    assert not {
        table: passed.get(table, 0) for table, least in MINIMUM.items() if passed.get(table, 0) < least
    }


@pytest.mark.long
@pytest.mark.parametrize("bench", ["virtual.toml", "reference-1.9.toml"])
def test_what_a_key_does_not_offer_is_not_asked(cli, bench):
    counts = suite_of(cli, bench, "nk3-mini")
    assert counts["not_offered"] > 0
    reasons = [json.loads(text) for text in (cli.run_dir / "results.jsonl").read_text().splitlines()]
    for row in reasons:
        if row["outcome"] == "not_offered":
            assert row["reason"].startswith("not offered: ")


@pytest.mark.parametrize(
    "defect, table",
    [("counter-in-ram", "client_pin"), ("reset-wrong-order", None)],
)
def test_a_conformance_table_fails_for_a_bug_that_shows_without_a_cut(cli, defect, table):
    """A PIN counter that a power cycle restores is seen by a table; a bug that only a cut shows is not."""
    (cli.cwd / "bench.toml").write_text(
        '[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        f'twin.defects = ["{defect}"]\n'
    )
    done = cli(
        "run", "conformance", "--seed", "1", "--bench", "bench.toml", "--", "-k", "client_pin or reset"
    )
    assert done.returncode == (1 if table else 0), done.stdout[-2000:]
    if table:
        assert f"test_{table}.py" in done.stdout
