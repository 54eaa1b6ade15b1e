"""Besides its walk, a recorded firmware is cut as twins are: its owner goes on after some cuts."""

from __future__ import annotations

import html
import json

import pytest

from harness.campaign.recording import VARIES
from support.command import Cli
from support.emulator.emulated import TINY_COMMAND
from support.recorded import no_recording

RESIDENT = "fido2.make_credential.resident"
pytestmark = pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))


@pytest.mark.long
def test_an_action_that_goes_wrong_without_a_cut_is_no_cuts_doing(tmp_path):
    cli, rows, streams = ran(tmp_path, "--fault", "count-back-at-enrolment")
    assert "next" in streams
    assert "enrol" not in {row["next"] for row in rows}
    (summary,) = cli.cwd.glob("reports/*/summary.json")
    said = "rig tiny: the owner's action enrol goes wrong without a cut, and is not tried after one"
    assert said in json.loads(summary.read_text())["notes"]


@pytest.mark.long
def test_a_run_lets_the_owner_go_on_after_cuts_of_a_recorded_firmware(tmp_path):
    cli, rows, streams = ran(tmp_path)
    assert streams.count("cover") == 4, "the sample that the bench asks for"
    assert "nested" not in streams
    after = [row for row in rows if row["stream"] == "next"]
    assert {"enrol"} < {row["next"] for row in after}
    again = cli("replay", after[0]["id"], "--bench", "tiny.toml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the owner's next action: " in again.stdout


def ran(folder, *more):
    """Run one operation of the tiny firmware: (the command, rows of evidence, their streams)."""
    cli = Cli(folder)
    command = json.dumps([*TINY_COMMAND, "--udp", "{port}:{answer_port}", *more])
    (cli.cwd / "tiny.toml").write_text(
        '[[rig]]\nname = "tiny"\nkey = "fido2"\ndriver = "emulator"\nexpendable = true\n'
        f'transport = "ctaphid-udp"\ncommand = {command}\nready_s = 20\nanswer_s = 10\n'
        'cuts = 4\nsecond_cuts = false\n\n[rig.flash]\nkind = "files"\nfaults = ["torn"]\n'
    )
    done = cli("run", "endurance", "--bench", "tiny.toml", "--seed", 1, "--operation", RESIDENT)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = cli.cwd.glob("reports/*/evidence.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    streams = [row["stream"] for row in rows]
    summary = json.loads(file.with_name("summary.json").read_text())
    assert summary["evidence_kind"] == ["emulator-torn"]
    assert summary["distinct_states_per_s"] > 0
    kind = "emulated run: vendor firmware build, modelled flash"
    model = "(files on a file system: ordered, torn at blocks): 1 key took part"
    assert f"{kind} {model}" in " ".join(done.stdout.split())
    assert f"{kind} {model}" in file.with_name("index.html").read_text()
    # What a campaign finds out about its rig: it draws its credentials' names at random.
    assert f"rig tiny: {VARIES}" in summary["notes"]
    assert VARIES in " ".join(done.stdout.split())
    assert f"<li>rig tiny: {html.escape(VARIES)}</li>" in file.with_name("index.html").read_text()
    return cli, rows, streams
