"""An autopsy reads once what only the first power-up tells, and writes nothing to the key."""

from __future__ import annotations

import json

import pytest

from harness.base.errors import RigError
from harness.campaign.walk import Campaign
from harness.commands.autopsy import autopsy
from harness.safety.claim import Claims
from harness.safety.uncontrolled import free_items
from harness.twin.glass_box import require_glass_box
from support.emulator.emulated import TINY_COMMAND, namespaces_permitted
from support.nitrokey import at_home

MENDED = "INTERNAL_FLASH_ERROR (0x2)"
TOLD_ONCE = {"admin.status": (MENDED, "ok")}
BENCH = """
[[rig]]
name = "returned"
key = "nitrokey3-mini"
driver = "virtual"
twin.personality = "1.3.1"
"""


def no_policy(rig):
    raise AssertionError(f"{rig} is a twin: nothing limits it")


@pytest.fixture(scope="module")
def returned():
    """A key with 1.3.1 that lost its power in a login and mends its file system when it next has power; its state."""
    rig, home = at_home(personality="1.3.1")
    glass = require_glass_box(rig)
    trace = Campaign(rig, rig.key.operations["fido2.get_assertion"], home).prepare().trace
    for _, state in trace.images(trace.all_cuts(glass.torn_phases)):
        glass.restore(state)
        rig.power.on()
        if free_items(rig)["admin.status"] == MENDED:
            return rig, state
    raise AssertionError("no cut leaves something to mend")


def dead(returned):
    rig, state = returned
    require_glass_box(rig).restore(state)
    return rig


def test_the_first_power_up_tells_what_the_second_does_not(returned):
    found = autopsy(dead(returned), Claims(no_policy, "autopsy"), second=lambda first: True)
    assert found.differs == TOLD_ONCE
    assert (found.code, found.first.why_not, found.first.face) == (0, None, "application")
    assert found.first.up_ms > 0


def test_without_leave_there_is_no_second_power_up(returned):
    rig = dead(returned)
    boots = rig.board.boots
    asked = []
    found = autopsy(rig, Claims(no_policy, "autopsy"), second=lambda first: bool(asked.append(first)))
    assert found.second is None
    assert asked == [found.first]
    assert rig.board.boots == boots + 1


def test_it_writes_nothing_that_the_boot_alone_does_not(returned):
    rig = dead(returned)
    glass = require_glass_box(rig)
    boot = glass.record(rig.power.on).ops
    rig = dead(returned)
    read = glass.record(lambda: autopsy(rig, Claims(no_policy, "autopsy"))).ops
    assert boot
    assert [(op.chip, op.kind, op.page) for op in read] == [(op.chip, op.kind, op.page) for op in boot]


def test_a_key_that_has_power_has_told_it_already(returned):
    rig = dead(returned)
    rig.power.on()
    with pytest.raises(RigError, match="has power already") as error:
        autopsy(rig, Claims(no_policy, "autopsy"))
    assert "--powered" in str(error.value)
    found = autopsy(rig, Claims(no_policy, "autopsy"), powered=True)
    assert found.first.items["admin.version"] == "v1.3.1"


def test_a_kept_state_is_read_by_the_command(returned, cli):
    rig, state = returned
    for name, body in require_glass_box(rig).to_files(state).items():
        place = cli.cwd / "01-cut" / "state" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
    (cli.cwd / "b.toml").write_text(BENCH)
    done = cli.inside("autopsy", "returned", "--bench", "b.toml", "--state", "01-cut", "--second", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["differs"] == {name: list(pair) for name, pair in TOLD_ONCE.items()}
    said = cli.inside("autopsy", "returned", "--bench", "b.toml", "--state", "01-cut")
    assert MENDED in said.stdout
    assert "Asked for: a second power-up" in said.stdout
    (cli.cwd / "01-cut" / "state" / "board.json").write_text("{}")
    broken = cli.inside("autopsy", "returned", "--bench", "b.toml", "--state", "01-cut")
    assert broken.returncode == 4
    assert "a kept state of this kind of key" in broken.stderr


def test_a_rig_that_was_on_before_is_refused(lab):
    refused = lab("autopsy", "real-1", "--bench", "lab.toml")
    assert refused.returncode == 3
    assert "the key has power already" in refused.stderr
    assert lab("power", "off", "real-1", "--bench", "lab.toml").returncode == 0
    first = lab("autopsy", "real-1", "--bench", "lab.toml")
    assert first.returncode == 0, first.stderr
    assert "first power-up, up after" in first.stdout


def test_a_key_that_dies_while_it_is_read_is_said_and_not_asked_again(cli):
    command = [*TINY_COMMAND, "--udp", "{port}:{answer_port}", "--fault", "crash-info"]
    isolation = "auto" if namespaces_permitted() else "none"
    (cli.cwd / "emu.toml").write_text(
        f'[[rig]]\nname = "emu"\nkey = "fido2"\ndriver = "emulator"\ncommand = {json.dumps(command)}\n'
        f'transport = "ctaphid-udp"\nready_s = 10\nanswer_s = 5\nisolation = "{isolation}"\n'
    )
    done = cli.inside("autopsy", "emu", "--bench", "emu.toml", "--json")
    assert done.returncode == 3, done.stderr
    first = json.loads(done.stdout)["first"]
    assert first["why_not"]
    assert any("SIGSEGV" in said for said in first["deaths"])
