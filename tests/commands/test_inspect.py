"""`inspect` and `recover` on a firmware that dies when it is asked."""

from __future__ import annotations

import json

import pytest

from support.emulator.emulated import TINY_COMMAND, namespaces_permitted


@pytest.fixture
def dying(cli):
    def bench(fault):
        command = [*TINY_COMMAND, "--udp", "{port}:{answer_port}", "--fault", fault]
        isolation = "auto" if namespaces_permitted() else "none"
        (cli.cwd / "emu.toml").write_text(
            f'[[rig]]\nname = "emu"\nkey = "fido2"\ndriver = "emulator"\ncommand = {json.dumps(command)}\n'
            f'transport = "ctaphid-udp"\nready_s = 10\nanswer_s = 5\nisolation = "{isolation}"\n'
        )
        return cli

    return bench


@pytest.mark.parametrize(
    ("fault", "said"), [("crash-info", "crashed: SIGSEGV"), ("exit-info", "exited by itself with code 7")]
)
def test_inspect_names_the_crash(dying, fault, said):
    done = dying(fault).inside("inspect", "emu", "--bench", "emu.toml")
    assert (done.returncode, done.stdout) == (3, "")
    assert 'rig "emu": the key died while it was read' in done.stderr
    assert said in done.stderr


def test_recover_names_the_crash_of_each_step(dying, monkeypatch):
    monkeypatch.setattr("harness.run.recovery_ladder.LONG_OFF_US", 1_000)
    done = dying("crash-info").inside("recover", "emu", "--bench", "emu.toml", "--json")
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert not found["answers"]
    assert {step["why_not"] for step in found["steps"]} == {'rig "emu": the emulator crashed: SIGSEGV'}
