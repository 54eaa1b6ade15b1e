"""No key is harmed by accident: what is refused before anything is written."""

from __future__ import annotations

import json

import pytest

from harness_transports.ctaphid import ctaphid
from support.latched_lab import CASE


def test_a_key_with_somebody_elses_pin_is_refused_although_it_is_expendable(lab):
    lab.env["LATCHED_PIN"] = "31415926"
    done = lab(*CASE)
    assert done.returncode == 4, done.stdout
    assert "holds what is not ours" in done.stdout
    assert "a PIN is set that is none of ours" in (lab.run_dir / "results.jsonl").read_text()
    assert "31415926" not in done.stdout + done.stderr


def test_inspect_reads_it_all_the_same_and_moves_no_counter(lab):
    lab.bench.write_text(lab.bench.read_text().replace("expendable = true", "expendable = false"))
    lab.env["LATCHED_PIN"] = "31415926"
    for _ in range(2):
        done = lab("inspect", "real-1", "--json", "--bench", "lab.toml")
        assert done.returncode == 0, done.stderr
        table = json.loads(done.stdout)
        assert table["items"]["fido2.pin_set"] is True
        assert table["items"]["fido2.pin_retries"] == 8
        assert table["expendable"] is False
        assert table["identity"].startswith("uuid:")


def test_a_key_that_is_not_expendable_is_not_written_to(lab):
    lab.bench.write_text(lab.bench.read_text().replace("expendable = true\n", ""))
    done = lab(*CASE)
    assert done.returncode == 5
    assert "not called expendable" in (lab.run_dir / "results.jsonl").read_text()


@pytest.mark.parametrize(
    ("line", "reason", "mend"),
    [
        ("", 'rig "real-1" · identity', "keyharness enroll"),
        ('identity = "uuid:00"', 'rig "real-1": another key is in it', "put the right key in"),
    ],
)
def test_the_key_has_to_be_the_named_one(lab, line, reason, mend):
    lines = [text for text in lab.bench.read_text().splitlines() if not text.startswith("identity")]
    lab.bench.write_text("\n".join([*lines, line, ""]))
    done = lab(*CASE)
    assert done.returncode == 4
    assert f"caller: {reason}; found " in done.stdout
    assert mend in (lab.run_dir / "junit.xml").read_text()


def test_a_spent_budget_is_a_clear_word_and_no_cut(lab):
    lab.bench.write_text(lab.bench.read_text() + "[rig.budget]\nrelay_operations = 0\n")
    done = lab(*CASE)
    assert done.returncode == 3, done.stdout
    assert "budget.relay_operations" in done.stdout
    assert not (lab.run_dir / "evidence.jsonl").read_text()


def test_what_was_spent_is_in_the_history_of_the_key(lab):
    assert lab(*CASE).returncode == 0
    keys = json.loads(lab("history", "--json").stdout)["keys"]
    (real,) = [row for row in keys if row["kind"] == "hardware"]
    table = json.loads(lab("history", real["id"], "--json").stdout)
    spent = {row["what"]: row["amount"] for row in table["spent"]}
    assert spent["relay_operations"] >= 1
    assert spent["erases"] >= spent["relay_operations"], "every switch is followed by a boot"


@pytest.mark.long
def test_a_retired_key_is_not_used_again(lab):
    assert lab(*CASE).returncode == 0
    identity = "uuid:5C05E7C13054F20C4BF061D1095810AD"
    assert "retired" in lab("history", identity, "--retire", "worn out").stdout
    done = lab(*CASE)
    assert done.returncode == 4
    assert "retired" in done.stdout


@pytest.mark.parametrize("line", ['pin = "123456"', 'admin_pin = "12345678"', "so-pin = 1"])
def test_a_bench_with_a_pin_is_refused(cli, line):
    (cli.cwd / "bench.toml").write_text(
        f'[[rig]]\nname = "a"\nkey = "nitrokey3-mini"\ndriver = "virtual"\n{line}\n'
    )
    done = cli("list", "--bench", "bench.toml")
    assert done.returncode == 4
    assert "a PIN or another secret" in done.stderr
    assert "KEYHARNESS_PIN_" in done.stderr
    assert "123456" not in done.stderr


def test_touch_is_given_only_while_our_own_request_is_pending():
    """Outside of `pressing` nobody touches the key: it waits, and refuses."""
    from fido2.ctap import CtapError
    from fido2.ctap2 import Ctap2

    from harness.bench.registry import discover
    from harness.twin.model import TwinOptions
    from harness.twin.rig import TwinRig

    plugins = discover()
    key, twin = plugins.keys["nitrokey3-mini"], plugins.twins["nitrokey3-mini"]
    rig = TwinRig("nk3", key, twin, TwinOptions(), 1, expendable=True)
    rig.power.on()
    ctap = Ctap2(ctaphid(rig))
    wanted = (
        {"id": "a.example", "name": "a"},
        {"id": b"1", "name": "a"},
        [{"type": "public-key", "alg": -7}],
    )
    with rig.touch.pressing():
        ctap.make_credential(b"\0" * 32, *wanted)
    with pytest.raises(CtapError) as refused:
        ctap.make_credential(b"\0" * 32, *wanted)
    assert refused.value.code in (CtapError.ERR.USER_ACTION_TIMEOUT, CtapError.ERR.OPERATION_DENIED)
