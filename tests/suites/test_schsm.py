"""The SmartCard-HSM suite: the sound twin passes every case, and bugs that show without a cut fail theirs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

MINIMUM = {
    "certificates": 9,
    "dkek": 25,
    "files": 40,
    "initialize": 25,
    "keys": 100,
    "pins": 35,
    "public_keys": 15,
    "selection": 30,
    "wrap": 30,
}
BENCH = '[[rig]]\nname = "a"\nkey = "nitrokey-hsm2"\ndriver = "virtual"\nexpendable = true\n'


def cases(cli) -> list[dict[str, str]]:
    return [json.loads(text) for text in (cli.run_dir / "results.jsonl").read_text().splitlines()]


@pytest.mark.long
def test_the_sound_twin_passes_every_case(cli):
    done = cli("run", "schsm", "--seed", "1", "--bench", "hsm.toml")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    assert {case["outcome"] for case in cases(cli)} == {"passed"}
    passed = Counter(re.search(r"test_(\w+)\.py", case["nodeid"])[1] for case in cases(cli))
    assert not {table: passed[table] for table, least in MINIMUM.items() if passed[table] < least}


@pytest.mark.long
@pytest.mark.parametrize(
    "defect, case",
    [
        ("so-counter-in-ram", "test_after_fifteen_wrong_so_pins_the_card_is_blocked_for_good"),
        ("initialize-keeps-keys", "test_no_key_and_no_file_of_before_is_left"),
    ],
)
def test_a_table_fails_for_a_bug_that_shows_without_a_cut(cli, defect, case):
    (cli.cwd / "bench.toml").write_text(BENCH + f'twin.defects = ["{defect}"]\n')
    done = cli("run", "schsm", "--seed", "1", "--bench", "bench.toml", "--", "-k", "test_initialize")
    assert done.returncode == 1, done.stdout[-2000:]
    failed = {re.search(r"::(\w+)", one["nodeid"])[1] for one in cases(cli) if one["outcome"] == "failed"}
    assert case in failed
