"""A run that has started ends with a verdict and a report, however its key behaves before the first cut."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from harness.report.verdict import EXIT_CODES
from support.emulator.emulated import TINY_COMMAND, namespaces_permitted


def bench(cli, fault):
    """An emulator with a fault, as a bench of its own."""
    command = [*TINY_COMMAND, "--tcp", "{port}", "--fault", fault]
    (cli.cwd / "emu.toml").write_text(
        '[[rig]]\nname = "emu"\nkey = "fido2"\ndriver = "emulator"\nexpendable = true\nanswer_s = 1\nready_s = 5\n'
        f'transport = "ctaphid-tcp"\nisolation = "{"auto" if namespaces_permitted() else "none"}"\n'
        f"command = {json.dumps(command)}\n"
    )


def run(cli, fault):
    bench(cli, fault)
    return cli(
        "run",
        "endurance",
        "--bench",
        "emu.toml",
        "--seed",
        "1",
        "--cuts",
        "2",
        "--operation",
        "fido2.get_assertion",
    )


@pytest.mark.parametrize(
    "fault",
    [
        "garbage-make",
        *(
            pytest.param(one, marks=pytest.mark.long)
            for one in ("garbage", "garbage-init", "hang-make", "exit-make")
        ),
    ],
)
def test_every_run_ends_with_a_verdict_and_a_report(cli, fault):
    done = run(cli, fault)
    folder = cli.run_dir
    summary = json.loads((folder / "summary.json").read_text())
    for name in ("finish.json", "index.html", "junit.xml", "evidence.jsonl"):
        assert (folder / name).exists(), f"{name} is missing: {done.stdout}{done.stderr}"
    assert done.returncode == EXIT_CODES[summary["verdict"]]
    assert summary["verdict"] in ("fail", "inconclusive")
    assert summary["reasons"]
    assert "Traceback" not in done.stdout + done.stderr
    cases = ElementTree.parse(folder / "junit.xml").getroot().iter("testcase")
    assert any(case.find("error") is not None or case.find("failure") is not None for case in cases)
