"""The suite `loss`: the sound card passes every case, also with GnuPG; a bug fails the case that it breaks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import harness_suites.loss
from harness_suites.loss.sentences import ROWS
from support import gnupg

FILES = Path(harness_suites.loss.__file__).parent.glob("test_*.py")


def outcomes(cli) -> dict[str, set[str]]:
    """What became of the cases: name of the test function -> outcomes."""
    found: dict[str, set[str]] = {}
    for text in (cli.run_dir / "results.jsonl").read_text().splitlines():
        case = json.loads(text)
        found.setdefault(re.search(r"::(\w+)", case["nodeid"])[1], set()).add(case["outcome"])
    return found


def test_each_sentence_of_the_thread_has_cases_and_they_exist():
    written = "".join(file.read_text() for file in FILES)
    assert [name for row in ROWS for name in row.cases if f"def {name}(" not in written] == []
    assert len({row.sentence for row in ROWS}) == len(ROWS)


def rig(name: str, key: str, twin: str = "") -> str:
    """A rig of a bench. :param twin: a setting of its twin."""
    return f'[[rig]]\nname = "{name}"\nkey = "{key}"\ndriver = "virtual"\nexpendable = true\n{twin}\n'


@pytest.mark.long
def test_the_sound_twins_pass_every_case_that_needs_no_reader(cli):
    """A card, the oldest one of RSA keys alone, and a Nitrokey 3, which has FIDO2 beside the card."""
    old = rig("old", "openpgp", 'twin.personality = "chip-2.1"')
    (cli.cwd / "bench.toml").write_text(rig("a", "openpgp") + old + rig("nk3", "nitrokey3-mini-openpgp"))
    done = cli("run", "loss", "--seed", "1", "--bench", "bench.toml")
    assert done.returncode == 0, done.stdout[-2000:]
    found = outcomes(cli)
    assert {name for name, said in found.items() if "passed" in said} >= {
        "test_a_login_with_two_ways",
        "test_keys_made_off_card_work_on_both_cards",
        "test_no_command_reads_a_private_key",
        "test_a_pin_of_the_card_verifies_nobody_to_fido2",
        "test_the_pin_of_fido2_opens_nothing_on_the_card",
    }
    assert set().union(*found.values()) == {"passed", "not_offered"}


@pytest.mark.long
@pytest.mark.skipif(gnupg.missing() is not None, reason=str(gnupg.missing()))
def test_gnupg_and_openssh_pass_every_case_of_theirs(cli):
    """Two cards in the readers of one daemon, as the packaged bench has them."""
    done = cli("run", "loss", "--seed", "1", "--bench", "openpgp-pcsc.toml", "--", "-k", "test_gnupg")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = outcomes(cli)
    assert len(found) == 8
    assert set().union(*found.values()) == {"passed"}


@pytest.mark.long
def test_a_reset_that_keeps_keys_fails_the_case_of_the_reset(cli):
    (cli.cwd / "bench.toml").write_text(rig("a", "openpgp", 'twin.defects = ["activate-keeps-keys"]'))
    done = cli("run", "loss", "--seed", "1", "--bench", "bench.toml", "--", "-k", "reset")
    assert done.returncode == 1, done.stdout[-2000:]
    failed = {name for name, said in outcomes(cli).items() if "failed" in said}
    assert failed == {
        "test_after_a_reset_that_was_broken_off_no_old_key_works",
        "test_a_reset_of_each_way_takes_all_but_the_number_of_the_card",
    }
