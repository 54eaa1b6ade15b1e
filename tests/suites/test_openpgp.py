"""The OpenPGP suite: the sound twins pass every case, and bugs that show without a cut fail theirs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

MINIMUM = {"data": 120, "keys": 180, "lifecycle": 40, "pins": 110, "selection": 40, "use": 90}


def rig(name: str, twin: str) -> str:
    """A rig of a bench. :param twin: one of its settings."""
    head = f'[[rig]]\nname = "{name}"\nkey = "openpgp"\ndriver = "virtual"\nexpendable = true\n'
    return head + f"twin.{twin}\n"


def rig_of(case: dict[str, str]) -> str:
    return re.search(r"\[(card-\d)", case["nodeid"])[1]


def cases(cli) -> list[dict[str, str]]:
    return [json.loads(text) for text in (cli.run_dir / "results.jsonl").read_text().splitlines()]


@pytest.mark.long
def test_the_sound_twin_passes_every_case(cli):
    done = cli("run", "openpgp", "--seed", "1", "--bench", "openpgp.toml")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    found = Counter(case["outcome"] for case in cases(cli))
    assert found.keys() <= {"passed", "not offered", "skipped"}
    passed = Counter(
        re.search(r"test_(\w+)\.py", case["nodeid"])[1] for case in cases(cli) if case["outcome"] == "passed"
    )
    assert not {table: passed[table] for table, least in MINIMUM.items() if passed[table] < least}


@pytest.mark.long
def test_other_personalities_pass_what_they_offer(cli):
    names = ("nitrokey3", "chip-3.3", "chip-2.1")
    (cli.cwd / "bench.toml").write_text(
        "".join(rig(f"card-{number}", f'personality = "{name}"') for number, name in enumerate(names))
    )
    done = cli("run", "openpgp", "--seed", "1", "--bench", "bench.toml", "--", "-k", "lifecycle or selection")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "failed" in line)
    passed = Counter(rig_of(one) for one in cases(cli) if one["outcome"] == "passed")
    assert not {name: passed[name] for name in ("card-0", "card-1", "card-2") if passed[name] < 70}


@pytest.mark.long
def test_a_table_fails_for_a_bug_that_shows_without_a_cut(cli):
    shown = {
        "tries-in-ram": "test_a_power_cycle_gives_no_try_back",
        "terminate-unchecked": "test_terminating_needs_pw3",
        "activate-keeps-keys": "test_after_a_reset_no_key_is_left",
    }
    rigs = {f"card-{number}": defect for number, defect in enumerate(shown)}
    (cli.cwd / "bench.toml").write_text(
        "".join(rig(name, f'defects = ["{defect}"]') for name, defect in rigs.items())
    )
    chosen = " or ".join(shown.values())
    done = cli("run", "openpgp", "--seed", "1", "--bench", "bench.toml", "--", "-k", chosen)
    assert done.returncode == 1, done.stdout[-2000:]
    failed = {
        (rig_of(one), re.search(r"::(\w+)", one["nodeid"])[1])
        for one in cases(cli)
        if one["outcome"] == "failed"
    }
    assert failed == {(name, shown[defect]) for name, defect in rigs.items()}


def test_a_nitrokey_3_whose_card_is_under_test_passes_what_its_admin_application_does_to_it(cli):
    """The home of the card has PINs of ours, not those of the factory."""
    done = cli(
        "run",
        "conformance",
        "--seed",
        "1",
        "--bench",
        "full.toml",
        "--rig",
        "nk3-card",
        "--",
        "-k",
        "openpgp_card",
    )
    assert done.returncode == 0, done.stdout
    assert [one["outcome"] for one in cases(cli)] == ["passed"] * 3
