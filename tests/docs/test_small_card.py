"""The small card of docs/small_card.py: a key that shares nothing with FIDO2, through everything that tests a key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.base.errors import Refused
from harness.bench.plugin_api import RigRequest
from harness.bench.registry import Plugins, discover
from harness.campaign.home import go_home
from harness.campaign.timed_live import LiveCampaign
from harness.evidence.ledger import Ledger
from harness.model.outcome import Outcome
from harness.safety.budget import Budget, BudgetExhausted, Grants, PinTries
from harness.safety.pin_journal import PinJournal
from harness.twin.model import TwinOptions
from harness.twin.rig import TwinRig
from harness_rigs.emulator.rig import EmulatorOptions, EmulatorRig
from support.command import Cli
from support.emulator import private_pcscd
from support.emulator.emulated import namespaces_permitted
from support.limits import HUNG_S
from support.paths import ROOT, with_path, with_support
from support.terms import terms

SOURCE, SUITE = ROOT / "docs" / "small_card.py", ROOT / "docs" / "small_card_suite"
LINES_MAX = 150
BENCH = '[[rig]]\nname = "card-1"\nkey = "small-card"\ndriver = "virtual"\nexpendable = true\n'
COMMAND = [
    *(sys.executable, "-m", "harness", "twin", "small-card", "--state", "{state}"),
    *("--speed", "max", "--vpcd", "127.0.0.1:{port}"),
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder from which Python imports the card, as from an environment in which it is installed."""
    folder = tmp_path_factory.mktemp("small-card")
    info = folder / "small_card-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small-card\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[keyharness]\nsmall_card = small_card\n")
    for file in (SOURCE, SUITE):
        (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture
def plugins(installed, monkeypatch) -> Plugins:
    """What is installed in this process, the card among it."""
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setenv("PYTHONPATH", with_path(installed)["PYTHONPATH"])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield discover()
    sys.modules.pop("small_card", None)


@pytest.fixture
def run(cli: Cli, installed) -> Cli:
    """`keyharness` in a folder with a bench, the card installed."""
    cli.env["PYTHONPATH"] = with_path(installed, environ=cli.env)["PYTHONPATH"]
    (cli.cwd / "card.toml").write_text(BENCH)
    return cli


def on_twin(plugins: Plugins, *defects: str) -> TwinRig:
    options = TwinOptions(defects=defects)
    rig = TwinRig("card-1", plugins.keys["small-card"], plugins.twin("small-card"), options, 1, True)
    rig.power.on()
    rig.wait_until_up()
    return rig


def test_it_has_at_most_150_lines_that_are_not_empty():
    assert len([line for line in SOURCE.read_text().splitlines() if line.strip()]) <= LINES_MAX


def test_the_documentation_shows_what_is_tested_here():
    page = (ROOT / "docs" / "plugins.md").read_text()
    for shown in (SOURCE.read_text(), (SUITE / "test_small_card.py").read_text(), BENCH):
        assert shown in page


def test_its_suite_asks_it_and_fido2s_does_not(run):
    done = run(
        "run",
        "small-card",
        "conformance",
        "--bench",
        "card.toml",
        "--seed",
        "1",
        "--",
        "-k",
        "small_card or basics",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [json.loads(row) for row in (run.run_dir / "results.jsonl").read_text().splitlines()]
    outcomes = {(case["suite"], case["outcome"]) for case in cases}
    assert outcomes == {("small_card_suite", "passed"), ("conformance", "not_offered")}
    assert {case["reason"] for case in cases if case["suite"] == "conformance"} == {
        "not offered: Small card has no application fido2"
    }


def test_it_is_cut_at_every_flash_operation_and_a_cut_can_be_repeated(run):
    done = run("run", "endurance", "--bench", "card.toml", "--operation", "card.wrong", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    (operation,) = json.loads((run.run_dir / "summary.json").read_text())["operations"]
    assert operation["exhaustive"]
    assert operation["outcomes"].keys() == {"old", "new"}
    row = json.loads((run.run_dir / "evidence.jsonl").read_text().splitlines()[40])
    again = run("replay", row["id"], "--bench", "card.toml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert row["outcome"] in again.stdout


def test_each_of_its_defects_is_caught_and_the_sound_one_is_clean(run):
    done = run("prove", "--key", "small-card", "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    caught = {proof["defect"]: proof["caught_by"] for proof in json.loads(done.stdout)["proofs"]}
    assert caught == {
        "none: reference": None,
        "free-guess": "card.wrong: card.tries loosened",
        "in-place": "card.update: card.file torn",
    }


def test_a_status_word_nobody_expects_is_the_keys_refusal_and_no_traceback(run):
    bench = run.cwd / "card.toml"
    bench.write_text(BENCH + 'twin = { layer = "unjournaled" }\n')
    done = run("run", "endurance", "--bench", "card.toml", "--operation", "card.update", "--seed", "1")
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == 1, "a layer without a journal loses what it rewrites, and the key is to blame"
    violations = json.loads((run.run_dir / "summary.json").read_text())["violations"]
    assert violations
    assert {violation["blame"] for violation in violations} == {"key"}


def test_its_pin_is_counted_by_its_own_name_and_its_last_try_is_kept(plugins, own_state):
    from small_card import FACTORY_PIN, PIN, Client

    rig = on_twin(plugins)
    with Ledger() as ledger:
        budget = Budget(ledger, "serial:1", "hardware", "card-1", Grants())
        rig.pin_guard = PinTries(budget)
        opened = Client(rig)
        opened.change(FACTORY_PIN, "87654321")
        assert [one.pin for one in PinJournal("serial:1").records(PIN)] == ["87654321"]
        for left in (2, 1):
            with pytest.raises(Refused, match=f"63C{left}"):
                opened.verify("00000000")
        with pytest.raises(BudgetExhausted, match="1 PIN tries left"):
            opened.verify("87654321")
        assert opened.tries() == 1
        budget.close()
        assert (budget.spent("pin_tries card PIN"), budget.spent("pin_tries")) == (2, 0)


def on_emulator(plugins: Plugins, **options) -> EmulatorRig:
    chosen = {"ready_s": 30, "answer_s": 5, **options}
    if not namespaces_permitted():
        chosen.setdefault("isolation", "none")
    request = RigRequest(
        "card-2", plugins.keys["small-card"], True, 1, EmulatorOptions(command=COMMAND, **chosen)
    )
    return EmulatorRig(request)


def cut_live(rig: EmulatorRig, cuts: int) -> None:
    """Cut a wrong guess some times; it is sound, and its card is a process."""
    try:
        campaign = LiveCampaign(rig, rig.key.operations["card.wrong"], go_home(rig), terms(cuts))
        result = campaign.run()
    finally:
        rig.close()
    assert len(result.rows) >= cuts
    assert {row["outcome"] for row in result.rows} <= {Outcome.OLD, Outcome.NEW, Outcome.MISSED}


def test_as_a_process_it_is_cut_live(plugins):
    cut_live(on_emulator(plugins, transport="vpcd"), 2)


@pytest.mark.skipif(private_pcscd.missing() is not None, reason=str(private_pcscd.missing()))
def test_it_is_cut_live_in_the_reader_of_a_daemon(installed, tmp_path):
    done = subprocess.run(
        [
            *private_pcscd.namespace(),
            *(sys.executable, private_pcscd.__file__, tmp_path),
            *(sys.executable, __file__),
        ],
        cwd=tmp_path,
        env=with_path(installed, environ=with_support()),
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "pcscd.log").read_text()


if __name__ == "__main__":
    # What the test above runs beside its daemon.
    os.environ.setdefault("KEYHARNESS_RUNTIME", os.getcwd())
    cut_live(on_emulator(discover(), transport="pcsc", reader=private_pcscd.READER), 2)
