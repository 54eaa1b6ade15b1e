"""The suite `lifecycle`: the sound card passes every case, and a bug in its life fails the right one."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from harness_suites.lifecycle.table import CELLS, ROWS

BENCH = '[[rig]]\nname = "a"\nkey = "nitrokey-hsm2"\ndriver = "virtual"\nexpendable = true\n'
MINIMUM = {"portal": len(CELLS) + 5, "pin_forms": 20, "backup": 12}


def cases(cli) -> list[dict[str, str]]:
    return [json.loads(text) for text in (cli.run_dir / "results.jsonl").read_text().splitlines()]


def test_the_table_has_every_cell_once():
    assert len(CELLS) == len(set(CELLS)) == 2**4 * 2 * 3
    assert len(ROWS) == 2**4


@pytest.mark.long
def test_the_sound_twin_passes_every_case(cli):
    done = cli("run", "lifecycle", "--seed", "1", "--bench", "hsm.toml")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    assert {case["outcome"] for case in cases(cli)} == {"passed"}
    passed = Counter(re.search(r"test_(\w+)\.py", case["nodeid"])[1] for case in cases(cli))
    assert not {table: passed[table] for table, least in MINIMUM.items() if passed[table] < least}


@pytest.mark.long
@pytest.mark.parametrize(
    ("defect", "case", "file"),
    [
        ("forced-uncounted", "test_a_cell_of_the_table", "portal"),
        (
            "update-keeps-identity",
            "test_initialize_does_not_change_the_identity_and_an_update_does",
            "portal",
        ),
        (
            "initialize-renews-device",
            "test_initialize_does_not_change_the_identity_and_an_update_does",
            "portal",
        ),
        (
            "reset-option-ignored",
            "test_with_the_user_pin_blocked_and_no_reset_option_the_keys_are_lost",
            "pin_forms",
        ),
        ("so-counter-in-ram", "test_the_so_pin_is_blocked_after_fifteen_wrong_tries_for_good", "pin_forms"),
    ],
)
def test_a_bug_fails_the_case_that_it_breaks(cli, defect, case, file):
    (cli.cwd / "bench.toml").write_text(BENCH + f'twin.defects = ["{defect}"]\n')
    chosen = f"{case} and {'helper_working' if case.endswith('table') else 'test'}"
    done = cli("run", "lifecycle", "--seed", "1", "--bench", "bench.toml", "--", "-k", chosen)
    assert done.returncode == 1, done.stdout[-2000:]
    failed = {
        re.search(r"test_(\w+)\.py::(\w+)", one["nodeid"]).groups()
        for one in cases(cli)
        if one["outcome"] == "failed"
    }
    assert (file, case) in failed
