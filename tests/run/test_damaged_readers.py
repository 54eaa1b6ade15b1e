"""10^5 damages to the files that are read back: each reader takes what is there, or says in one message what is wrong.

The readers run in this process and one file at a time is damaged in place, so that a case takes half a millisecond.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.base.errors import KeyharnessError
from harness.base.seeds import Stream
from harness.bench.calibration import calibration_for, complaint_about
from harness.evidence.abnormal import find
from harness.evidence.ledger import state_dir
from harness.evidence.rundir import RunDir
from harness.evidence.worked_time import noted_s
from harness.host.locks import Lock
from harness.report.summary import build_summary
from harness.run.launch import checked
from harness.run.resume import cases_done, cases_failed, read_asked
from harness.safety import quarantine
from harness.safety.pin_journal import PinJournal
from harness.safety.power_journal import PowerLog
from harness_fido2.client import FIDO2_PIN
from support.damage import damaged
from support.paths import ROOT

ALL = 100_000
FEW = 50
"""One of so many damages is made in every run of the tests, and all of them with the mark `long`."""
OLD = ROOT / "tests" / "golden" / "state-0"
WIRING = "lcus /dev/ttyUSB0 channel 1 · port 1-1.4"
OPERATION = "fido2.client_pin.wrong"


@dataclass(frozen=True)
class Read:
    """A file that is read back.

    :ivar read: reads it; gets the folder of the run, or of the state.
    :ivar damages: number of damages of all.
    :ivar kept: whether reading leaves the file as it is. Readers of journals cut off what a kill left half written.
    """

    file: str
    read: Callable[[Path], object]
    damages: int
    kept: bool = True


STATE = (
    Read("quarantine/usb-1-1.4.a6c40b33.json", lambda _: quarantine.quarantined("usb:1-1.4"), 10_000),
    Read("power/usb-1-1.4.a6c40b33.json", lambda _: PowerLog("usb:1-1.4").left_behind, 10_000),
    Read(
        "calibration/lcus-dev-ttyUSB0-channel-1-port-1-1.4.ff8dafc6.json",
        lambda _: complaint_about("mini", calibration_for(WIRING)),
        10_000,
    ),
    Read(
        "pins/uuid-00112233445566778899aabbccddeeff.jsonl",
        lambda _: PinJournal("uuid:00112233445566778899aabbccddeeff").records(FIDO2_PIN),
        10_000,
    ),
    Read("../../runtime/port-usb-1-1.5.7652ee9b.lock", lambda _: Lock("port usb:1-1.5").holder(), 10_000),
)
RUN = (
    Read("run.json", lambda run: (RunDir(run).head(), read_asked(run)), 11_000),
    Read("finish.json", lambda run: read_asked(run), 8_000),
    Read("results.jsonl", lambda run: (cases_done(run), cases_failed(run)), 8_000, kept=False),
    Read(
        f"journal/nk3-mini.{OPERATION}.jsonl",
        lambda run: RunDir(run).journal("nk3-mini", OPERATION).close(),
        8_000,
        kept=False,
    ),
    Read(f"journal/nk3-mini.{OPERATION}.result.json", lambda run: RunDir(run).merge_again(), 3_000),
    Read("journal/run.time", lambda run: noted_s(run / "journal" / "run.time"), 4_000),
    Read("evidence.jsonl", build_summary, 2_000),
    Read("operations.jsonl", build_summary, 2_000),
    Read("summary.json", lambda run: (checked(0, run), checked(1, run)), 2_000),
    Read("abnormal/01-fido2.client_pin.wrong/row.json", lambda run: find(run, "kh1:x"), 2_000),
)


def test_it_is_a_hundred_thousand():
    assert sum(one.damages for one in (*STATE, *RUN)) == ALL


@pytest.fixture(params=[FEW, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
def one_of(request):
    return request.param


def check(path: Path, one: Read, folder: Path, one_of: int, named: str = "") -> None:
    """Damage a file again and again, and read it; `named` stands in every message."""
    whole = path.read_bytes()
    for number in range(0, one.damages, one_of):
        data = damaged(whole, Stream(2, "damage", one.file, number))
        path.write_bytes(data)
        try:
            one.read(folder)
        except KeyharnessError as error:
            assert error.what
            assert named in str(error)
            assert len(str(error)) < 6_000
        except Exception as error:
            error.add_note(f"{one.file}, damage {number}: {data[:2000]!r}")
            raise
        if one.kept:
            assert path.read_bytes() == data, f"{one.file}, damage {number}: reading has changed it"
    path.write_bytes(whole)


@pytest.mark.parametrize("one", STATE, ids=lambda one: one.file.split("/")[-2])
def test_state_files(own_state, one, one_of):
    shutil.copytree(OLD / "keyharness", state_dir(), dirs_exist_ok=True)
    shutil.copytree(OLD / "runtime", own_state / "runtime", dirs_exist_ok=True)
    (state_dir() / "pin.key").chmod(0o600)
    path = (state_dir() / one.file).resolve()
    check(path, one, state_dir(), one_of, named=str(path))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a small run that came to its end."""
    from support.command import Cli

    cli = Cli(tmp_path_factory.mktemp("run"))
    done = cli(
        *(
            "run",
            "endurance",
            "--bench",
            "late-replay.toml",
            "--operation",
            OPERATION,
            "--cuts",
            "12",
            "--seed",
            "1",
        )
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return cli.run_dir


@pytest.mark.parametrize("one", RUN, ids=lambda one: one.file.split("/")[-1])
def test_files_of_a_run(run, one, one_of, capsys):
    check(run / one.file, one, run, one_of)
    capsys.readouterr()


def test_a_reader_that_breaks_is_found(tmp_path):
    """What the checks above would say of a reader that takes damaged files for whole ones."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"since": "2026", "why": "x"}))
    trusting = Read("state.json", lambda folder: json.loads((folder / "state.json").read_text())["since"], 50)
    with pytest.raises((ValueError, LookupError, TypeError, RecursionError)):
        check(path, trusting, tmp_path, 1)
    careless = Read("state.json", lambda folder: path.write_text("{}"), 50)
    with pytest.raises(AssertionError, match="has changed it"):
        check(path, careless, tmp_path, 1)
