"""Whatever became of a state file or of a run's folder, readers say so in one message."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.base.errors import KeyharnessError
from harness.base.seeds import Stream
from harness.evidence.ledger import state_dir
from harness.evidence.rundir import RunDir
from harness.report.summary import conclude
from harness.run.resume import cases_done, read_asked, take_up
from harness.safety import quarantine
from harness.safety.power_journal import PowerLog
from support.damage import damaged

PORT = "usb:1-1.4"


@pytest.fixture
def draws():
    """Independent draws, one for each damage. `test_damaged_readers.py` makes 10^5."""
    return [Stream(1, "damage", number) for number in range(300)]


def power_of(rig_is_on=True):
    power = SimpleNamespace(is_on=rig_is_on)
    power.on = lambda: setattr(power, "is_on", True)
    return SimpleNamespace(power=power)


def test_a_damaged_file_keeps_a_rig_in_quarantine(own_state):
    quarantine.put(PORT, "the switch did not switch")
    (path,) = (state_dir() / "quarantine").glob("usb-*.json")
    for text in ("", "[]", "{}", '{"since": 1, "why": "x"}'):
        path.write_text(text)
        held = quarantine.quarantined(PORT)
        assert held is not None
        assert "damaged" in held.why
    quarantine.clear(PORT, "seen to")
    assert quarantine.quarantined(PORT) is None


def test_a_port_whose_power_log_is_damaged_counts_as_left_by_a_killed_run(own_state):
    log = PowerLog(PORT)
    log.take(power_of())
    log.path.write_text('{"given_back": 1}')
    assert PowerLog(PORT).left_behind
    rig = power_of(rig_is_on=False)
    assert PowerLog(PORT).take(rig)
    assert rig.power.is_on


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    """The folder of a small run that came to its end."""
    from support.command import Cli

    cli = Cli(tmp_path_factory.mktemp("run"))
    asked = ("--operation", "fido2.client_pin.wrong", "--cuts", "12", "--seed", "1")
    done = cli("run", "endurance", "--bench", "late-replay.toml", *asked)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    (cli.run_dir / "allure-results.zip").unlink()
    return cli.run_dir


def read_everything(path):
    """What `report` and `run --resume` read of a run's folder before they do anything else."""
    conclude(path)
    run = RunDir(path)
    for read in (lambda: read_asked(path), lambda: cases_done(path), run.merge_again, lambda: take_up(path)):
        try:
            read()
        except KeyharnessError as error:
            assert str(error)
    for one in sorted((path / "journal").glob("*.jsonl")):
        try:
            run.journal(*one.stem.split(".", 1)).close()
        except KeyharnessError as error:
            assert one.name in str(error)


def test_a_damaged_run_folder(whole_run, tmp_path, draws):
    names = sorted(
        str(path.relative_to(whole_run)) for path in whole_run.rglob("*.json*") if "logs" not in path.parts
    )
    assert {"run.json", "finish.json", "evidence.jsonl", "operations.jsonl", "results.jsonl"} <= set(names)
    copy = tmp_path / "copy"
    for draw in draws:
        shutil.copytree(whole_run, copy, ignore=shutil.ignore_patterns("pictures", "logs", "*.html"))
        path = copy / names[draw.below(len(names))]
        data = damaged(path.read_bytes(), draw)
        path.write_bytes(data)
        try:
            read_everything(copy)
        except KeyharnessError:
            raise
        except Exception as error:
            error.add_note(f"{path.name}: {data[:2000]!r}")
            raise
        shutil.rmtree(copy)


def test_a_damaged_line_in_the_middle_of_a_journal_costs_no_other_line(whole_run, tmp_path):
    (journal,) = (whole_run / "journal").glob("*.jsonl")
    run = RunDir(tmp_path)
    path = run.journal_path(*journal.stem.split(".", 1))
    path.parent.mkdir()
    lines = journal.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"x\n", *lines[2:]]))
    before = path.read_bytes()
    with pytest.raises(KeyharnessError, match=f"line 3 of {len(lines) + 1}"):
        run.journal(*journal.stem.split(".", 1))
    assert path.read_bytes() == before
    assert json.loads(lines[0])


def test_a_damaged_run_that_pytest_continues_is_named_without_a_traceback(cli):
    run = RunDir(cli.cwd / "reports" / "one")
    run.start({"rigs": [{"name": "mini"}], "order": [["mini", "reset"]]})
    (run.path / "journal" / "rows.zip").write_bytes(b"no archive")
    cli.command = [sys.executable, "-m", "pytest"]
    done = cli("--kh-reports", "reports", "--kh-run", "one", "--kh-resume", ".")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "rows.zip" in done.stderr
    assert "an archive that cannot be read" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
