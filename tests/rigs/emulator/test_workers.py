"""Emulators in several workers: each worker starts its own and no other, and a killed run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from support.emulator.emulated import TINY_COMMAND, namespaces_permitted
from support.paths import ABSENT

pytestmark = pytest.mark.skipif(
    not namespaces_permitted(), reason="two emulators on the same ports need network namespaces"
)
OPERATIONS = ("fido2.get_assertion",)
RUN = ["run", "endurance", "--bench", "two.toml", "--seed", "1", "--cuts", "10"]


@pytest.fixture
def two(cli):
    """A bench with two emulators, each in a directory that only one process may use."""
    cli.env["KEYHARNESS_NODE"] = str(ABSENT)
    entries = []
    for number in (1, 2):
        (cli.cwd / f"state-{number}").mkdir()
        entries.append(
            f'[[rig]]\nname = "emu-{number}"\nkey = "fido2"\ndriver = "emulator"\nexpendable = true\n'
            f'directory = "{cli.cwd}/state-{number}"\ntransport = "ctaphid-tcp"\n'
            f"command = {json.dumps([*TINY_COMMAND, '--tcp', '{port}'])}\n"
        )
    (cli.cwd / "two.toml").write_text("\n".join(entries))
    return cli


def arguments():
    chosen = [word for name in OPERATIONS for word in ("--operation", name)]
    return [*RUN, *chosen, "--", "-n", "2"]


def rows(cli):
    return sum(path.read_bytes().count(b"\n") for path in cli.cwd.glob("reports/*/journal/*.jsonl"))


@pytest.mark.long
def test_a_killed_run_of_two_workers_goes_on_where_it_was(two):
    process = subprocess.Popen(
        [*two.command, *arguments()],
        cwd=two.cwd,
        env=two.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while rows(two) < 5:
        try:
            process.wait(timeout=0.02)
            pytest.fail(f"it ended early: {process.stdout.read().decode()}")
        except subprocess.TimeoutExpired:
            continue
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    before = {path: path.read_bytes() for path in two.run_dir.glob("journal/*.jsonl")}
    done = two("run", "--resume", two.run_dir.name)
    # On a busy machine cuts miss an operation of milliseconds, and too many of them prove nothing.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    for path, data in before.items():
        after = path.read_bytes()
        assert after.startswith(data[: data.rfind(b"\n") + 1]), "what was judged is where it was"
    summary = json.loads((two.run_dir / "summary.json").read_text())
    assert summary["complete"]
    assert not summary["violations"]
    assert summary["cuts"] == sum(operation["cuts"] for operation in summary["operations"])
    assert summary["cuts"] + summary["missed_cuts"] + summary["unresolved_cuts"] >= 10
    assert {operation["rig"] for operation in summary["operations"]} == {"emu-1", "emu-2"}
    ids = [json.loads(text)["id"] for text in (two.run_dir / "evidence.jsonl").read_text().splitlines()]
    assert len(ids) == summary["cuts"] + summary["missed_cuts"] + summary["unresolved_cuts"]
    # Each rig's worker has told what it found.
    assert {rig["firmware"] for rig in summary["rigs"]} == {"7"}
    assert all("ctaphid-tcp" in rig["transport"] for rig in summary["rigs"])
