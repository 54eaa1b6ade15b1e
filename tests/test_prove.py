"""The judge is seen to fail: every seeded defect is caught, the sound twin is clean."""

from __future__ import annotations

import json

import pytest

FIRST_EIGHT = {
    "late-journal-replay": "lost",
    "no-journal": "stuck",
    "format-on-unmountable": "lost",
    "fresh-on-missing-state": "lost",
    "pin-compared-first": "fido2.pin_retries loosened",
    "counter-in-ram": "fido2.pin_retries loosened",
    "reset-wrong-order": "fido2.reset",
    "zero-length-file": "",
}


@pytest.mark.parametrize("defect", FIRST_EIGHT)
def test_a_defect_is_caught_and_its_replay_shows_it(cli, defect):
    done = cli("prove", "--seed", "1", "--defect", defect, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    (proof,) = json.loads(done.stdout)
    assert FIRST_EIGHT[defect] in proof["caught_by"]
    assert proof["suite"] == "endurance"
    assert proof["cuts"] > 0
    bench = (
        '[[rig]]\nname = "prove"\nkey = "nitrokey3-mini"\ndriver = "virtual"\nexpendable = true\n'
        f'twin.defects = ["{defect}"]\n'
    )
    (cli.cwd / "bench.toml").write_text(bench)
    again = cli("replay", proof["replay"], "--bench", "bench.toml")
    assert again.returncode == 1, again.stdout + again.stderr


@pytest.mark.long
def test_all_defects_and_the_sound_twin(cli):
    done = cli("prove", "--seed", "2", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the sound twin is clean" in done.stdout
    assert "MISSED" not in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("seed", [3, 20261120])
@pytest.mark.parametrize("bench", ["virtual.toml", "reference-1.9.toml"])
def test_the_sound_twin_gives_no_false_alarm(cli, seed, bench):
    done = cli("run", "endurance", "--seed", seed, "--bench", bench, timeout=600)
    assert done.returncode == 0, done.stdout
