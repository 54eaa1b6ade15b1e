"""Besides its walk, a recorded firmware is cut as twins are: its owner goes on after some cuts."""

from __future__ import annotations

import json

import pytest

from support.command import Cli
from support.emulator.emulated import TINY_COMMAND
from support.recorded import no_recording

RESIDENT = "fido2.make_credential.resident"
pytestmark = pytest.mark.skipif(no_recording() is not None, reason=str(no_recording()))


@pytest.mark.long
def test_a_run_lets_the_owner_go_on_after_cuts_of_a_recorded_firmware(tmp_path):
    cli = Cli(tmp_path)
    command = json.dumps([*TINY_COMMAND, "--udp", "{port}:{answer_port}"])
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
    assert streams.count("cover") == 4, "the sample that the bench asks for"
    assert "nested" not in streams
    after = [row for row in rows if row["stream"] == "next"]
    assert len({row["next"] for row in after}) > 1
    again = cli("replay", after[0]["id"], "--bench", "tiny.toml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the owner's next action: " in again.stdout
