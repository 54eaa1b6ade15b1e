"""A signal to the launcher alone, as a supervisor or a closed terminal sends it, ends a run of several workers."""

from __future__ import annotations

import json
import signal
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from support.limits import HUNG_S

RIG = '[[rig]]\nname = "{}"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
OPERATION = "fido2.reset.register"
"""Long enough to be interrupted."""


def of_session(number: int) -> list[int]:
    """The processes of a session (proc(5): the sixth field of stat)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == number and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_launcher_reaches_the_workers(cli, how):
    (cli.cwd / "two.toml").write_text(RIG.format("one") + RIG.format("two"))
    arguments = ("run", "endurance", "--bench", "two.toml", "--seed", "1", "--operation", OPERATION)
    process = subprocess.Popen(
        [*cli.command, *arguments, "--", "-n", "2"],
        cwd=cli.cwd,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def journals():
        return [path for path in cli.cwd.glob("reports/*/journal/*.jsonl") if path.stat().st_size]

    while len(journals()) < 2:
        try:
            process.wait(timeout=0.05)
            pytest.fail(f"it ended early: {process.stdout.read()}")
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(how)
    said, _ = process.communicate(timeout=HUNG_S)
    assert process.returncode == 2, said
    assert "INTERRUPTED" in said
    assert "Traceback" not in said
    assert of_session(process.pid) == [], "no worker goes on"
    summary = json.loads((cli.run_dir / "summary.json").read_text())
    assert summary["verdict"] == "interrupted"
    assert summary["complete"] is False
    assert {row["rig"] for row in summary["operations"]} == {"one", "two"}
    assert all(0 < row["cuts"] < 1000 for row in summary["operations"])
    assert len((cli.run_dir / "evidence.jsonl").read_text().splitlines()) == summary["cuts"]
    assert ET.parse(cli.run_dir / "junit.xml").getroot().find("testsuite") is not None
    assert (cli.run_dir / "index.html").exists()
