"""What a command writes, and for whom: a reader that ends, and libraries that talk to their developers."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from support.limits import HUNG_S
from support.paths import ROOT

LOUD = """
import logging, warnings
warnings.warn("deprecated in 2.0", DeprecationWarning, stacklevel=1)
warnings.warn("this library is old", UserWarning, stacklevel=1)
logging.getLogger("acme").warning("cannot find a cache")
"""


@pytest.mark.parametrize("arguments", ["list", "list --json", "--help"])
def test_a_reader_that_has_ended_is_no_fault(cli, arguments):
    """Standard output is a pipe that nobody reads any more, as after `| head`."""
    process = subprocess.Popen(
        [*cli.command, *arguments.split()],
        cwd=cli.cwd,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(HUNG_S), said) == (0, "")


def test_warnings_of_libraries_do_not_reach_the_user(cli):
    site = cli.cwd / "site"
    info = site / "acme_key-0.3.dist-info"
    info.mkdir(parents=True)
    (site / "acme_plugin.py").write_text(LOUD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-key\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[keyharness]\nacme = acme_plugin\n")
    cli.env["PYTHONPATH"] = str(site)
    done = cli("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "acme-key 0.3" in done.stdout
    cli.env["PYTHONWARNINGS"] = "default"
    assert "this library is old" in cli("list").stderr, "who asks for them gets them"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_what_the_output_cannot_hold_is_escaped(cli, encoding):
    """A terminal that knows only ASCII, and a bench whose name is no UTF-8."""
    cli.env["PYTHONIOENCODING"] = f"{encoding}:strict"
    bench = os.fsdecode(b"bench-\xff.toml")
    shutil.copy(ROOT / "rigs" / "late-replay.toml", cli.cwd / bench)
    done = cli("rigs", "--bench", bench)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nk3-mini" in done.stdout
    done = cli("run", "--plan", "--operation", "fido2.client_pin.wrong", "--bench", bench)
    assert (done.returncode, done.stderr) == (0, "")
    assert "bench-\\udcff.toml" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_standard_file_that_is_closed_is_no_fault(cli, closed):
    script = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *cli.command, "list", "--rig", "nk3-mini"],
        cwd=cli.cwd,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HUNG_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ("nk3-mini" in done.stdout) == (" >&-" not in f" {closed}")
