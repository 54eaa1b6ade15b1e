"""A bench and a folder whose names are no UTF-8, as on a disk that another system has written."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from support.command import Cli
from support.paths import ROOT

BENCH, REPORTS = os.fsdecode(b"late-\xff.toml"), os.fsdecode(b"reports-\xfe")
SHOWN = "late-\\udcff.toml"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run that fails, so that its commands and reasons name the bench."""
    cli = Cli(tmp_path_factory.mktemp("names") / os.fsdecode(b"\xff"))
    cli.cwd.mkdir()
    # A terminal of today: what is no UTF-8 cannot be written to it.
    cli.env["PYTHONIOENCODING"] = "utf-8:strict"
    shutil.copy(ROOT / "rigs" / "late-replay.toml", cli.cwd / BENCH)
    asked = ("--operation", "fido2.get_assertion", "--cuts", "40", "--seed", "1")
    done = cli("run", "endurance", *asked, "--bench", BENCH, "--reports", REPORTS)
    return cli, done


@pytest.mark.long
def test_a_run_ends_with_its_verdict_and_its_report(ran):
    cli, done = ran
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert "UnicodeEncodeError" not in said
    assert f"bench {SHOWN}" in done.stdout
    assert "report reports-" in done.stdout
    (run,) = (cli.cwd / REPORTS).glob("2*")
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["verdict"], summary["bench"]) == ("fail", SHOWN)
    assert (run / "index.html").exists()
    assert (run / "junit.xml").exists()


@pytest.mark.long
def test_other_commands_read_what_it_left(ran):
    cli, _ = ran
    (run,) = (cli.cwd / REPORTS).glob("2*")
    assert cli("report", "--reports", REPORTS).returncode == 0
    (key,) = json.loads(cli("history", "--json").stdout)["keys"]
    assert key["runs"] == 1, "it is in the ledger"
    found = cli("triage", "--reports", REPORTS)
    assert (found.returncode, found.stderr) == (1, "")
    paired = cli("compare", "1.8.3", run, "--reports", REPORTS)
    assert (paired.returncode, paired.stderr) == (0, ""), "the ledger finds the folder again"
