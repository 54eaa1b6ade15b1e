"""What a test gets from the fixtures of a rig."""

from __future__ import annotations

import json
import sys

import pytest

FULL = """
[[rig]]
name = "full-1"
key = "nitrokey3-mini"
driver = "virtual"
expendable = true
twin.fill = 1.0
"""

ABSENT_RIG = """
[[rig]]
name = "gone-1"
key = "nitrokey3-mini"
driver = "usb"
port = "77-1.1"
identity = "uuid:AF8A8B9FB68C8E8D46D5E5C1BBDDB1EE"
expendable = true
"""


def test_an_operation_that_needs_room_is_not_offered_by_a_key_that_the_bench_fills(cli):
    """The sound key rightly refuses another credential (KEY_STORE_FULL); it must not fail for that."""
    (cli.cwd / "full.toml").write_text(FULL)
    names = ("fido2.make_credential.over", "fido2.credential_management.delete", "fido2.client_pin.change")
    chosen = [word for name in names for word in ("--operation", name)]
    done = cli("run", "endurance", "--bench", "full.toml", "--seed", "1", "--cuts", "6", *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = map(json.loads, (cli.run_dir / "results.jsonl").read_text().splitlines())
    outcomes = {row["nodeid"]: (row["outcome"], row["reason"]) for row in rows}
    campaigns = {name: said for node, said in outcomes.items() for name in names if node.endswith(f"{name}]")}
    assert campaigns["fido2.client_pin.change"] == ("passed", None)
    for name in names[:2]:
        outcome, reason = campaigns[name]
        assert outcome == "not_offered"
        assert reason == (
            f"not offered: twin.fill = 1 leaves the key no room, and {name} needs some: the key answers KEY_STORE_FULL"
        )


@pytest.mark.long
def test_only_a_key_that_the_bench_fills_to_the_end_is_excused_for_having_no_room(cli):
    """A key that is full at half of the room that it has told is wrong."""
    (cli.cwd / "half.toml").write_text(FULL.replace("1.0", "0.5"))
    (cli.cwd / "conftest.py").write_text(
        "from harness_fido2.twin.credentials import ResidentCredentials\n"
        "from harness_fido2.twin.status import Status, StatusError\n"
        "add = ResidentCredentials.add\n"
        "def full(self, credential, limit):\n"
        "    if credential.rp_id == 'new.keyharness.example':\n"
        "        raise StatusError(Status.KEY_STORE_FULL)\n"
        "    add(self, credential, limit)\n"
        "ResidentCredentials.add = full\n"
    )
    cli.env["PYTHONPATH"] = str(cli.cwd)
    name = "fido2.make_credential.resident"
    done = cli(
        *("run", "endurance", "--bench", "half.toml", "--seed", "1", "--cuts", "6", "--operation", name),
        *("--", "-p", "conftest", "-k", "test_power_cut"),
    )
    assert done.returncode == 1, done.stdout
    assert "KEY_STORE_FULL" in done.stdout


def test_a_suite_that_no_rig_runs_is_left_out(cli):
    """pytest's placeholder for a rig that there is not reached the suites' own hooks, and ended the run."""
    (cli.cwd / "bench.toml").write_text(
        '[[rig]]\nname = "mini"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        'suites = ["endurance"]\n'
    )
    done = cli("run", "downgrade", "--bench", "bench.toml", "--seed", "1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "nothing was tested" in done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


def test_a_suite_that_the_keys_with_its_application_do_not_run_is_asked_of_no_other_key(cli):
    """Hundreds of lines would say that a FIDO key is no OpenPGP card, though a card is in the run."""
    rig = '[[rig]]\nname = "{}"\nkey = "{}"\ndriver = "virtual"\nexpendable = true\n'
    (cli.cwd / "bench.toml").write_text(
        rig.format("hsm", "nitrokey-hsm2")
        + rig.format("card", "nitrokey3-mini-openpgp")
        + 'suites = ["endurance"]\n'
    )
    done = cli("run", "openpgp", "--bench", "bench.toml", "--seed", "1")
    assert done.returncode == 5, done.stdout + done.stderr
    assert "nothing was tested" in done.stderr


def plain_pytest(cli, *words):
    cli.command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    return cli(*words)


def test_a_first_case_that_a_suites_own_hook_skips_is_noted_as_any_other(cli):
    """It skips before the rig is asked for, which makes the folder of the run."""
    (cli.cwd / "full.toml").write_text(FULL)
    (cli.cwd / "conftest.py").write_text(
        "import pytest\n\n\ndef pytest_runtest_setup(item):\n    pytest.skip('no finger')\n"
    )
    (cli.cwd / "test_own.py").write_text("def test_it(rig):\n    assert False\n")
    done = plain_pytest(cli, "test_own.py", "--kh-bench", "full.toml")
    assert "INTERNALERROR" not in done.stdout, done.stdout
    (row,) = map(json.loads, (cli.run_dir / "results.jsonl").read_text().splitlines())
    assert (row["rig"], row["outcome"]) == ("full-1", "skipped")


def test_cases_of_a_bench_without_a_rig_that_is_there_say_so_without_a_traceback(cli):
    (cli.cwd / "absent.toml").write_text(ABSENT_RIG)
    (cli.cwd / "test_own.py").write_text("def test_it(rig):\n    assert False\n")
    done = plain_pytest(cli, "test_own.py", "--kh-bench", "absent.toml")
    assert done.returncode == 1, done.stdout
    assert "1 error" in done.stdout
    assert "a port that is there: no hub is at 77-1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
